"""Labeled structures to files, so that reading them again gives the same labels."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io.extxyz import write_extxyz

from gnnpot.data.forces_mask import MASK
from gnnpot.data.structure import bare_structure
from gnnpot.errors import DataError
from gnnpot.system.files import atomic_write, make_folder

_OURS = {"label_keys", "origin", "forces_masked_by"}  # what reading adds
_SELF_EVIDENT = {"group": "", "energy_weight": 1.0, "forces_weight": 1.0, "stress_weight": 1.0}
_EXTXYZ = (".xyz", ".extxyz")
_OTHERS = {".traj": "traj"}  # formats of ASE that hold labels


def write_labeled(path: Path, frames: Iterable[Atoms]) -> int:
    """Write structures with their labels, groups and weights; the file is there whole or not at all.

    Args:
        path: New file: extended XYZ, or a trajectory of ASE, by its suffix.
        frames: As :func:`gnnpot.data.reading.read_frames` yields them.

    Returns:
        Number of structures.

    Raises:
        DataError: The file is there already, or its suffix is of no format that holds labels.
        OutputError: It cannot be written.
    """
    suffix = path.suffix.lower()
    if suffix not in (*_EXTXYZ, *_OTHERS):
        known = ", ".join((*_EXTXYZ, *_OTHERS))
        raise DataError(f"expected a file that holds labels ({known}), got {path}; choose another suffix")
    if path.exists():
        raise DataError(f"expected a new file, got {path}, which is there; choose another, or remove it")
    make_folder(path.parent)
    with atomic_write(path) as aside:
        if suffix in _EXTXYZ:
            return _write_extxyz(aside, frames)
        plain = [_with_mask_in_info(_plain(atoms)) for atoms in frames]
        ase.io.write(str(aside), plain, format=_OTHERS[suffix])
        return len(plain)


def _write_extxyz(path: Path, frames: Iterable[Atoms]) -> int:
    count = 0
    with path.open("w") as file:
        for atoms in frames:
            write_extxyz(file, [_plain(atoms)])
            count += 1
    return count


def _with_mask_in_info(atoms: Atoms) -> Atoms:
    """What these formats have no place for among the arrays."""
    if MASK in atoms.arrays:
        atoms.info[MASK] = atoms.arrays[MASK]
    return atoms


def _plain(atoms: Atoms) -> Atoms:
    """The structure with labels in a calculator, and in ``info`` what is not to be found otherwise."""
    structure = bare_structure(atoms)
    structure.info = {
        name: value
        for name, value in atoms.info.items()
        if name not in _OURS and (name not in _SELF_EVIDENT or value != _SELF_EVIDENT[name])
    }
    results = {} if atoms.calc is None else dict(atoms.calc.results)
    if MASK in atoms.arrays and "forces" in results:
        structure.set_array(MASK, atoms.arrays[MASK])
        results["forces"] = np.where(atoms.arrays[MASK], results["forces"], 0.0)
    if results:
        structure.calc = SinglePointCalculator(structure, **results)
    return structure
