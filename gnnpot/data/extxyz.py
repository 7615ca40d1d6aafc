"""Extended XYZ as people write it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from ase.io.extxyz import key_val_str_to_dict
from ase.io.formats import open_with_compression

_TENSOR = re.compile(r"(?:^|(?<=\s))(stress|virial)=")
_RAW = ":raw"
_COLUMN_TYPES: dict[str, Callable[[str], Any]] = {
    "S": str,
    "R": float,
    "I": int,
    "L": {"T": True, "F": False, "True": True, "False": False}.__getitem__,
}

Array = np.ndarray


def read_extxyz(path: Path) -> Iterator[Atoms]:
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
