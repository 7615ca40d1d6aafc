"""The structures that are timed; made with ASE alone, the same in every environment."""

from __future__ import annotations

import itertools
import re

import numpy as np
from ase import Atoms
from ase.build import bulk

AMPLITUDE = 0.05  # Å, of the noise on ideal positions


def silicon(num_atoms: int) -> Atoms:
    """The cubic diamond cell repeated to the count nearest ``num_atoms``, as near a cube as that allows."""
    cells = max(1, round(num_atoms / 8))
    edge = round(cells ** (1 / 3))
    sides = range(max(1, edge // 2), 2 * edge + 2)
    repeats = min(
        itertools.combinations_with_replacement(sides, 3),
        key=lambda n: (abs(n[0] * n[1] * n[2] - cells), n[2] - n[0]),
    )
    return bulk("Si", "diamond", a=5.43, cubic=True) * repeats


def nickel(repeat: int) -> Atoms:
    """The cubic fcc cell, ``repeat`` times along each axis."""
    return bulk("Ni", "fcc", a=3.52, cubic=True) * (repeat, repeat, repeat)


def hexane() -> Atoms:
    """All-trans n-hexane without a cell: C-C 1.53 Å, C-H 1.09 Å."""
    half = np.deg2rad(56.0)  # of the angle C-C-C
    zigzag = 1.53 * np.array([np.sin(half), 0.0, np.cos(half)])
    chain = np.array([zigzag * (place, 0, place % 2) for place in range(6)])
    hydrogens = []
    for place, carbon in enumerate(chain):
        up = 1.0 if place % 2 else -1.0  # away from the neighbors
        sides = [(0.0, side * np.sin(np.deg2rad(54)), up * np.cos(np.deg2rad(54))) for side in (1, -1)]
        hydrogens += [carbon + 1.09 * np.array(side) for side in sides]
    for end, neighbor, last in ((0, 1, -1.0), (5, 4, 1.0)):
        up = -1.0 if chain[end][2] > chain[neighbor][2] else 1.0
        hydrogens.append(chain[end] + 1.09 * np.array([last * np.sin(half), 0.0, up * np.cos(half)]))
    return Atoms("C6H14", positions=np.concatenate([chain, hydrogens]))


def check_name(work: str) -> None:
    """Refuse a name that no structure has.

    Raises:
        ValueError: The name is not one that :func:`ideal` knows.
    """
    if work not in ("hexane", "ni32", "ni108") and not re.fullmatch("si[1-9][0-9]*", work):
        raise ValueError(
            f"expected hexane, ni32, ni108 or si and a number of atoms, got {work!r}; choose one of these"
        )


def ideal(work: str) -> Atoms:
    """The structure a work is named after: ``hexane``, ``ni32``, ``ni108``, or ``si`` and a count."""
    check_name(work)
    if work == "hexane":
        return hexane()
    if work in ("ni32", "ni108"):
        return nickel({"ni32": 2, "ni108": 3}[work])
    return silicon(int(work.removeprefix("si")))


def frames(work: str, count: int, seed: int = 0) -> list[Atoms]:
    """``count`` copies with different noise on their positions."""
    rng = np.random.default_rng(seed)
    made = [ideal(work) for _ in range(count)]
    for atoms in made:
        atoms.positions += rng.normal(0.0, AMPLITUDE, atoms.positions.shape)
    return made
