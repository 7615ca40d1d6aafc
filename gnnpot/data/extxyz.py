"""Extended XYZ as people write it.

``Lattice``, ``Properties`` and ``pbc`` are known in any case, a lattice without ``pbc`` is periodic, and
columns that nobody named are left aside and told.  What looks like a cell and is not read is refused: a
crystal that is taken for a cluster gives wrong numbers without a word.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from ase.io.extxyz import SPECIAL_3_3_KEYS, key_val_str_to_dict
from ase.io.formats import open_with_compression
from jaxtyping import Bool, Float

UNREAD = "unread_columns"  # in info: how many columns of a frame have no name

# The keys that ASE wants to be 3×3, outside of quotes and brackets.
_TENSOR = re.compile(
    r"""("[^"]*"|'[^']*'|\{[^}]*\}|\[[^\]]*\])|(?:^|(?<=\s))"""
    rf"""({"|".join(sorted(SPECIAL_3_3_KEYS))})(?=\s*=)"""
)
# A key without a value or with an empty one, outside of quotes and brackets: ASE takes the next key for it.
_EMPTY = re.compile(
    r"""(?<!\S)([\w:-]+\s*=)(?:\s*(?:""|''|\{\s*\}|\[\s*\])(?!\S)|(?=\s+[\w:-]+\s*=))"""
    r"""|"[^"]*"|'[^']*'|\{[^}]*\}|\[[^\]]*\]"""
)
_NOTHING = "\ue000"  # stands for an empty word
_RAW = ":raw"
_STRUCTURE = {"lattice": "Lattice", "properties": "Properties", "pbc": "pbc"}
_COLUMNS = {
    "species": ("species", "symbols", "symbol", "elements", "element"),
    "Z": ("z", "numbers", "atomic_numbers"),
    "pos": ("pos", "positions", "position"),
}
_LOGICAL = {"t": True, "true": True, "1": True, "f": False, "false": False, "0": False}
_COLUMN_TYPES: dict[str, Callable[[str], Any]] = {
    "S": str,
    "R": float,
    "I": int,
    "L": lambda word: _LOGICAL[word.lower()],
}
_NUMBER = r"[-+]?\d*\.?\d+(?:[eEdD][-+]?\d+)?"
_LIKE_A_CELL = re.compile(
    rf"""(?<![^\W_])(?:unit)?(?:lattice|cell|box|abc|hmat)[\w-]*["'\s:=,\[({{]*(?:{_NUMBER}["'\s,;\[\](){{}}]+){{2,}}{_NUMBER}""",
    re.IGNORECASE,
)
_LONGEST = 2000  # characters of a comment that are looked through
_BARE_CELLS = (6, 9)  # numbers alone in a comment: lengths and angles, or vectors

Array = np.ndarray


def read_extxyz(path: Path) -> Iterator[Atoms]:
    """Extended XYZ; ASE's own loop ends at a blank line and drops the frames behind it."""
    with open_with_compression(str(path), "rb") as file:
        lines = TextIOWrapper(file, encoding="utf-8-sig")
        for line in lines:
            if not line.strip():
                continue
            if not line.strip().isdecimal():
                raise ValueError(f"{line.strip()[:40]!r} where the number of atoms belongs")
            yield _frame(line, lines)


def _frame(count: str, lines: TextIO) -> Atoms:
    size = int(count) + 1
    block = list(islice(lines, size))
    if len(block) < size or size == 1:
        raise ValueError(f"{len(block)} lines where {max(size, 2)} belong")
    info = _comment(block[0])
    columns, unread = _columns(block[1:], info.pop("Properties", "species:S:1:pos:R:3"))
    if unread:
        info[UNREAD] = unread
    said, lattice = info.pop("pbc", None), info.pop("Lattice", None)
    periodic = _periodic(lattice is not None if said is None else said)
    if lattice is None and (said is None or periodic.any()):
        _check_no_cell(block[0])
    atoms = Atoms(
        columns.pop("Z") if "Z" in columns else np.array([_number(s) for s in columns.pop("species")]),
        columns.pop("pos"),
        cell=None if lattice is None else _cell(lattice),
        pbc=periodic,
        info=info,
    )
    atoms.arrays.update(columns)
    return atoms


def _cell(lattice: Any) -> Float[Array, "..."]:
    """Vectors as rows from nine numbers, or three lengths."""
    numbers = np.asarray(lattice)
    if numbers.dtype.kind not in "if" or numbers.size not in (3, 9):
        raise ValueError(f"Lattice={lattice!r} where nine numbers belong")
    return numbers.reshape(3, 3) if numbers.size == 9 else numbers.ravel()


def _periodic(value: Any) -> Bool[Array, "..."]:
    """Truths from one or three of them, or from letters as in "TTF".

    Raises:
        ValueError: The value is no list of directions.
    """
    if isinstance(value, str) and re.fullmatch("[TFtf]{3}", value):
        value = [letter in "Tt" for letter in value]
    truths = np.asarray(value)
    if truths.dtype.kind not in "bi" or truths.size not in (1, 3) or not np.isin(truths, (0, 1)).all():
        raise ValueError(f"pbc={value!r} where three of T and F belong")
    return np.broadcast_to(truths.astype(bool).ravel(), 3)


def _check_no_cell(comment: str) -> None:
    """Refuse a comment that seems to say of a cell in another way.

    Raises:
        ValueError: Naming the words.
    """
    words = comment.replace(",", " ").split()
    bare = len(words) in _BARE_CELLS and all(re.fullmatch(_NUMBER, word) for word in words)
    found = _LIKE_A_CELL.search(comment[:_LONGEST])
    if bare or found:
        said = comment.strip() if bare or found is None else found[0]
        raise ValueError(
            f'{said[:60]!r}, which looks like a cell and is not read: write it as Lattice="ax ay az bx …" '
            "or remove it"
        )


def _number(symbol: str) -> int:
    if symbol.isdecimal() and 0 < int(symbol) < len(atomic_numbers):
        return int(symbol)
    if symbol.capitalize() not in atomic_numbers:
        raise ValueError(f"'{symbol}' where an element belongs")
    return atomic_numbers[symbol.capitalize()]


def _columns(rows: list[str], properties: str) -> tuple[dict[str, Array], int]:
    """Per-atom values by name, as a description like ``species:S:1:pos:R:3`` says, and columns beyond it."""
    words = [row.split() for row in rows]
    widths = {len(row) for row in words}
    if len(widths) > 1:
        raise ValueError(f"rows of {min(widths)} and of {max(widths)} columns")
    columns = list(zip(*words, strict=True))
    fields = properties.split(":")
    arrays = {}
    for name, kind, text in zip(fields[::3], fields[1::3], fields[2::3], strict=True):
        width = int(text)
        taken, columns = columns[:width], columns[width:]
        if len(taken) < width:
            raise ValueError(f"fewer columns than Properties={properties}")
        values = np.array([list(map(_COLUMN_TYPES[kind.upper()], column)) for column in taken]).T
        arrays[name] = values[:, 0] if width == 1 else values
    for ours, names in _COLUMNS.items():
        theirs = next((name for name in arrays if name.lower() in names), ours)
        if ours not in arrays and theirs in arrays:
            arrays[ours] = arrays.pop(theirs)
    if "pos" not in arrays or not arrays.keys() & {"species", "Z"}:
        raise ValueError(f"no species or no pos in Properties={properties}")
    return arrays, len(columns)


def _comment(line: str) -> dict[str, Any]:
    """Parse a comment line, but keep nine numbers in their order and six as six.

    Under ``Lattice``, ``stress`` and ``virial`` ASE transposes the former and refuses the latter.

    Raises:
        ValueError: A word of the structure is there twice, in different spelling.
    """
    info: dict[str, Any] = {}
    for name, value in key_val_str_to_dict(_EMPTY.sub(_empty, _TENSOR.sub(_raw, line))).items():
        plain = name.removesuffix(_RAW)
        known = _STRUCTURE.get(plain.lower(), plain)
        if known in info:
            raise ValueError(f"{known} twice, once as {plain}")
        empty = np.size(value) == 0 or (isinstance(value, str) and value == _NOTHING)
        info[known] = "" if empty else value
    return info


def _empty(match: re.Match[str]) -> str:
    return f"{match[1]}{_NOTHING}" if match[1] else match[0]


def _raw(match: re.Match[str]) -> str:
    return match[1] or f"{match[2]}{_RAW}"
