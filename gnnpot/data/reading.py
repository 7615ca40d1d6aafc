"""Files to labeled structures, one after another, whatever format ASE knows."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import ase.db
import ase.io
import numpy as np
from ase import Atoms
from ase.calculators.calculator import compare_atoms

from gnnpot.config.registry import nearest
from gnnpot.data.extxyz import read_extxyz
from gnnpot.data.keys import LabelKeys
from gnnpot.data.labels import labeled
from gnnpot.errors import DataError, one_line

_AS_READ = LabelKeys()
_NO_PART = {"initial_charges", "initial_magmoms"}  # of what a structure is
MEMORY = "memory:"  # stands for a file where structures are in memory

Array = np.ndarray


def read_frames(paths: Iterable[Path], keys: LabelKeys = _AS_READ) -> Iterator[Atoms]:
    """Read labeled structures; only one of them is in memory.

    Each frame is new, without constraints (they would zero forces).  Its calculator holds the labels
    that are there; its ``info`` holds ``origin`` ("file.xyz:17", counted from 1), ``group`` ("" if
    none), ``energy_weight``, ``forces_weight``, ``stress_weight``, ``label_keys`` (quantity → key that
    it came from), and what else the file says of the frame.

    Args:
        paths: Extended XYZ, ASE trajectories and databases, outputs of VASP, Quantum ESPRESSO, ….
        keys: Names, units and signs of the labels.

    Raises:
        DataError: A file is missing, empty or not of structures; a label has the wrong shape, or a
            virial no volume; a weight is negative; or no frame has a named key.
    """
    missing, present = keys.named, set[str]()
    for path in paths:
        for number, atoms in enumerate(_raw_frames(Path(path)), start=1):
            values = _values(atoms)
            if missing:
                missing = {field: name for field, name in missing.items() if name not in values}
                present.update(values)
            yield labeled(atoms, values, f"{path}:{number}", keys)
    for field, name in missing.items():
        known = nearest(name, present - {"numbers", "positions"})
        raise DataError(f"expected keys.{field} = {name!r} in some frame, got none; {known}")


def read_memory(frames: Iterable[Atoms], keys: LabelKeys = _AS_READ) -> Iterator[Atoms]:
    """Labeled structures in memory, as :func:`read_frames` yields those of files.

    Their origins are "memory:17", counted from 1.

    Raises:
        DataError: As for files, or the results of a calculator are those of another structure.
    """
    for number, atoms in enumerate(frames, start=1):
        origin = f"{MEMORY}{number}"
        check_results(atoms, origin)
        yield labeled(atoms, _values(atoms), origin, keys)


def check_results(atoms: Atoms, origin: str) -> None:
    """Refuse results that a calculator has of another structure than the one that it stands on.

    They are left where several structures share one calculator, or where atoms moved afterwards.

    Raises:
        DataError: Naming what differs.
    """
    known = getattr(atoms.calc, "atoms", None)
    if known is None or not atoms.calc.results:
        return
    if changes := compare_atoms(known, atoms, tol=1e-8, excluded_properties=_NO_PART):
        raise DataError(
            f"expected results of {origin} in its calculator, got those of another structure, with other "
            f"{', '.join(sorted(changes))}; keep each in a SinglePointCalculator of its own"
        )


def content_hash(atoms: Atoms) -> str:
    """SHA-256 of the structure alone: numbers, positions, cell, periodicity; lengths to 1e-6 Å."""
    digest = hashlib.sha256(atoms.numbers.astype("<i8").tobytes())
    for lengths in (atoms.positions, atoms.cell.array):
        digest.update((np.rint(lengths * 1e6) + 0.0).astype("<f8").tobytes())  # + 0.0 makes −0 a 0
    digest.update(atoms.pbc.tobytes())
    return digest.hexdigest()


def is_isolated_atom(atoms: Atoms) -> bool:
    """Whether the frame is there to give the energy of a free atom."""
    kinds = (str(atoms.info.get(name, "")).replace("_", "").lower() for name in ("config_type", "group"))
    return len(atoms) == 1 and "isolatedatom" in kinds


def nonfinite(atoms: Atoms) -> list[str]:
    """Which of positions, cell and labels hold NaN or infinity."""
    results = {} if atoms.calc is None else atoms.calc.results
    values = {"positions": atoms.positions, "cell": atoms.cell.array, **results}
    return [name for name, value in values.items() if not np.isfinite(value).all()]


def check_finite(atoms: Atoms) -> None:
    """Refuse a frame with a number that is not finite.

    Raises:
        DataError: Positions, cell or a label hold NaN or infinity.
    """
    if names := nonfinite(atoms):
        raise DataError(
            f"expected finite {names[0]} in {atoms.info['origin']}, got NaN or infinity; remove the frame"
        )


def check_file(path: Path) -> None:
    """Refuse a path at which no file of structures can be.

    Raises:
        DataError: Nothing is there, or a folder, or an empty file.
    """
    if not path.is_file():
        found = "a folder" if path.is_dir() else "nothing"
        raise DataError(f"expected a file of structures, got {found} at {path}; check the path")
    if path.stat().st_size == 0:
        raise DataError(f"expected structures in {path}, got an empty file; check how it was written")


def _raw_frames(path: Path) -> Iterator[Atoms]:
    """The frames as ASE reads them, with errors that name the file and the frame."""
    check_file(path)
    number = 0
    try:
        for atoms in _reader(path)(path):
            number += 1
            if not len(atoms):
                raise DataError(f"expected atoms in {path}:{number}, got none; remove the frame")
            yield atoms
    except DataError:
        raise
    except ImportError as error:
        package = (error.name or "").partition(".")[0] or "that it names"
        raise DataError(
            f"expected the package {package} to read {path}, got none ({one_line(error)[:100]}); install it: "
            f"pip install {package}"
        ) from error
    except Exception as error:  # ASE's parsers raise anything at all on files that they cannot read
        reason = one_line(error)
        raise DataError(
            f"expected a structure at {path}:{number + 1}, got {reason[:200]}; check the file"
        ) from error
    if number == 0:
        raise DataError(f"expected structures in {path}, got none; check how it was written")


def _reader(path: Path) -> Callable[[Path], Iterator[Atoms]]:
    suffixes = [suffix for suffix in path.suffixes if suffix not in (".gz", ".bz2", ".xz")]
    known = {".xyz": read_extxyz, ".extxyz": read_extxyz, ".db": _read_database}
    return known.get(suffixes[-1] if suffixes else "", _read_with_ase)


def _read_with_ase(path: Path) -> Iterator[Atoms]:
    yield from ase.io.iread(str(path), index=":", do_not_split_by_at_sign=True)


def _read_database(path: Path) -> Iterator[Atoms]:
    with ase.db.connect(path, serial=True) as database:
        for row in database.select():
            atoms = row.toatoms()
            atoms.info.update({**row.data, **row.key_value_pairs})
            yield atoms


def _values(atoms: Atoms) -> dict[str, Any]:
    """All that a file holds of a frame, by the name that it has there; ``info`` before the rest."""
    results = {} if atoms.calc is None else atoms.calc.results
    values = {**results, **atoms.arrays, **atoms.info}
    return {name: value for name, value in values.items() if value is not None}
