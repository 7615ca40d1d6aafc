"""Reference methods as ASE calculators: derivatives, and the same numbers from each program."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import yaml
from ase import Atoms
from ase.build import bulk
from engine_examples import SILICON, labeled, silicon
from reference_programs import (
    MENDELEV,
    ZHANG,
    dynamo_file,
    needs_kim,
    needs_lammps,
    nickel,
)

from gnnpot.engines import ENGINES, calculator_from, engine_of
from gnnpot.errors import EngineError
from gnnpot.labeling.config import LabelConfig

READY = sorted(Path(str(files("gnnpot.configs"))).glob("labeling/*.yaml"))


@pytest.fixture(scope="session")
def zhang(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Ni-Nb table of Zhang, Ashcraft and Mendelev."""
    return dynamo_file(ZHANG, tmp_path_factory.mktemp("eam") / "NiNb.eam.fs")


def slab() -> Atoms:
    atoms = nickel((2, 2, 3))
    atoms.pbc = (True, False, True)
    atoms.center(vacuum=5.0, axis=1)
    return atoms


def mirrored() -> Atoms:
    atoms = nickel((1, 1, 1))
    atoms.set_cell(atoms.cell.array[[1, 0, 2]])
    return atoms


def one_atom() -> Atoms:
    return Atoms("Ni", cell=[[0.0, 1.8, 1.7], [1.75, 0.0, 1.8], [1.8, 1.7, 0.1]], pbc=True)


def flat() -> Atoms:
    return nickel((3, 1, 2), skew=0.2, seed=5)


CELLS = {"cube": nickel, "one atom": one_atom, "left-handed": mirrored, "skewed": flat, "slab": slab}


@pytest.mark.parametrize("path", READY, ids=lambda path: path.stem)
def test_each_ready_labeling_configuration_parses(path):
    config = LabelConfig.from_yaml(path)
    assert config.method.kind == yaml.safe_load(path.read_text())["method"]["kind"]


def test_each_method_has_a_ready_configuration():
    assert {LabelConfig.from_yaml(path).method.kind for path in READY} == set(ENGINES)


def test_every_configuration_survives_json():
    for path in READY:
        method = LabelConfig.from_yaml(path).method
        assert engine_of(method.model_dump(mode="json")) == method


@needs_kim
@needs_lammps
@pytest.mark.parametrize("name", CELLS)
def test_kim_lammps_and_matscipy_agree_on_the_same_potential(zhang, name):
    atoms = CELLS[name]()
    kim, lammps, matscipy = (
        labeled(engine_of(section), atoms)
        for section in (
            {"kind": "kim", "model": ZHANG},
            {"kind": "eam", "file": zhang},
            {"kind": "eam", "file": zhang, "program": "matscipy"},
        )
    )
    for other in (lammps, matscipy):
        assert other.get_potential_energy() == pytest.approx(kim.get_potential_energy(), abs=1e-8)
        np.testing.assert_allclose(other.get_forces(), kim.get_forces(), rtol=0, atol=1e-8)
        if atoms.pbc.all():
            np.testing.assert_allclose(other.get_stress(), kim.get_stress(), rtol=0, atol=1e-8)
    energies = lammps.calc.results["energies"]
    np.testing.assert_allclose(energies, kim.calc.results["energies"], rtol=0, atol=1e-8)
    assert energies.sum() == pytest.approx(lammps.get_potential_energy())


@needs_lammps
def test_commands_that_lammps_refuses_are_found_before_any_structure(tmp_path):
    section = {"kind": "lammps", "pair_style": "nonsense", "pair_coeff": "* * 1 1", "types": ["Si"]}
    with pytest.raises(EngineError, match=r"got \['pair_style nonsense', .*mend pair_style"):
        engine_of(section).calculator(tmp_path)


@needs_lammps
def test_one_calculator_serves_structures_of_any_size_and_cell():
    config = engine_of({"kind": "eam", "file": "Al_mm.eam.fs"})
    shared = calculator_from(config)
    small, open_ = bulk("Al", a=4.1), bulk("Al", a=4.0, cubic=True) * (2, 1, 1)
    open_.pbc = False
    for atoms in (small, open_, bulk("Al", a=4.1, cubic=True), small):
        atoms.calc = shared
        assert atoms.get_potential_energy() == pytest.approx(
            labeled(config, atoms).get_potential_energy(), abs=1e-10
        )


@needs_kim
def test_kim_follows_small_steps_and_structures_of_another_size(tmp_path):
    engine = engine_of({"kind": "kim", "model": ZHANG})
    kept = engine.calculator(tmp_path)
    for size, step in ((2, 0), (2, 1), (2, 2), (1, 3), (2, 4)):
        atoms = bulk("Ni", a=3.52, cubic=True) * size
        atoms.rattle(0.05 + 1e-3 * step, seed=0)
        fresh = atoms.copy()
        atoms.calc, fresh.calc = kept, engine.calculator(tmp_path)
        np.testing.assert_allclose(atoms.get_forces(), fresh.get_forces(), rtol=0, atol=1e-10)
        energies = atoms.get_potential_energies()
        assert energies.sum() == pytest.approx(fresh.get_potential_energy(), abs=1e-9)
        np.testing.assert_allclose(energies, fresh.get_potential_energies(), rtol=0, atol=1e-10)


@needs_kim
def test_kim_counts_the_neighbors_of_atoms_outside_the_cell(tmp_path):
    atoms = bulk("Ni", cubic=True) * (2, 2, 2)
    atoms.rattle(0.1, seed=1)
    moved = atoms.copy()
    moved.positions[::3] += 2 * atoms.cell[0] - atoms.cell[1]
    moved.positions += 0.3
    for one in (atoms, moved):
        one.calc = engine_of({"kind": "kim", "model": ZHANG}).calculator(tmp_path)
    assert moved.get_potential_energy() == pytest.approx(atoms.get_potential_energy(), abs=1e-9)
    np.testing.assert_allclose(moved.get_forces(), atoms.get_forces(), atol=1e-9)


@needs_kim
@needs_lammps
def test_nickel_has_the_published_lattice_constant_and_energy(zhang):
    config = engine_of({"kind": "eam", "file": zhang})
    lengths = np.linspace(3.50, 3.53, 7)
    energies = [labeled(config, bulk("Ni", a=a)).get_potential_energy() for a in lengths]
    fit = np.polynomial.Polynomial.fit(lengths, energies, 4)
    best = next(root.real for root in fit.deriv().roots() if 3.5 < root.real < 3.53 and abs(root.imag) < 1e-9)
    assert best == pytest.approx(3.516, abs=5e-4)
    assert fit(best) == pytest.approx(-4.876, abs=5e-4)


@needs_kim
@needs_lammps
def test_the_aluminum_of_openkim_is_that_of_lammps():
    atoms = bulk("Al", a=4.0, cubic=True) * (2, 2, 2)
    atoms.rattle(0.1, seed=1)
    kim = labeled(engine_of({"kind": "kim", "model": MENDELEV}), atoms)
    lammps = labeled(engine_of({"kind": "eam", "file": "Al_mm.eam.fs"}), atoms)
    np.testing.assert_allclose(lammps.get_forces(), kim.get_forces(), rtol=0, atol=1e-8)


def differentiable(name: str, zhang: Path) -> Atoms:
    if name == "stillinger-weber":
        return labeled(engine_of(SILICON), silicon())
    return labeled(engine_of({"kind": "eam", "file": zhang}), nickel())


@needs_kim
@needs_lammps
@pytest.mark.parametrize("name", ["eam", "stillinger-weber"])
def test_forces_are_derivatives_of_the_energy(name, zhang):
    atoms, step = differentiable(name, zhang), 1e-4
    forces = atoms.get_forces()
    for i, axis in [(0, 0), (1, 1), (3, 2)]:
        energies = []
        for side in (-2, -1, 1, 2):
            moved = atoms.copy()
            moved.calc = atoms.calc
            moved.positions[i, axis] += side * step
            energies.append(moved.get_potential_energy())
        slope = (energies[0] - 8 * energies[1] + 8 * energies[2] - energies[3]) / (12 * step)
        assert forces[i, axis] == pytest.approx(-slope, abs=1e-6)


@needs_kim
@needs_lammps
@pytest.mark.parametrize("name", ["eam", "stillinger-weber"])
def test_stress_is_the_derivative_by_the_strain(name, zhang):
    atoms, step = differentiable(name, zhang), 1e-4
    stress = atoms.get_stress(voigt=False)
    for i, j in [(0, 0), (2, 2), (0, 1), (1, 2)]:
        energies = []
        for side in (-2, -1, 1, 2):
            strain = np.zeros((3, 3))
            strain[i, j] += side * step / 2
            strain[j, i] += side * step / 2
            moved = atoms.copy()
            moved.calc = atoms.calc
            moved.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
            energies.append(moved.get_potential_energy())
        slope = (energies[0] - 8 * energies[1] + 8 * energies[2] - energies[3]) / (12 * step)
        assert stress[i, j] == pytest.approx(slope / atoms.get_volume(), abs=1e-6)
