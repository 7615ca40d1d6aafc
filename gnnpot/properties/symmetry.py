"""Space groups by spglib."""

from __future__ import annotations

import warnings

from ase import Atoms

from gnnpot.properties.calculation import optional

_TOLERANCE = 1e-2  # Å, within which a crystal is symmetric


def space_group(atoms: Atoms) -> str:
    """International symbol of the space group, such as ``Fm-3m``; empty where none is found.

    Raises:
        PropertyError: spglib is not installed.
    """
    spglib = optional("spglib", "the symmetry")
    cell = atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of returning None, or of raising
        try:
            found = spglib.get_symmetry_dataset(cell, symprec=_TOLERANCE)
        except Exception as error:
            if type(error).__module__.partition(".")[0] != "spglib":
                raise
            return ""
    return "" if found is None else str(found.international)
