"""Structures that tests share."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.build import bulk, molecule


def ethanol() -> Atoms:
    atoms = molecule("CH3CH2OH")
    atoms.rattle(0.05, seed=1)
    return atoms


def rattled_crystal() -> Atoms:
    """Silicon in a sheared primitive cell of two atoms, smaller than any cutoff."""
    atoms = bulk("Si", "diamond", a=5.43)
    atoms.set_cell(
        atoms.cell.array @ (np.eye(3) + [[0.02, 0.05, 0.0], [0.0, -0.03, 0.04], [0.01, 0.0, 0.01]])
    )
    atoms.rattle(0.1, seed=2)
    return atoms


def silicon(repeat: int = 1, rattle: float = 0.1, seed: int = 3) -> Atoms:
    """Rattled cubic silicon of 8 · repeat³ atoms."""
    atoms = bulk("Si", "diamond", a=5.43, cubic=True) * (repeat, repeat, repeat)
    atoms.rattle(rattle, seed=seed)
    return atoms


def slab() -> Atoms:
    """Three layers of Si(001), open along z."""
    from ase.build import diamond100

    atoms = diamond100("Si", (2, 2, 3), a=5.43, vacuum=None)
    atoms.pbc = (True, True, False)
    atoms.rattle(0.1, seed=4)
    return atoms
