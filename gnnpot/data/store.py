"""Structures as graphs, built once: on disk, where they are read lazily, or a few in memory."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from copy import copy
from pathlib import Path
from typing import Any, Self

import numpy as np
from ase import Atoms
from jaxtyping import Bool, Float, Int

from gnnpot.data.columns import COLUMNS, StructureRow, named_pairs, pair_values, structure_row
from gnnpot.data.offset_table import OffsetTable
from gnnpot.data.store_files import ColumnFiles, StoreIndex, check_columns, mapped_columns, read_index
from gnnpot.graph.neighbors import Pairs, unique_pairs


class GraphStore:
    """Structures with their neighbor pairs and labels, in one array a quantity.

    On disk each array is a file that is mapped into memory, so that a set of any size takes the memory of
    the structures that are looked at.  Labels that a structure lacks are NaN, and so are forces that do not
    count; labels that are not finite never get here.  :meth:`build`, :meth:`open` and :meth:`in_memory`
    make one.

    Args:
        index: Origins, groups and hashes of the structures, and sizes.
        columns: Arrays by name.
        folder: Folder of the arrays; None in memory.
    """

    atomic_numbers: Int[np.ndarray, "N"]
    positions: Float[np.ndarray, "N 3"]
    forces: Float[np.ndarray, "N 3"]
    pair_index: Int[np.ndarray, "P 2"]
    pair_shifts: Int[np.ndarray, "P 3"]
    cell: Float[np.ndarray, "S 3 3"]
    pbc: Bool[np.ndarray, "S 3"]
    energy: Float[np.ndarray, "S"]
    stress: Float[np.ndarray, "S 3 3"]
    weights: Float[np.ndarray, "S 3"]
    isolated: Bool[np.ndarray, "S"]
    ends: Int[np.ndarray, "S 2"]

    def __init__(
        self, index: StoreIndex, columns: Mapping[str, np.ndarray], folder: Path | None = None
    ) -> None:
        self.index, self.folder = index, folder
        self.cutoff, self.about = index.cutoff, index.about
        self.origins, self.groups, self.hashes = index.origins, index.groups, index.hashes
        self.stress_offset = OffsetTable()
        for name in COLUMNS:
            setattr(self, name, columns[name])

    @classmethod
    def build(cls, frames: Iterable[Atoms], cutoff: float, folder: Path) -> GraphStore:
        """Write the graphs of ``frames``, one after another, and open them.

        Args:
            frames: Labeled structures, as :func:`gnnpot.data.reading.read_frames` yields them.
            cutoff: Longest edge (Å).
            folder: Folder to write to; what it holds is replaced.

        Raises:
            DataError: A structure that cannot be a graph; the message names it.
            OutputError: The disk is full, or the folder cannot be written to.
        """
        with StoreWriter(folder, cutoff) as writer:
            for atoms in frames:
                writer.add(atoms, named_pairs(atoms, cutoff))
            return writer.finish()

    @classmethod
    def open(cls, folder: Path) -> GraphStore:
        """The store in ``folder``, after a check of every byte.

        Raises:
            DataError: There is none, it was cut off or changed, or another version wrote it.
        """
        check_columns(Path(folder), read_index(Path(folder)))
        return cls.mapped(folder)

    @classmethod
    def mapped(cls, folder: Path) -> GraphStore:
        """The store in ``folder`` without that check, where it was checked or written just now.

        Raises:
            DataError: There is none.
        """
        index = read_index(Path(folder))
        return cls(index, mapped_columns(Path(folder), index), Path(folder))

    @classmethod
    def in_memory(cls, frames: Iterable[Atoms], cutoff: float) -> GraphStore:
        """The graphs of a few ``frames``, without a folder.

        Raises:
            DataError: A structure that cannot be a graph; the message names it.
        """
        index, rows = StoreIndex(cutoff), []
        for atoms in frames:
            rows.append(structure_row(atoms, named_pairs(atoms, cutoff)))
            index.add(rows[-1])
        return cls(index, {name: _joined(name, rows, index.shape(name)) for name in COLUMNS})

    def __reduce__(self) -> tuple[Any, ...]:
        """Processes that this is sent to map the files themselves."""
        if self.folder is None:
            return GraphStore, (self.index, {name: getattr(self, name) for name in COLUMNS})
        return _shifted, (self.folder, self.stress_offset)

    def append(self, frames: Iterable[Atoms]) -> GraphStore:
        """The store with more structures behind those that it has; what is there is not made anew.

        This object keeps the structures that it has.  Where appending is cut off, or a structure is
        refused, the folder keeps them, too.

        Args:
            frames: Labeled structures.

        Raises:
            DataError: A structure that cannot be a graph; the message names it.
            OutputError: The disk is full, or the folder cannot be written to.
        """
        files = ColumnFiles(self._own_folder, read_index(self._own_folder))
        try:
            for atoms in frames:
                files.write(structure_row(atoms, named_pairs(atoms, self.cutoff)))
            files.finish(self.about)
        finally:
            files.close()
        return _shifted(self._own_folder, self.stress_offset)

    def with_cutoff(self, cutoff: float) -> GraphStore:
        """The same structures with edges up to another length, in place of this store.

        Raises:
            OutputError: The disk is full, or the folder cannot be written to.
        """
        folder = self._own_folder
        aside = folder.with_name(f"{folder.name}.partial")
        written = GraphStore.mapped(folder)
        with StoreWriter(aside, cutoff) as writer:
            for row in range(len(self)):
                writer.copy(written, row)
            writer.finish(self.about)
        shutil.rmtree(folder, ignore_errors=True)
        aside.rename(folder)
        return _shifted(folder, self.stress_offset)

    def without_stress_offset(self, offsets: OffsetTable) -> GraphStore:
        """The same structures with another pressure taken off the stress labels; files stay as they are."""
        volumes = np.abs(np.linalg.det(self.cell))
        density = np.divide(self.num_atoms(), volumes, out=np.zeros(len(self)), where=volumes > 0)
        store = copy(self)
        store.stress_offset = offsets
        change = (self._offsets(self.stress_offset) - self._offsets(offsets)) * density
        store.stress = self.stress + change[:, None, None] * np.eye(3)
        return store

    def _offsets(self, table: OffsetTable) -> Float[np.ndarray, "S"]:
        """What a table says of each structure (eV)."""
        files = (origin.rpartition(":")[0] for origin in self.origins)
        return np.array([table.of(*place) for place in zip(files, self.groups, strict=True)], dtype=float)

    @property
    def _own_folder(self) -> Path:
        if self.folder is None:
            raise ValueError("expected a store in a folder, got one in memory; build it in a folder")
        return self.folder

    def __len__(self) -> int:
        return len(self.origins)

    def atom_range(self, row: int) -> tuple[int, int]:
        """First atom of a structure and the one after its last."""
        return self._range(row, 0)

    def pair_range(self, row: int) -> tuple[int, int]:
        """First pair of a structure and the one after its last."""
        return self._range(row, 1)

    def structure_rows(self) -> list[int]:
        """Rows of the structures to learn from: all but the isolated atoms."""
        return np.flatnonzero(~self.isolated).tolist()

    def _range(self, row: int, column: int) -> tuple[int, int]:
        return (int(self.ends[row - 1, column]) if row else 0), int(self.ends[row, column])

    def entries(self, row: int) -> dict[str, np.ndarray]:
        """What the columns hold of a structure, by name."""
        ranges = {
            "structure": slice(row, row + 1),
            "atom": slice(*self.atom_range(row)),
            "pair": slice(*self.pair_range(row)),
        }
        return {name: getattr(self, name)[ranges[column.unit]] for name, column in COLUMNS.items()}

    def num_atoms(self) -> Int[np.ndarray, "S"]:
        """Number of atoms of each structure."""
        return np.diff(self.ends[:, 0], prepend=0)

    def forces_of(self, rows: Iterable[int]) -> Float[np.ndarray, "N 3"]:
        """Force labels of these structures one after another (eV/Å)."""
        chosen = [self.forces[slice(*self.atom_range(row))] for row in rows]
        return np.concatenate(chosen) if chosen else np.empty((0, 3))

    def composition(self, row: int) -> dict[int, int]:
        """How many atoms of each atomic number a structure has."""
        numbers, counts = np.unique(self.atomic_numbers[slice(*self.atom_range(row))], return_counts=True)
        return dict(zip(numbers.tolist(), counts.tolist(), strict=True))


class StoreWriter:
    """Writes a new store, structure by structure.

    A folder without an index is no store: it is written last, by :meth:`finish`.  If the block ends with
    an error the folder is removed.

    Args:
        folder: Folder to write to; what it holds is replaced.
        cutoff: Longest edge (Å).

    Raises:
        OutputError: The folder cannot be made or written to.
    """

    def __init__(self, folder: Path, cutoff: float) -> None:
        self.folder, self.cutoff = Path(folder), cutoff
        shutil.rmtree(folder, ignore_errors=True)
        self._files = ColumnFiles(self.folder, StoreIndex(cutoff))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._files.close()
        if kind is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def add(self, atoms: Atoms, pairs: Pairs) -> None:
        """Write a labeled structure with its neighbor pairs up to the cutoff.

        Raises:
            DataError: A label is not finite, or two neighbors lie too many cells apart.
            OutputError: The disk is full.
        """
        self._files.write(structure_row(atoms, pairs))

    def copy(self, store: GraphStore, row: int) -> None:
        """Write a structure of another store with neighbor pairs up to the cutoff of this one.

        Raises:
            OutputError: The disk is full.
        """
        values, origin = store.entries(row), store.origins[row]
        pairs = unique_pairs(values["positions"], values["cell"][0], values["pbc"][0], self.cutoff)
        values.update(pair_values(pairs, origin))
        self._files.write(StructureRow(origin, store.groups[row], store.hashes[row], values))

    def finish(self, about: Mapping[str, Any] | None = None) -> GraphStore:
        """Close the store and open it for reading.

        Args:
            about: Plain JSON that says what the store is of; kept as it is.

        Raises:
            OutputError: The disk is full.
        """
        self._files.finish(about or {})
        return GraphStore.mapped(self.folder)


def _shifted(folder: Path, offsets: OffsetTable) -> GraphStore:
    """The store in a folder, with a pressure taken off the stress labels."""
    store = GraphStore.mapped(folder)
    return store.without_stress_offset(offsets) if offsets else store


def _joined(name: str, rows: Iterable[StructureRow], shape: tuple[int, ...]) -> np.ndarray:
    """A column from the entries of all structures."""
    dtype = COLUMNS[name].dtype
    parts = [np.asarray(row.values[name], dtype=dtype).reshape(-1, *shape[1:]) for row in rows]
    return np.concatenate(parts) if parts else np.empty(shape, dtype=dtype)
