"""The calculator does what ASE and its users expect."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.fd import calculate_numerical_forces, calculate_numerical_stress
from ase.filters import FrechetCellFilter, UnitCellFilter
from ase.io import read, write
from ase.io.trajectory import Trajectory
from ase.md.langevin import Langevin
from ase.md.nptberendsen import NPTBerendsen
from ase.optimize import BFGS, FIRE
from potentials import SMALL, small_potential
from structures import ethanol, rattled_crystal, silicon, slab

from gnnpot import GNNPotCalculator, save_potential
from gnnpot.errors import ConfigError, DataError, DeviceError, ModelFileError
from gnnpot.evaluation.conservation import constant_energy, heat
from gnnpot.graph.graph import AtomicGraph
from gnnpot.potential.committee import Committee
from gnnpot.system.devices import choose_device

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def calculator(kind="schnet", **settings):
    return GNNPotCalculator(small_potential(kind), device="cpu", **settings)


@pytest.fixture
def paths(tmp_path):
    """Three model files."""
    paths = [tmp_path / f"model-{seed}.safetensors" for seed in range(3)]
    for seed, path in enumerate(paths):
        save_potential(small_potential(seed=seed, dtype=torch.float32), path)
    return paths


@pytest.mark.parametrize("kind", sorted(SMALL))
def test_inference_mode_of_the_caller_does_not_matter(kind):
    expected, atoms = calculator(kind), rattled_crystal()
    with torch.inference_mode():
        found = calculator(kind)
    for step in range(6):  # some of them recorded
        atoms.positions[0] += 0.01
        expected.calculate(atoms)
        with torch.inference_mode(step % 3 > 0):
            found.calculate(atoms)
        np.testing.assert_array_equal(found.results["forces"], expected.results["forces"])
    potential = small_potential(kind)
    with torch.inference_mode(), pytest.raises(RuntimeError, match=r"use torch.no_grad"):
        potential(AtomicGraph.from_ase(atoms, potential.cutoff, torch.float64))


@pytest.mark.parametrize("kind", sorted(SMALL))
@pytest.mark.parametrize("skin", [0.0, 0.5])
def test_results_are_those_of_the_potential(kind, skin):
    potential, atoms = small_potential(kind), rattled_crystal()
    atoms.calc = GNNPotCalculator(potential, device="cpu", skin=skin)
    with torch.no_grad():
        prediction = potential(AtomicGraph.from_ase(atoms, potential.cutoff, torch.float64))
    assert atoms.get_potential_energy() == pytest.approx(prediction.energy.item(), abs=1e-10)
    assert atoms.get_potential_energy(force_consistent=True) == atoms.get_potential_energy()
    np.testing.assert_allclose(atoms.get_forces(), prediction.forces, atol=1e-10)
    np.testing.assert_allclose(atoms.get_stress(voigt=False), prediction.stress[0], atol=1e-10)
    np.testing.assert_allclose(atoms.get_potential_energies(), prediction.atomic_energies, atol=1e-10)


@pytest.mark.parametrize("kind", sorted(SMALL))
def test_forces_and_stress_are_derivatives_as_ase_takes_them(kind):
    atoms = rattled_crystal()
    atoms.calc = calculator(kind)
    assert np.abs(atoms.get_forces()).max() > 0.1
    np.testing.assert_allclose(atoms.get_forces(), calculate_numerical_forces(atoms, eps=1e-4), atol=1e-5)
    np.testing.assert_allclose(atoms.get_stress(), calculate_numerical_stress(atoms, eps=1e-5), atol=1e-6)


@pytest.mark.parametrize("structure", [lambda: Atoms("Si3", np.eye(3) * 2), slab])
def test_without_three_periods_there_is_no_stress(structure):
    atoms = structure()
    atoms.calc = calculator()
    assert np.isfinite(atoms.get_forces()).all()
    with pytest.raises(PropertyNotImplementedError):
        atoms.get_stress()


def test_results_are_the_callers_own():
    atoms = silicon()
    atoms.calc = calculator()
    forces, stress = atoms.get_forces(), atoms.calc.results["stress"]
    energies = atoms.calc.results["energies"]
    kept = forces.copy(), stress.copy(), energies.copy()
    atoms.rattle(0.05, seed=9)
    atoms.get_forces()
    for value, before in zip((forces, stress, energies), kept, strict=True):
        np.testing.assert_array_equal(value, before)
    forces[:], positions = 0.0, atoms.positions.copy()
    assert np.abs(atoms.get_forces()).max() > 0.1
    np.testing.assert_array_equal(atoms.positions, positions)


def test_a_given_potential_is_left_alone_and_not_followed():
    potential, atoms = small_potential(), silicon()
    atoms.calc = GNNPotCalculator(potential, device="cpu", default_dtype="float32")
    assert potential.dtype == torch.float64
    assert all(parameter.requires_grad for parameter in potential.parameters())
    energy = atoms.get_potential_energy()
    potential.reference_energies += 1.0
    atoms.positions += 1e-7
    assert atoms.get_potential_energy() == pytest.approx(energy, abs=1e-3)


def test_precision_is_that_of_the_file_unless_chosen(paths):
    atoms, energies = silicon(), {}
    for dtype in (None, "float32", "float64"):
        atoms.calc = GNNPotCalculator(paths[0], device="cpu", default_dtype=dtype)
        energies[dtype] = atoms.get_potential_energy()
    assert energies[None] == energies["float32"] != energies["float64"]
    assert energies["float32"] == pytest.approx(energies["float64"], abs=1e-3)
    assert atoms.get_forces().dtype == np.float64
    with pytest.raises(
        ConfigError, match=r"^expected default_dtype float32 or float64, got 'double'; use one$"
    ):
        GNNPotCalculator(paths[0], default_dtype="double")


def test_a_list_of_paths_is_a_committee(paths):
    atoms = silicon()
    atoms.calc = GNNPotCalculator(paths, device="cpu", default_dtype="float64")
    members = [GNNPotCalculator(path, device="cpu", default_dtype="float64") for path in paths]
    energies = [member.get_potential_energy(atoms) for member in members]
    forces = np.array([member.get_forces(atoms) for member in members])
    assert atoms.get_potential_energy() == pytest.approx(np.mean(energies), abs=1e-9)
    np.testing.assert_allclose(atoms.get_forces(), forces.mean(axis=0), atol=1e-9)
    ask = atoms.calc.get_property
    assert ask("energy_uncertainty") == pytest.approx(np.std(energies, ddof=1), abs=1e-9)
    np.testing.assert_allclose(ask("forces_uncertainty"), forces.std(axis=0, ddof=1), atol=1e-9)
    assert ask("energy_var") == pytest.approx(np.var(energies), abs=1e-9)  # MACE divides by M
    np.testing.assert_allclose(ask("forces_comm"), forces, atol=1e-9)
    assert ask("energy_uncertainty") > 0.01


def test_a_committee_may_be_given_and_one_potential_has_no_uncertainty():
    committee = Committee([small_potential(seed=seed) for seed in range(2)])
    atoms = silicon()
    atoms.calc = GNNPotCalculator(committee, device="cpu", default_dtype="float32")
    assert atoms.calc.get_property("energy_uncertainty", atoms) > 0
    assert committee.dtype == torch.float64
    with pytest.raises(PropertyNotImplementedError):
        calculator().get_property("energy_uncertainty", silicon())


def test_an_unknown_element_is_told_every_time():
    atoms = bulk("SiGe", "zincblende", a=5.5)
    atoms.calc = calculator()
    for _ in range(2):
        with pytest.raises(
            DataError, match=r"^expected atoms of Si, got Ge; use a potential that was trained on them$"
        ):
            atoms.get_potential_energy()
    atoms.numbers[:] = 14
    assert np.isfinite(atoms.get_potential_energy())


def test_two_atoms_on_one_spot_are_told():
    atoms = silicon()
    atoms.positions[4] = atoms.positions[2]
    atoms.calc = calculator()
    with pytest.raises(
        DataError, match=r"^expected atoms apart, got atoms 2 and 4 on one spot; move one of them$"
    ):
        atoms.get_forces()


def test_bad_settings_are_told(tmp_path):
    with pytest.raises(ModelFileError, match="is no file"):
        GNNPotCalculator(tmp_path / "model.safetensors")
    with pytest.raises(ConfigError, match=r"^expected a skin of at least 0 Å, got -1"):
        calculator(skin=-1)
    with pytest.raises(DeviceError, match=r"^expected a device of cpu.*, got 'gpu'; choose one, or auto$"):
        GNNPotCalculator(small_potential(), device="gpu")


def test_auto_is_a_gpu_where_there_is_one():
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert choose_device("cpu") == torch.device("cpu")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("kind", sorted(SMALL))
def test_a_gpu_gives_what_a_cpu_gives(kind):
    atoms, forces = silicon(), []
    for device in ("cpu", "cuda"):
        atoms.calc = GNNPotCalculator(small_potential(kind), device=device)
        forces.append(atoms.get_forces())
    np.testing.assert_allclose(forces[1], forces[0], atol=1e-8)


@pytest.mark.parametrize("cell_filter", [lambda atoms: atoms, FrechetCellFilter, UnitCellFilter])
def test_optimizers_reach_small_forces_through_cell_filters(cell_filter):
    atoms = silicon(rattle=0.05)
    atoms.calc = calculator(skin=0.3)
    start = atoms.get_potential_energy()
    FIRE(cell_filter(atoms), logfile=None).run(fmax=0.3, steps=5)
    BFGS(cell_filter(atoms), logfile=None).run(fmax=0.05, steps=100)
    assert np.abs(atoms.get_forces()).max() < 0.05
    assert atoms.get_potential_energy() < start
    fresh = calculator(skin=0.0)
    assert fresh.get_potential_energy(atoms) == pytest.approx(atoms.get_potential_energy(), abs=1e-9)


def langevin(atoms):
    settings = {"temperature_K": 900, "friction": 0.02, "fixcm": False}
    return Langevin(atoms, units.fs, rng=np.random.default_rng(0), **settings)


def npt(atoms):
    settings = {"temperature_K": 900, "pressure_au": 0.05, "taup": 50 * units.fs, "compressibility_au": 1.0}
    return NPTBerendsen(atoms, units.fs, **settings)


@pytest.mark.parametrize("dynamics", [langevin, npt])
def test_after_dynamics_the_list_still_gives_what_a_fresh_one_gives(dynamics):
    atoms = silicon()
    atoms.calc = calculator(skin=0.5)
    atoms.set_momenta(np.random.default_rng(0).normal(size=(8, 3)))
    run = dynamics(atoms)
    for _ in range(5):
        run.run(20)
        fresh = calculator(skin=0.0)
        np.testing.assert_allclose(atoms.get_forces(), fresh.get_forces(atoms), atol=1e-9)
        np.testing.assert_allclose(atoms.get_stress(), fresh.get_stress(atoms), atol=1e-9)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_total_energy_is_conserved(dtype):
    atoms = silicon(repeat=2, rattle=0.01)
    atoms.calc = calculator(default_dtype=dtype)
    heat(atoms, 600.0, steps=50, timestep=1.0, rng=np.random.default_rng(0))
    run = constant_energy(atoms, steps=300, timestep=1.0)
    assert 200 < run.temperatures.mean() < 1500
    assert np.ptp(run.temperatures) > 20  # kinetic and potential energy are exchanged
    assert abs(run.drift) < 0.1


def test_the_energy_benchmark_prints_json(tmp_path):
    save_potential(small_potential(), tmp_path / "model.safetensors")
    command = [
        sys.executable,
        "-W",
        "ignore",
        str(BENCHMARKS / "nve.py"),
        str(tmp_path / "model.safetensors"),
    ]
    output = subprocess.run(
        [*command, "--heating", "2", "--steps", "3"], capture_output=True, text=True, check=True
    ).stdout
    result = json.loads(output)
    assert result["atoms"] == 64
    assert abs(result["drift_mev_per_atom_per_ps"]) < 1000


def test_phonopy_finds_symmetric_force_constants():
    from phonopy import Phonopy
    from phonopy.structure.atoms import PhonopyAtoms

    unit = bulk("Si", "diamond", a=5.43)
    phonon = Phonopy(
        PhonopyAtoms(
            numbers=unit.numbers, cell=unit.cell.array, scaled_positions=unit.get_scaled_positions()
        ),
        supercell_matrix=np.diag([2, 2, 2]),
    )
    phonon.generate_displacements(distance=0.001, is_plusminus=True)
    calc, sets = calculator(), []
    for cell in phonon.supercells_with_displacements:
        atoms = Atoms(cell.numbers, cell=cell.cell, scaled_positions=cell.scaled_positions, pbc=True)
        sets.append(calc.get_forces(atoms))
    phonon.forces = sets
    phonon.produce_force_constants()
    constants = phonon.force_constants
    assert constants.shape == (16, 16, 3, 3)
    assert np.abs(constants).max() > 0.1
    np.testing.assert_allclose(constants, constants.transpose(1, 0, 3, 2), atol=1e-5)
    np.testing.assert_allclose(constants.sum(axis=1), 0.0, atol=1e-5)


def test_a_calculator_can_be_copied_and_pickled():
    atoms = silicon()
    atoms.calc = calculator()
    forces = atoms.get_forces()
    for twin in (copy.deepcopy(atoms.calc), pickle.loads(pickle.dumps(atoms.calc))):
        moved = atoms.copy()
        moved.positions += 0.01  # so that it has to compute
        np.testing.assert_allclose(twin.get_forces(moved), forces, atol=1e-9)


def test_results_go_into_ase_files(paths, tmp_path):
    atoms = silicon()
    atoms.calc = GNNPotCalculator(paths, device="cpu")
    forces = atoms.get_forces()
    with Trajectory(tmp_path / "run.traj", "w") as trajectory:
        trajectory.write(atoms)
    write(tmp_path / "run.xyz", atoms)
    for name in ("run.traj", "run.xyz"):
        frame = read(tmp_path / name)
        np.testing.assert_allclose(frame.get_forces(), forces, atol=1e-7)
        assert frame.get_potential_energy() == pytest.approx(atoms.get_potential_energy(), abs=1e-6)


def test_a_lone_atom_has_its_reference_energy():
    atoms = Atoms("Si")
    atoms.calc = calculator("dimenet++")
    np.testing.assert_array_equal(atoms.get_forces(), np.zeros((1, 3)))
    assert np.isfinite(atoms.get_potential_energy())


def test_an_organic_molecule_of_three_elements():
    atoms = ethanol()
    atoms.calc = GNNPotCalculator(small_potential(elements=("C", "H", "O")), device="cpu")
    np.testing.assert_allclose(atoms.get_forces(), calculate_numerical_forces(atoms, eps=1e-4), atol=1e-5)
