"""Rows of ASE's database, many in one statement.

ASE itself writes and reads them one at a time, which takes longer than a label of a fast method.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

import numpy as np
from ase.data import atomic_masses
from ase.db.core import now

from gnnpot.errors import DataError
from gnnpot.labeling.labeler import Label
from gnnpot.labeling.methods import Method, Record

_IN_TABLE = ("energy", "forces", "stress", "magmoms")  # columns of ASE's table
STORED = ("energy", "forces", "stress", "magmoms", "energies")  # results that a label keeps
_PBC = (1, 2, 4)  # ASE keeps three truths in one number


def tag(method: Method) -> str:
    """Hash of a method in letters that ASE does not take for a number."""
    return f"m{method.hash[:15]}"


def insert(database: Any, method: Method, records: Sequence[Record]) -> None:
    """Write records as ASE would, in the open transaction.

    Args:
        database: ASE's, with a connection.
        method: Reference method of the labels.
        records: Records to insert, at most as many as one query takes keys.
    """
    if not records:
        return
    cursor = database.connection.cursor()
    words = [_words(method, record) for record in records]
    rows = [_row(database, record, said) for record, said in zip(records, words, strict=True)]
    fields = ", ".join([database.default, *"?" * len(rows[0])])
    cursor.executemany(f"INSERT INTO systems VALUES ({fields})", rows)
    numbers = _select(cursor, ("unique_id", "id"), [record.key for record in records])
    ids = [numbers[record.key][0] for record in records]
    _insert_many(
        cursor,
        "species",
        [
            (number, count, id)
            for id, record in zip(ids, records, strict=True)
            for number, count in Counter(record.atoms.numbers.tolist()).items()
        ],
    )
    pairs = [(key, value, id) for id, said in zip(ids, words, strict=True) for key, value in said.items()]
    _insert_many(cursor, "text_key_values", [pair for pair in pairs if isinstance(pair[1], str)])
    _insert_many(cursor, "number_key_values", [pair for pair in pairs if not isinstance(pair[1], str)])
    _insert_many(cursor, "keys", [(key, id) for key, _, id in pairs])


def results(database: Any, keys: Sequence[str]) -> list[dict[str, Any]]:
    """Energy (eV), forces (eV/Å), stress (eV/Å³, Voigt), … of labels, in the order of ``keys``.

    Args:
        database: ASE's, with a connection.
        keys: Keys of stored labels, at most as many as one query takes.

    Raises:
        DataError: A label is not as it was stored.
    """
    columns = ("unique_id", *_IN_TABLE, "data")
    rows = _select(database.connection.cursor(), columns, keys)
    return [_results(database, key, rows[key]) for key in keys]


def checksum(label: Mapping[str, Any]) -> str:
    """Hash of the numbers of a label, which tells whether they are still as they were stored."""
    digest = sha256()
    for name in sorted(label):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(label[name], dtype="<f8").tobytes())
    return digest.hexdigest()[:16]


def check_label(label: Mapping[str, Any], data: Mapping[str, Any], key: str) -> None:
    """Check a label against the hash that was stored with it; older stores hold none.

    Raises:
        DataError: The numbers have changed.
    """
    if data.get("checksum", checksum(label)) != checksum(label):
        raise DataError(
            f"expected the label {key} as it was stored, got other numbers: the store is damaged; restore a "
            f"copy, or remove the label by 'ase db STORE unique_id={key} --delete' to compute it again"
        )


def _results(database: Any, key: str, row: Sequence[Any]) -> dict[str, Any]:
    energy, forces, stress, magmoms, encoded = row
    data = database.decode(encoded)
    arrays = {
        "forces": database.deblob(forces, shape=(-1, 3)),
        "stress": database.deblob(stress),
        "magmoms": database.deblob(magmoms),
        "energies": data.get("energies"),
    }
    label = {"energy": energy, **{name: array for name, array in arrays.items() if array is not None}}
    check_label(label, data, key)
    return label


def _words(method: Method, record: Record) -> dict[str, Any]:
    outcome = record.outcome
    told = {"seconds": outcome.seconds} if isinstance(outcome, Label) else {"failure": _text(outcome.kind)}
    return {"method": _text(method.name), "method_hash": tag(method), **told}


def _text(words: str) -> str:
    """Words without what no database takes: surrogates alone, as of bytes that are no UTF-8, and zeros."""
    return words.encode("utf-8", "replace").decode("utf-8").replace("\x00", "?")


def _row(database: Any, record: Record, words: dict[str, Any]) -> list[Any]:
    """Values of all columns but the number of the row."""
    atoms, outcome, blob, time = record.atoms, record.outcome, database.blob, now()
    volume = float(abs(np.linalg.det(atoms.cell.array)))
    values = {
        "unique_id": record.key,
        "ctime": time,
        "mtime": time,
        "username": os.getenv("USER"),
        "numbers": blob(atoms.numbers),
        "positions": blob(atoms.positions),
        "cell": blob(atoms.cell.array),
        "pbc": int(np.dot(atoms.pbc, _PBC)),
        "key_value_pairs": database.encode(words),
        "natoms": len(atoms),
        "volume": volume or None,
        "mass": float(atomic_masses[atoms.numbers].sum()),
        "charge": 0.0,
    }
    if isinstance(outcome, Label):
        found = outcome.results
        values |= {"calculator": words["method"], "calculator_parameters": database.encode({})}
        values |= {name: blob(found[name]) for name in _IN_TABLE[1:] if name in found}
        values |= {"energy": float(found["energy"]), "fmax": _largest(found["forces"])}
        if "stress" in found:
            values["smax"] = float(np.abs(found["stress"]).max())
        stored = {name: found[name] for name in STORED if name in found}
        data = {name: found[name] for name in ("energies",) if name in found} | {"checksum": checksum(stored)}
    else:
        data = {"reason": _text(outcome.reason)}
    values["data"] = database.encode(data, binary=True)
    return [values.get(name) for name in database.columnnames[1:]]


def _largest(forces: np.ndarray) -> float | None:
    """The largest force on an atom (eV/Å)."""
    return float(np.sqrt(np.square(forces).sum(axis=1).max())) if len(forces) else None


def _select(cursor: Any, columns: Sequence[str], keys: Sequence[str]) -> dict[str, tuple[Any, ...]]:
    """Some columns of the rows of ``keys``, by the first of them."""
    marks = ", ".join("?" * len(keys))
    cursor.execute(f"SELECT {', '.join(columns)} FROM systems WHERE unique_id IN ({marks})", tuple(keys))
    return {row[0]: row[1:] for row in cursor.fetchall()}


def _insert_many(cursor: Any, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
    if rows:
        cursor.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(rows[0]))})", rows)
