"""Signs, units and orders of labels that files have in practice, each by the setting that says so."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk

from gnnpot import units
from gnnpot.data.keys import STRESS_ORDERS, LabelKeys
from gnnpot.data.labels import labeled

STRESS = np.array([0.01, 0.02, 0.03, 0.004, 0.005, 0.006])  # xx yy zz yz xz xy, eV/Å³
FULL = np.array([[0.01, 0.006, 0.005], [0.006, 0.02, 0.004], [0.005, 0.004, 0.03]])


def read(settings: dict[str, object], **values: object) -> dict[str, object]:
    atoms = bulk("Cu", cubic=True)
    return labeled(atoms, values, "a.xyz:1", LabelKeys.model_validate(settings)).calc.results


def test_gradients_become_forces():
    gradient = np.arange(12.0).reshape(4, 3)
    assert np.array_equal(read({"forces_sign": "gradient"}, forces=gradient)["forces"], -gradient)


def test_energies_of_an_atom_become_those_of_the_structure():
    results = read({"energy_per": "atom", "energy_unit": "Ry"}, energy=-2.0)
    assert results["energy"] == pytest.approx(-8.0 * 13.605693, rel=1e-7)


@pytest.mark.parametrize(
    ("unit", "factor"),
    [
        ("kJ/mol", 0.0103642697),
        ("kcal/mol", 0.0433641042),
        ("Hartree", 27.2113862),
        ("Ry", 13.6056931),
        ("meV", 1e-3),
    ],
)
def test_energies_of_other_units(unit, factor):
    assert read({"energy_unit": unit}, energy=1.0)["energy"] == pytest.approx(factor, rel=1e-7)


@pytest.mark.parametrize(
    ("unit", "factor"),
    [
        ("Hartree/Bohr", 51.4220675),
        ("Ry/Bohr", 25.7110337),
        ("eV/Bohr", 1.88972612),
        ("kJ/mol/nm", 0.00103642697),
        ("kJ/mol/Å", 0.0103642697),
        ("meV/A", 1e-3),
    ],
)
def test_forces_of_other_units(unit, factor):
    forces = read({"forces_unit": unit}, forces=np.ones((4, 3)))["forces"]
    assert forces == pytest.approx(np.full((4, 3), factor), rel=1e-7)


@pytest.mark.parametrize(
    ("unit", "in_gpa"), [("bar", 1e-4), ("Hartree/Bohr^3", 29421.0157), ("Ry/Bohr³", 14710.5078)]
)
def test_stresses_of_other_units(unit, in_gpa):
    stress = read({"stress_unit": unit}, stress=np.ones(6))["stress"]
    assert stress / units.GPa == pytest.approx(np.full(6, in_gpa), rel=1e-6)


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ("voigt", "xx yy zz yz xz xy"),
        ("vasp", "xx yy zz xy yz zx"),
        ("lammps", "xx yy zz xy xz yz"),
        ("triangle", "xx xy xz yy yz zz"),
    ],
)
@pytest.mark.parametrize("quantity", ["stress", "virial"])
def test_six_numbers_are_read_in_the_order_that_is_named(order, words, quantity):
    numbers = np.array([FULL["xyz".index(word[0]), "xyz".index(word[1])] for word in words.split()])
    if quantity == "virial":
        numbers *= -bulk("Cu", cubic=True).get_volume()
    results = read({"stress_order": order}, **{quantity: numbers})
    assert results["stress"] == pytest.approx(STRESS)
    assert order in STRESS_ORDERS
    assert read({"stress_order": order}, stress=FULL)["stress"] == pytest.approx(STRESS)


def test_a_known_offset_is_taken_off_the_diagonal():
    stress = read({"stress_offset": "2.9GPa"}, stress=STRESS)["stress"]
    assert stress == pytest.approx(STRESS - 2.9 * units.GPa * np.array([1, 1, 1, 0, 0, 0]))
    assert LabelKeys(stress_offset="0.018 eV/Å³").known_stress_offset(9.0) == pytest.approx(0.018)
    assert LabelKeys(stress_offset="none").known_stress_offset(9.0) == 0.0
    assert LabelKeys(stress_offset="0.18 eV/atom").known_stress_offset(9.0) == pytest.approx(0.02)
    assert LabelKeys.model_validate({"stress_offset": 0}).stress_offset == "none"
    with pytest.raises(ValueError, match=r"a stress with its unit, as in '2\.9 GPa', got 2\.9"):
        LabelKeys.model_validate({"stress_offset": 2.9})


def test_stress_and_virial_of_one_frame_that_contradict_are_refused():
    volume = bulk("Cu", cubic=True).get_volume()
    agreed = read({}, stress=STRESS, virial=-volume * FULL * 1.001)
    assert agreed["stress"] == pytest.approx(STRESS)
    frame = labeled(
        bulk("Cu", cubic=True), {"stress": STRESS, "virial": volume * FULL}, "a.xyz:1", LabelKeys()
    )
    assert "expected 'stress' and 'virial' to agree" in frame.info["unusable"]["stress"]
    assert "got -1 times as much" in frame.info["unusable"]["stress"]
    assert frame.calc is None
    assert read({"virial_sign": "tension"}, stress=STRESS, virial=volume * FULL)["stress"] is not None
    assert read({"stress": "stress"}, stress=STRESS, virial=volume * FULL)["stress"] == pytest.approx(STRESS)
    chosen = read({"virial": "virial"}, stress=STRESS, virial=2 * volume * FULL)["stress"]
    assert chosen == pytest.approx(-2 * STRESS)


def test_the_stress_of_another_method_is_no_contradiction():
    volume = bulk("Cu", cubic=True).get_volume()
    assert read({}, REF_virial=-volume * FULL, stress=9 * STRESS)["stress"] == pytest.approx(STRESS)
