"""What of a structure is the structure."""

from __future__ import annotations

from ase import Atoms

KEPT = ("masses", "initial_charges")  # arrays that belong to the atoms, wherever they go


def bare_structure(atoms: Atoms) -> Atoms:
    """Elements, positions, cell and periodicity, and the masses and initial charges that atoms carry.

    Nothing else comes along: no labels, calculator, constraints, velocities or ``info``.
    """
    bare = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    for name in KEPT:
        if atoms.has(name):
            bare.set_array(name, atoms.arrays[name])
    return bare
