"""Dynamics that last, and dynamics that do not."""

from __future__ import annotations

import re

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT

from gnnpot.errors import DataError
from gnnpot.evaluation.stability import stability


class Push(Calculator):
    """A constant force toward one point."""

    implemented_properties = ("energy", "forces")

    def __init__(self, strength: float) -> None:
        super().__init__()
        self.strength = strength

    def calculate(self, atoms=None, properties=("energy",), system_changes=tuple(all_changes)) -> None:
        super().calculate(atoms, properties, system_changes)
        if np.abs(self.atoms.positions).max() > 1000:
            raise DataError("atoms flew apart")
        self.results = {"energy": 0.0, "forces": -self.strength * self.atoms.positions}


def test_copper_stays_copper_and_the_start_is_not_changed():
    atoms = bulk("Cu", cubic=True)
    before = atoms.positions.copy()
    result = stability(EMT(), atoms, temperature=300, steps=25, timestep=2.0)
    assert (result.time, result.failure, result.is_stable) == (50.0, "", True)
    np.testing.assert_array_equal(atoms.positions, before)


@pytest.mark.parametrize(
    ("strength", "message"),
    [(0.4, r"atom 0 \(Cu\) and atom 1 \(Cu\) .* Å apart"), (-50.0, "temperature|flew apart")],
)
def test_overlap_and_explosion_end_the_dynamics(strength, message):
    atoms = Atoms("Cu2", [[-1.2, 0, 0], [1.2, 0, 0]])
    result = stability(Push(strength), atoms, temperature=300, steps=2000, timestep=1.0)
    assert not result.is_stable
    assert result.time < 2000
    assert re.search(message, result.failure)
