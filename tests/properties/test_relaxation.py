"""Crystals by name, at rest, and in order of their energy."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from reference_programs import needs_zhang

from gnnpot.errors import ConfigError, PropertyError
from gnnpot.properties.relaxation import RelaxationConfig, phase_order, relax, relax_crystal
from gnnpot.sampling.crystals import PROTOTYPES, bond_length, crystal, fitting_prototypes, structure

A12, A6 = 12.13188, 14.45392  # lattice sums of fcc


class Repulsive(Calculator):
    """Atoms that push each other away at any distance."""

    implemented_properties = ("energy", "forces", "stress")

    def calculate(self, atoms=None, properties=("energy",), system_changes=tuple(all_changes)) -> None:
        super().calculate(atoms, properties, system_changes)
        volume, count = self.atoms.get_volume(), len(self.atoms)
        stress = np.array([-1.0, -1.0, -1.0, 0, 0, 0]) * count**2 / volume**2
        self.results = {"energy": count**2 / volume, "forces": np.zeros((count, 3)), "stress": stress}


@pytest.mark.parametrize(
    ("word", "formula", "neighbors"),
    [
        ("Ni", "Ni4", 12),
        ("Ni:bcc", "Ni2", 8),
        ("Ni:A3", "Ni2", 12),
        ("Ni:sc", "Ni", 6),
        ("Si", "Si8", 4),
        ("NaCl:B1", "Cl4Na4", 6),
        ("NiAl:B2", "AlNi", 8),
        ("ZnO:wurtzite", "O2Zn2", 4),
        ("CaF2:fluorite", "Ca4F8", 8),
        ("Ni3Al:L1_2", "AlNi3", 12),
    ],
)
def test_a_crystal_of_this_name_has_this_formula_and_coordination(word, formula, neighbors):
    from gnnpot.properties.correlations import coordination_numbers

    atoms = crystal(word)
    assert atoms.get_chemical_formula() == formula
    assert coordination_numbers([atoms], reach=1.02 * bond_length(atoms))[0, 0] == neighbors


@pytest.mark.parametrize("name", PROTOTYPES)
def test_the_bond_of_a_prototype_is_the_one_that_was_asked_for(name):
    formula = {(1,): "Si", (1, 1): "SiC", (1, 2): "SiC2", (3, 1): "Si3C"}[PROTOTYPES[name].counts]
    assert bond_length(crystal(f"{formula}:{name}", bond=2.5)) == pytest.approx(2.5)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("Xx", "expected a file of structures or a crystal, got 'Xx'"),
        ("Ni:fc", "no crystal structure is called 'fc'; did you mean 'fcc'"),
        ("NaCl", "expected a crystal structure for NaCl"),
        ("NaCl:fluorite", "expected a formula with 1 and 2 atoms for fluorite"),
        ("nowhere.xyz", "which is not there"),
    ],
)
def test_what_is_no_structure_is_refused_in_one_line(word, message):
    with pytest.raises(ConfigError, match=message):
        structure(word)


def test_prototypes_that_fit_a_composition_are_found():
    assert fitting_prototypes(bulk("Cu") * 3) == ["Cu:fcc", "Cu:bcc", "Cu:hcp", "Cu:sc", "Cu:diamond"]
    assert "NiAl:cesiumchloride" in fitting_prototypes(crystal("NiAl:B2"))
    assert fitting_prototypes(crystal("Ni3Al:l12")) == ["Ni3Al:l12"]


def test_lennard_jones_rests_where_its_lattice_sums_say(argon):
    found = relax_crystal(argon, crystal("Ar:fcc", bond=4.1))
    sigma, epsilon = argon.parameters.sigma, argon.parameters.epsilon
    assert found.failure == ""
    assert found.bond_length == pytest.approx((2 * A12 / A6) ** (1 / 6) * sigma, rel=2e-3)
    assert found.energy == pytest.approx(-epsilon * A6**2 / (2 * A12), rel=1e-2)


@needs_zhang
def test_nickel_has_the_published_phases(zhang, nickel):
    assert nickel.as_dict()["a"] == pytest.approx(3.516, abs=5e-4)
    assert nickel.energy == pytest.approx(-4.876, abs=5e-4)
    order = phase_order(zhang, {name: crystal(f"Ni:{name}", bond=2.5) for name in ("bcc", "hcp", "fcc")})
    assert order.order == ["fcc", "hcp", "bcc"]
    assert order.phases["bcc"].energy == pytest.approx(-4.833, abs=5e-4)
    assert order.phases["bcc"].bond_length == pytest.approx(2.41, abs=5e-3)
    assert order.not_relaxed == {}


def test_what_does_not_relax_is_named_and_the_others_are_ordered():
    copper = {"fcc": crystal("Cu"), "unknown": crystal("Fe")}
    order = phase_order(EMT(), copper)
    assert order.order == ["fcc"]
    assert "Fe" in order.not_relaxed["unknown"]
    lost = phase_order(Repulsive(), {"fcc": crystal("Cu")})
    assert lost.order == []
    assert "no minimum" in lost.not_relaxed["fcc"]


def test_a_structure_without_a_minimum_is_no_result():
    found = relax(Repulsive(), crystal("Cu"))
    assert "volume became" in found.failure


def test_steps_that_do_not_suffice_are_told():
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.1, seed=1)
    found = relax(EMT(), atoms, config=RelaxationConfig(steps=2))
    assert "2 steps did not suffice" in found.failure


def test_a_calculator_without_stress_relaxes_ions_but_no_cell():
    class WithoutStress(EMT):
        implemented_properties = ("energy", "free_energy", "forces")

        def calculate(self, *arguments):
            super().calculate(*arguments)
            self.results.pop("stress", None)

    atoms = bulk("Cu", cubic=True)
    with pytest.raises(PropertyError, match="expected a calculator with stress"):
        relax(WithoutStress(), atoms)
    assert relax(WithoutStress(), atoms, config=RelaxationConfig(cell="fixed")).failure == ""


def test_a_molecule_relaxes_without_a_cell():
    found = relax(EMT(), Atoms("N2", [[0, 0, 0], [1.3, 0, 0]]))
    assert found.failure == ""
    assert found.bond_length == pytest.approx(relax(EMT(), molecule("N2")).bond_length, abs=1e-3)
    assert np.isnan(found.volume)


def test_an_unknown_element_is_one_line():
    with pytest.raises(PropertyError, match=r"the relaxation of Fe.* failed"):
        relax(EMT(), crystal("Fe"))
