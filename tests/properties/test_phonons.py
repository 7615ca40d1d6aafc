"""Phonons are those of phonopy on the same calculator, in the right units."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from ase.build import molecule
from ase.calculators.emt import EMT

from gnnpot.errors import PropertyError
from gnnpot.properties.phonons import PhononConfig, phonons
from gnnpot.properties.relaxation import relax_crystal
from gnnpot.sampling.crystals import crystal


def test_bands_of_silicon_are_those_of_phonopy_on_the_same_calculator(stillinger_weber, silicon):
    from phonopy import Phonopy
    from phonopy.structure.atoms import PhonopyAtoms

    found = phonons(stillinger_weber, silicon.atoms, config=PhononConfig(points=40, mesh=30))
    cell = PhonopyAtoms(
        symbols=["Si"] * 8,
        cell=silicon.atoms.cell.array,
        scaled_positions=silicon.atoms.get_scaled_positions(),
    )
    primitive = np.array([[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    own = Phonopy(cell, supercell_matrix=[2, 2, 2], primitive_matrix=primitive)
    own.generate_displacements(distance=0.01)
    own.forces = [stillinger_weber_forces(stillinger_weber, one) for one in own.supercells_with_displacements]
    own.produce_force_constants()
    own.symmetrize_force_constants()
    (gamma,) = own.run_qpoints([[0, 0, 0]]).frequencies
    x_point = own.run_qpoints([[0.5, 0, 0.5]]).frequencies[0]
    places = {name: place for place, name in found.labels}
    for name, expected in (("Γ", gamma), ("X", x_point)):
        row = int(np.abs(found.path - places[name]).argmin())
        np.testing.assert_allclose(found.bands[row], expected, atol=2e-3)
    assert np.trapezoid(found.density, found.frequencies) == pytest.approx(6.0, rel=1e-2)
    assert found.highest == pytest.approx(17.8, abs=0.1)  # of Stillinger and Weber's potential
    assert not found.has_imaginary_modes


def stillinger_weber_forces(calculator, cell):
    from ase import Atoms

    atoms = Atoms(cell.symbols, cell=cell.cell, scaled_positions=cell.scaled_positions, pbc=True)
    atoms.calc = calculator
    return atoms.get_forces()


def test_thermal_averages_are_those_of_the_modes():
    from gnnpot.properties.phonons import _thermal

    frequencies, weights = np.array([[5.0, 10.0, 15.0]]), np.array([1.0])
    zero_point, capacity = _thermal(frequencies, weights, 300.0)
    assert zero_point == pytest.approx(4.135667696 / 2 * 30.0)
    x = 4.135667696e-3 * frequencies / (8.617333262e-5 * 300)
    assert capacity == pytest.approx(np.sum(x**2 * np.exp(x) / np.expm1(x) ** 2))
    assert _thermal(frequencies, weights, 1e6)[1] == pytest.approx(3.0, abs=1e-6)


def test_imaginary_modes_of_an_unstable_crystal_are_flagged():
    relaxed = relax_crystal(EMT(), crystal("Cu:sc", bond=2.4))
    found = phonons(EMT(), relaxed.atoms, config=PhononConfig(size=7, points=30, mesh=20))
    assert found.has_imaginary_modes
    assert found.as_dict()["imaginary_modes"]
    assert found.lowest < -0.5


def test_phonons_of_a_molecule_are_refused():
    with pytest.raises(PropertyError, match="expected a crystal for phonons"):
        phonons(EMT(), molecule("H2O"))


def test_without_phonopy_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "phonopy", None)
    with pytest.raises(
        PropertyError, match=r'expected phonopy for phonons.*pip install "gnnpot\[properties\]"'
    ):
        phonons(EMT(), crystal("Cu"))
