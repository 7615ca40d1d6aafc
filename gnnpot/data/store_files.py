"""The files of a graph store: one a column, and an index that says what they must hold."""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from gnnpot.data.columns import COLUMNS, StructureRow
from gnnpot.errors import DataError, one_line
from gnnpot.system.files import make_folder, write_errors_told, write_text

_FORMAT = 2
_INDEX = "index.json"
_BLOCK = 1 << 22  # bytes that are checked at a time


@dataclass
class StoreIndex:
    """What is known of the structures of a store beside its columns.

    Attributes:
        cutoff: Longest edge (Å).
        origins: File of each structure and its place there.
        groups: Group of each structure.
        hashes: Content hash of each structure.
        num_atoms: Number of all atoms.
        num_pairs: Number of all neighbor pairs.
        checksums: CRC-32 of each column.
        about: Plain JSON that says what the store is of; kept as it is.
    """

    cutoff: float
    origins: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    hashes: list[str] = field(default_factory=list)
    num_atoms: int = 0
    num_pairs: int = 0
    checksums: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COLUMNS, 0))
    about: dict[str, Any] = field(default_factory=dict)

    def add(self, row: StructureRow) -> None:
        """Note one more structure, and write its place into its row."""
        self.origins.append(row.origin)
        self.groups.append(row.group)
        self.hashes.append(row.hash)
        self.num_atoms += len(row.values["positions"])
        self.num_pairs += len(row.values["pair_index"])
        row.values["ends"] = np.array([self.num_atoms, self.num_pairs])

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a column."""
        sizes = {"structure": len(self.origins), "atom": self.num_atoms, "pair": self.num_pairs}
        return (sizes[COLUMNS[name].unit], *COLUMNS[name].shape)

    def num_bytes(self, name: str) -> int:
        """Size of the file of a column."""
        return int(np.prod(self.shape(name))) * np.dtype(COLUMNS[name].dtype).itemsize


class ColumnFiles:
    """The columns of a store while structures are appended to them.

    Nothing counts before :meth:`finish` has written the index.

    Args:
        folder: Folder of the columns; made if it is not there.
        index: Index of the structures that the folder holds; what lies beyond it is cut off.

    Raises:
        OutputError: The folder cannot be made or written to.
    """

    def __init__(self, folder: Path, index: StoreIndex) -> None:
        self.folder, self.index = folder, index
        make_folder(folder)
        with write_errors_told(folder), ExitStack() as opened:
            self._files = {
                name: opened.enter_context((folder / f"{name}.bin").open("ab")) for name in COLUMNS
            }
            for name, file in self._files.items():
                file.truncate(index.num_bytes(name))
            self._opened = opened.pop_all()

    def write(self, row: StructureRow) -> None:
        """Append a structure.

        Raises:
            OutputError: The disk is full.
        """
        self.index.add(row)
        with write_errors_told(self.folder):
            for name, column in COLUMNS.items():
                data = np.ascontiguousarray(row.values[name], dtype=column.dtype).tobytes()
                self._files[name].write(data)
                self.index.checksums[name] = zlib.crc32(data, self.index.checksums[name])

    def finish(self, about: Mapping[str, Any]) -> None:
        """Put all on the disk and write the index, after which the structures count.

        Raises:
            OutputError: The disk is full.
        """
        self.index.about = dict(about)
        with write_errors_told(self.folder):
            for file in self._files.values():
                file.flush()
                os.fsync(file.fileno())
        self.close()
        body = vars(self.index)
        write_text(self.folder / _INDEX, json.dumps({"format": _FORMAT, "hash": _hash(body), **body}))

    def close(self) -> None:
        """Close the files; what was not finished does not count."""
        with write_errors_told(self.folder):
            self._opened.close()


def read_index(folder: Path) -> StoreIndex:
    """The index of the store in ``folder``.

    Raises:
        DataError: There is none, or it was changed, or another version wrote it.
    """
    try:
        body = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
        if body.pop("format") != _FORMAT or body.pop("hash") != _hash(body):
            raise ValueError("one of another version, or one that was changed")
        return StoreIndex(**body)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise _no_graphs(folder, error) from error


def check_columns(folder: Path, index: StoreIndex) -> None:
    """Refuse files that do not hold what the index says.

    Raises:
        DataError: One is missing or too short, or a byte of it is another.
    """
    for name in COLUMNS:
        checksum = 0
        try:
            for block in _blocks(folder / f"{name}.bin", index.num_bytes(name)):
                checksum = zlib.crc32(block, checksum)
        except OSError as error:
            raise _no_graphs(folder, error) from error
        if checksum != index.checksums[name]:
            raise DataError(f"expected whole graphs in {folder}, got a changed {name}; build them again")


def mapped_columns(folder: Path, index: StoreIndex) -> dict[str, np.ndarray]:
    """The columns, mapped into memory.

    Raises:
        DataError: A file is missing or too short.
    """
    columns = {}
    for name, column in COLUMNS.items():
        shape = index.shape(name)
        try:
            columns[name] = (
                np.asarray(np.memmap(folder / f"{name}.bin", dtype=column.dtype, mode="r", shape=shape))
                if 0 not in shape  # nothing cannot be mapped
                else np.empty(shape, dtype=column.dtype)
            )
        except (OSError, ValueError) as error:
            raise _no_graphs(folder, error) from error
    return columns


def _no_graphs(folder: Path, error: Exception) -> DataError:
    reason = getattr(error, "strerror", None) or one_line(error)
    return DataError(f"expected graphs in {folder}, got none ({reason}); build them again")


def _hash(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body).encode()).hexdigest()


def _blocks(path: Path, size: int) -> Iterator[bytes]:
    """The first ``size`` bytes of a file, some at a time; fewer where it ends before."""
    with path.open("rb") as file:
        while size > 0 and (block := file.read(min(size, _BLOCK))):
            size -= len(block)
            yield block
