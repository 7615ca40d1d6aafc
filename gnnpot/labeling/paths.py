"""Detection of energy jumps along paths of small steps, where a method may switch its electronic state."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from ase import Atoms


def energy_jumps(path: Sequence[Atoms]) -> list[float]:
    """What the forces leave unexplained of each energy difference along a path (eV).

    The trapezoidal rule: E' − E + (F + F')·(r' − r)/2, zero to third order in the step.  0.0 where two
    neighbors do not have the same atoms, or have another cell.

    Args:
        path: Labeled structures.
    """
    return [_jump(first, second) for first, second in pairwise(path)]


def after_jumps(path: Sequence[Atoms], largest: float) -> list[int]:
    """Numbers of the structures behind a jump, up to where the energy jumps back or the atoms change.

    Args:
        path: Labeled structures.
        largest: Largest believable jump (eV).
    """
    behind, found = False, []
    for number, jump in enumerate(energy_jumps(path), start=1):
        if not _same_path(path[number - 1], path[number]):
            behind = False
        elif not abs(jump) < largest:
            behind = not behind
        if behind:
            found.append(number)
    return found


def _same_path(first: Atoms, second: Atoms) -> bool:
    return np.array_equal(first.numbers, second.numbers) and np.allclose(first.cell, second.cell)


def _jump(first: Atoms, second: Atoms) -> float:
    if not _same_path(first, second):
        return 0.0
    step = second.positions - first.positions
    work = 0.5 * np.sum((first.get_forces() + second.get_forces()) * step)
    return float(second.get_potential_energy() - first.get_potential_energy() + work)
