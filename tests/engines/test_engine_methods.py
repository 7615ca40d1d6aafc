"""Published values and agreement between programs, method by method."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from engine_examples import ESPRESSO, labeled, silicon
from reference_programs import (
    needs_lammps,
    needs_pw,
    needs_sparrow,
    needs_tblite,
)

from gnnpot.engines import calculator_from, engine_of
from gnnpot.errors import LabelingError
from gnnpot.labeling import CalculatorLabeler


@pytest.mark.parametrize(
    ("preset", "symbol", "constant", "energy"),
    [("Si-1985", "Si", 5.4310, -4.3366), ("Ge-Ding-Andersen", "Ge", 5.6536, -3.86)],
)
def test_stillinger_weber_presets_give_the_cohesive_energy(preset, symbol, constant, energy):
    config = engine_of({"kind": "stillinger-weber", "preset": preset})
    atoms = labeled(config, bulk(symbol, "diamond", a=constant))
    assert atoms.get_potential_energy() / 2 == pytest.approx(energy, abs=1e-4)
    assert abs(atoms.get_stress()).max() < 1e-4


@needs_lammps
def test_stillinger_weber_takes_parameters_of_ones_own_and_agrees_with_lammps(tmp_path):
    parameters = {"epsilon": 1.7, "sigma": 2.2, "lambda": 25.0, "gamma": 1.1, "a": 1.7}
    table = "Si Si Si 1.7 2.2 1.7 25.0 1.1 -0.333333333333 7.049556277 0.6022245584 4.0 0.0 0.0\n"
    (tmp_path / "own.sw").write_text(table)
    ours = engine_of({"kind": "stillinger-weber", "element": "Si", "parameters": parameters})
    theirs = engine_of(
        {"kind": "lammps", "pair_style": "sw", "pair_coeff": f"* * {tmp_path}/own.sw Si", "types": ["Si"]}
    )
    first, second = labeled(ours, silicon()), labeled(theirs, silicon())
    assert first.get_potential_energy() == pytest.approx(second.get_potential_energy(), abs=1e-8)
    np.testing.assert_allclose(first.get_forces(), second.get_forces(), rtol=0, atol=1e-8)
    np.testing.assert_allclose(first.get_stress(), second.get_stress(), rtol=0, atol=1e-8)


@needs_tblite
@pytest.mark.parametrize("method", ["GFN1-xTB", "GFN2-xTB"])
def test_xtb_gives_a_molecule_its_energy_and_forces(method):
    atoms = labeled(engine_of({"kind": "xtb", "method": method, "accuracy": 0.01}), molecule("CH3CH2OH"))
    force = atoms.get_forces()[0, 0]
    energies = []
    for side in (-1, 1):
        moved = atoms.copy()
        moved.calc = atoms.calc
        moved.positions[0, 0] += side * 1e-3
        energies.append(moved.get_potential_energy())
    assert force == pytest.approx((energies[0] - energies[1]) / 2e-3, abs=1e-4)


@needs_tblite
def test_xtb_refuses_a_layer_until_vacuum_closes_it():
    engine = engine_of({"kind": "xtb", "method": "GFN1-xTB"})
    layer = Atoms(
        "C2", [[0, 0, 6], [0, 1.42, 6]], cell=[[2.46, 0, 0], [-1.23, 2.13, 0], [0, 0, 12]], pbc=True
    )
    assert np.isfinite(CalculatorLabeler(engine)(layer).get_potential_energy())
    for pbc, height in (((1, 1, 0), 12.0), ((1, 1, 0), 0.0), ((0, 1, 0), 12.0), ((1, 1, 1), 0.0)):
        open_ = layer.copy()
        open_.pbc, open_.cell[2, 2] = pbc, height
        with pytest.raises(LabelingError, match="close open directions with vacuum"):
            CalculatorLabeler(engine)(open_)
    for alone in (Atoms("He"), Atoms("He", cell=[5, 5, 5])):
        engine.check(alone, engine.elements(), "x:1")


def hexane(stretch: float) -> Atoms:
    """A zigzag of six carbons whose two halves are ``stretch`` Å farther apart."""
    positions = [[1.27 * i, 0.44 * (-1) ** i, 0.0] for i in range(6)]
    atoms = Atoms("C6", positions)
    atoms.positions[3:, 0] += stretch
    return atoms


@pytest.mark.parametrize(("stretch", "is_refused"), [(0.0, False), (1.5, False), (3.0, True)])
def test_dftb3_refuses_a_chain_that_is_torn_too_far(stretch, is_refused):
    method = engine_of({"kind": "dftb3"})
    if is_refused:
        with pytest.raises(LabelingError, match="expected parts at most"):
            method.check(hexane(stretch), method.elements(), "chain")
    else:
        method.check(hexane(stretch), method.elements(), "chain")


def test_dftb3_refuses_hydrogen_that_is_torn_too_far():
    method, water = engine_of({"kind": "dftb3"}), molecule("H2O")
    method.check(water, method.elements(), "water")
    water.set_distance(0, 1, 8.0, fix=0)
    with pytest.raises(LabelingError, match=r"expected parts at most 3\.5 Å apart"):
        method.check(water, method.elements(), "water")


@needs_sparrow
@pytest.mark.parametrize("name", ["H2O", "CH3OH", "NH3", "C2H6"])
def test_forces_of_dftb3_are_derivatives_of_its_energy(name):
    atoms = molecule(name)
    atoms.rattle(0.03, seed=1)
    atoms = labeled(engine_of({"kind": "dftb3"}), atoms)
    forces, start = atoms.get_forces(), atoms.positions.copy()
    direction = np.random.default_rng(0).normal(size=start.shape)
    energies = []
    for step in (-2e-3, -1e-3, 1e-3, 2e-3):
        atoms.positions = start + step * direction
        energies.append(atoms.get_potential_energy())
    slope = (8 * (energies[2] - energies[1]) - (energies[3] - energies[0])) / 12e-3
    assert np.sum(forces * direction) == pytest.approx(-slope, abs=1e-4)
    assert np.abs(forces.sum(axis=0)).max() < 1e-5


@needs_sparrow
def test_the_gradient_of_sparrow_is_no_derivative():
    atoms = molecule("H2O")
    atoms.rattle(0.03, seed=1)
    methods = ({"kind": "dftb3"}, {"kind": "dftb3", "forces": "gradient"})
    right, fast = (labeled(engine_of(method), atoms).get_forces() for method in methods)
    assert np.abs(right - fast).max() == pytest.approx(0.167, abs=0.002)


@needs_sparrow
def test_dftb3_costs_more_energy_the_farther_ethane_is_torn():
    config = engine_of({"kind": "dftb3"})
    energies = []
    for stretch in (0.0, 0.5, 1.0, 1.9):
        atoms = molecule("C2H6")
        atoms.positions[atoms.positions[:, 2] > 0, 2] += stretch
        energies.append(labeled(config, atoms).get_potential_energy())
    assert np.all(np.diff(energies) > 0.1)
    assert 4 < energies[-1] - energies[0] < 8


def test_dftb3_refuses_a_crystal():
    with pytest.raises(LabelingError, match="expected a molecule"):
        engine_of({"kind": "dftb3"}).check(bulk("C"), None, "x:1")


def test_any_calculator_is_found_by_its_import_path():
    config = engine_of(
        {"kind": "ase", "calculator_class": "ase.calculators.lj.LennardJones", "arguments": {"sigma": 2.0}}
    )
    assert calculator_from(config).parameters.sigma == 2.0


@needs_pw
def test_espresso_takes_the_smearing_term_off_when_asked(tmp_path):
    atoms = bulk("Si", "diamond", a=5.47)
    free, without = (
        labeled(engine_of(ESPRESSO | {"energy": energy, "degauss": 0.05}), atoms, tmp_path / energy)
        for energy in ("free", "without_entropy")
    )
    difference = without.get_potential_energy() - free.get_potential_energy()
    label = CalculatorLabeler(without.calc.config, scratch=tmp_path)(atoms)
    assert label.get_potential_energy() == pytest.approx(without.get_potential_energy(), abs=1e-6)
    output = (tmp_path / "free" / "espresso.pwo").read_text()
    line = next(line for line in output.splitlines() if "smearing contrib" in line)
    term = float(line.split("=")[1].split()[0]) * 13.605693
    assert term < -1e-3
    assert difference == pytest.approx(-term, abs=1e-5)
    assert free.get_stress().shape == (6,)


@needs_pw
def test_espresso_is_magnetic_only_when_asked(tmp_path):
    atoms = bulk("Si", "diamond", a=5.47)
    atoms.set_initial_magnetic_moments([1.0, 1.0])
    for moments, spins in ((None, 0), ({"Si": 0.5}, 1)):
        folder = tmp_path / str(spins)
        labeled(engine_of(ESPRESSO | {"magnetic_moments": moments}), atoms, folder).get_potential_energy()
        assert (folder / "espresso.pwi").read_text().count("nspin") == spins


@needs_pw
@pytest.mark.parametrize(
    ("length", "spacing", "mesh"),
    [(5.43, 0.3, "4 4 4"), (5.43, 0.15, "8 8 8"), (3.52, 0.3, "6 6 6"), (21.0, 0.3, "1 1 1")],
)
def test_espresso_takes_the_mesh_whose_spacing_was_asked_for(tmp_path, length, spacing, mesh):
    config = engine_of(ESPRESSO | {"kpoints": None, "spacing": spacing, "offset": (1, 0, 1)})
    calculator = config.calculator(tmp_path)
    calculator.write_inputfiles(bulk("Si", "diamond", a=length, cubic=True), ["energy"])
    assert f"K_POINTS automatic\n{mesh}  1 0 1\n" in (tmp_path / "espresso.pwi").read_text()
