"""Calculators compute again only what has changed."""

from __future__ import annotations

import numpy as np
from structures import silicon

from gnnpot.calculator.base import WholeCalculator


class Counting(WholeCalculator):
    """Counts how often it computes."""

    implemented_properties = ["energy", "free_energy", "forces"]  # noqa: RUF012
    ignored_changes = {"initial_charges"}  # noqa: RUF012
    calls = 0

    def computed(self):
        self.calls += 1
        return {"energy": 0.0, "free_energy": 0.0, "forces": np.zeros((len(self.atoms), 3))}


def test_only_a_structure_that_has_changed_in_some_bit_is_computed_again():
    atoms, calculator = silicon(), Counting()
    atoms.calc = calculator

    def calls():
        atoms.get_potential_energy()
        atoms.get_forces()
        return calculator.calls

    assert calls() == 1
    atoms.positions[0, 0] = np.nextafter(atoms.positions[0, 0], 1.0)
    assert calls() == 2
    atoms.cell[0, 0] += 1e-9
    assert calls() == 3
    atoms.pbc = (True, True, False)
    assert calls() == 4
    atoms.numbers[0] = 32
    assert calls() == 5
    atoms.set_initial_charges(np.ones(len(atoms)))
    assert calls() == 5
    atoms.set_initial_magnetic_moments(np.ones(len(atoms)))
    assert calls() == 6
    calculator.calculate(atoms[:4])
    assert calls() == 8
