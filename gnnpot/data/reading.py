"""Files to labeled structures, one after another, whatever format ASE knows."""

from __future__ import annotations

import hashlib
import re
import sqlite3
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, TextIO
from xml.etree.ElementTree import ParseError

import ase.db
import ase.io
import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from ase.io.extxyz import key_val_str_to_dict
from ase.io.formats import UnknownFileTypeError, open_with_compression

from gnnpot.config.registry import nearest
from gnnpot.data.labels import LabelKeys as LabelKeys
from gnnpot.data.labels import labeled
from gnnpot.errors import DataError, one_line

# What the parsers of ASE raise on files that they cannot read.
_PARSER_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    ParseError,
    RuntimeError,
    TypeError,
    UnknownFileTypeError,
    ValueError,
    sqlite3.Error,
    struct.error,
    zlib.error,
)
_AS_READ = LabelKeys()
_TENSOR = re.compile(r"(?:^|(?<=\s))(stress|virial)=")
_RAW = ":raw"
_COLUMN_TYPES: dict[str, Callable[[str], Any]] = {
    "S": str,
    "R": float,
    "I": int,
    "L": {"T": True, "F": False, "True": True, "False": False}.__getitem__,
}

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


def _raw_frames(path: Path) -> Iterator[Atoms]:
    """The frames as ASE reads them, with errors that name the file and the frame."""
    if not path.is_file():
        found = "a folder" if path.is_dir() else "nothing"
        raise DataError(f"expected a file of structures, got {found} at {path}; check the path")
    if path.stat().st_size == 0:
        raise DataError(f"expected structures in {path}, got an empty file; check how it was written")
    number = 0
    try:
        for atoms in _reader(path)(path):
            number += 1
            yield atoms
    except _PARSER_ERRORS as error:
        reason = one_line(error)
        raise DataError(
            f"expected a structure at {path}:{number + 1}, got {reason[:200]}; check the file"
        ) from error
    if number == 0:
        raise DataError(f"expected structures in {path}, got none; check how it was written")


def _reader(path: Path) -> Callable[[Path], Iterator[Atoms]]:
    suffixes = [suffix for suffix in path.suffixes if suffix not in (".gz", ".bz2", ".xz")]
    known = {".xyz": _read_extxyz, ".extxyz": _read_extxyz, ".db": _read_database}
    return known.get(suffixes[-1] if suffixes else "", _read_with_ase)


def _read_with_ase(path: Path) -> Iterator[Atoms]:
    yield from ase.io.iread(str(path), index=":", do_not_split_by_at_sign=True)


def _read_database(path: Path) -> Iterator[Atoms]:
    with ase.db.connect(path, serial=True) as database:
        for row in database.select():
            atoms = row.toatoms()
            atoms.info.update({**row.data, **row.key_value_pairs})
            yield atoms


def _read_extxyz(path: Path) -> Iterator[Atoms]:
    """Extended XYZ; ASE's own loop ends at a blank line and drops the frames behind it."""
    with open_with_compression(str(path), "rt") as lines:
        for line in lines:
            if not line.strip():
                continue
            if not line.strip().isdecimal():
                raise ValueError(f"{line.strip()[:40]!r} where the number of atoms belongs")
            yield _extxyz_frame(line, lines)


def _extxyz_frame(count: str, lines: TextIO) -> Atoms:
    size = int(count) + 1
    block = list(islice(lines, size))
    if len(block) < size or size == 1:
        raise ValueError(f"{len(block)} lines where {max(size, 2)} belong")
    info = _comment(block[0])
    columns = _columns(block[1:], info.pop("Properties", "species:S:1:pos:R:3"))
    lattice = info.pop("Lattice", None)
    atoms = Atoms(
        columns.pop("Z") if "Z" in columns else np.array([_number(s) for s in columns.pop("species")]),
        columns.pop("pos"),
        cell=None if lattice is None else lattice.T,
        pbc=info.pop("pbc", lattice is not None),
        info=info,
    )
    atoms.arrays.update(columns)
    return atoms


def _number(symbol: str) -> int:
    if symbol.capitalize() not in atomic_numbers:
        raise ValueError(f"'{symbol}' where an element belongs")
    return atomic_numbers[symbol.capitalize()]


def _columns(rows: list[str], properties: str) -> dict[str, Array]:
    """Per-atom values by name, as a description like ``species:S:1:pos:R:3`` says."""
    columns = list(zip(*(row.split() for row in rows), strict=True))
    fields = properties.split(":")
    arrays = {}
    for name, kind, text in zip(fields[::3], fields[1::3], fields[2::3], strict=True):
        width = int(text)
        taken, columns = columns[:width], columns[width:]
        if len(taken) < width:
            raise ValueError(f"fewer columns than Properties={properties}")
        values = np.array([list(map(_COLUMN_TYPES[kind], column)) for column in taken]).T
        arrays[name] = values[:, 0] if width == 1 else values
    return arrays


def _comment(line: str) -> dict[str, Any]:
    """Parse a comment line, but keep nine numbers in their order and six as six.

    Under ``stress`` and ``virial`` ASE transposes the former and refuses the latter.
    """
    info = key_val_str_to_dict(_TENSOR.sub(rf"\1{_RAW}=", line))
    return {name.removesuffix(_RAW): value for name, value in info.items()}


def _values(atoms: Atoms) -> dict[str, Any]:
    """All that a file holds of a frame, by the name that it has there; ``info`` before the rest."""
    results = {} if atoms.calc is None else atoms.calc.results
    values = {**results, **atoms.arrays, **atoms.info}
    return {name: value for name, value in values.items() if value is not None}
