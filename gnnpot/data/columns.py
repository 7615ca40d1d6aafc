"""A labeled structure as one row of each column of a store."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from ase import Atoms

from gnnpot.data.labels import nonfinite_labels
from gnnpot.data.reading import content_hash, is_isolated_atom
from gnnpot.errors import DataError
from gnnpot.graph.graph import LABELS, label_arrays
from gnnpot.graph.neighbors import Pairs, pairs_of


class Column(NamedTuple):
    """One quantity of all structures.

    Attributes:
        dtype: Type on disk.
        shape: Shape of one entry.
        unit: The thing that an entry belongs to: "structure", "atom" or "pair".
    """

    dtype: str
    shape: tuple[int, ...]
    unit: str


COLUMNS = {
    "atomic_numbers": Column("u1", (), "atom"),
    "positions": Column("<f8", (3,), "atom"),
    "forces": Column("<f8", (3,), "atom"),
    "pair_index": Column("<i4", (2,), "pair"),
    "pair_shifts": Column("<i2", (3,), "pair"),
    "cell": Column("<f8", (3, 3), "structure"),
    "pbc": Column("?", (3,), "structure"),
    "energy": Column("<f8", (), "structure"),
    "stress": Column("<f8", (3, 3), "structure"),
    "weights": Column("<f8", (3,), "structure"),  # of energy, forces, stress
    "isolated": Column("?", (), "structure"),
    "ends": Column("<i8", (2,), "structure"),  # atoms and pairs up to and with this structure
}
_FARTHEST = np.iinfo(COLUMNS["pair_shifts"].dtype).max  # cells


class StructureRow(NamedTuple):
    """What a store keeps of one structure.

    Attributes:
        origin: File and place in it.
        group: Its group, "" if it has none.
        hash: Content hash.
        values: Entries of all columns but ``ends`` by name.
    """

    origin: str
    group: str
    hash: str
    values: dict[str, np.ndarray]


def structure_row(atoms: Atoms, pairs: Pairs) -> StructureRow:
    """A labeled structure with its neighbor pairs.

    Raises:
        DataError: A label is not finite, or two neighbors lie too many cells apart.
    """
    labels, origin = label_arrays(atoms), origin_of(atoms)
    for name in nonfinite_labels(atoms, labels):
        raise DataError(f"expected a finite {name} label in {origin}, got NaN or infinity; remove the frame")
    values = {
        "atomic_numbers": atoms.numbers,
        "positions": atoms.positions,
        **pair_values(pairs, origin),
        "cell": atoms.cell.array,
        "pbc": atoms.pbc,
        "isolated": np.array(is_isolated_atom(atoms)),
        **_label_values(atoms, labels),
    }
    return StructureRow(origin, str(atoms.info.get("group", "")), content_hash(atoms), values)


def pair_values(pairs: Pairs, origin: str) -> dict[str, np.ndarray]:
    """Neighbor pairs of the structure from ``origin`` as entries of their columns.

    Raises:
        DataError: Two neighbors lie too many cells apart.
    """
    farthest = int(np.abs(pairs.shifts).max(initial=0))
    if farthest > _FARTHEST:
        raise DataError(
            f"expected atoms within {_FARTHEST:,} cells of their neighbors in {origin}, got {farthest:,}; "
            "wrap the positions into the cell"
        )
    return {"pair_index": np.stack([pairs.source, pairs.center], axis=1), "pair_shifts": pairs.shifts}


def named_pairs(atoms: Atoms, cutoff: float) -> Pairs:
    """The neighbor pairs of a structure up to ``cutoff`` (Å).

    Raises:
        DataError: They cannot be found; the message names the structure.
    """
    try:
        return pairs_of(atoms, cutoff)
    except DataError as error:
        raise DataError(f"{origin_of(atoms)}: {error}") from error


def origin_of(atoms: Atoms) -> str:
    """Where a structure came from, else its formula."""
    return str(atoms.info.get("origin", atoms.symbols))


def label_hash(atoms: Atoms) -> str:
    """Hash of the labels of a structure and of their weights."""
    return hash_of_labels(_label_values(atoms, label_arrays(atoms)))


def hash_of_labels(values: Mapping[str, np.ndarray]) -> str:
    """The same of the entries of the columns of a structure."""
    state = hashlib.sha256()
    for name in (*LABELS, "weights"):
        state.update(np.asarray(values[name], dtype="f8").tobytes())
    return state.hexdigest()[:16]


def _label_values(atoms: Atoms, labels: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Labels and weights of a structure as entries of their columns; NaN where it has none."""
    return {
        "energy": labels.get("energy", np.array([np.nan])),
        "forces": labels.get("forces", np.full((len(atoms), 3), np.nan)),
        "stress": labels.get("stress", np.full((1, 3, 3), np.nan)),
        "weights": np.array([atoms.info.get(f"{name}_weight", 1.0) for name in LABELS]),
    }
