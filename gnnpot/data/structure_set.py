"""Labeled structures to read: in files, or in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ase import Atoms

from gnnpot.config.base import data_paths
from gnnpot.data.columns import label_hash
from gnnpot.data.keys import LabelKeys
from gnnpot.data.reading import (
    MEMORY,
    check_file,
    content_hash,
    is_isolated_atom,
    read_frames,
    read_memory,
)
from gnnpot.errors import ConfigError
from gnnpot.system.files import file_hash
from gnnpot.version import __version__

_AS_READ = LabelKeys()


class Structures(NamedTuple):
    """Structures in memory for a run, in place of the files that its configuration names.

    Labels are looked for as in files: in ``info``, in ``arrays`` and among the results of the calculator,
    under the keys that the configuration names or the usual ones.

    Attributes:
        train: Structures to train on; None for those of the configuration.
        validation: Structures that pick the model; None for those of the configuration.
        test: Structures that are only evaluated; None for those of the configuration.
    """

    train: Sequence[Atoms] | None = None
    validation: Sequence[Atoms] | None = None
    test: Sequence[Atoms] | None = None

    def named(self) -> dict[str, tuple[str, ...]]:
        """What stands in the configuration in place of files."""
        return {name: (MEMORY,) for name, frames in self._asdict().items() if frames is not None}


@dataclass(frozen=True)
class StructureSet:
    """Labeled structures in files, or in memory.

    Attributes:
        files: Names of the files; ``memory:`` for structures in memory.
        keys: Names, units and signs of the labels.
        frames: Structures in memory, or None.
    """

    files: tuple[str, ...]
    keys: LabelKeys = _AS_READ
    frames: Sequence[Atoms] | None = None

    @property
    def is_gone(self) -> bool:
        """Whether the structures were in the memory of another process."""
        return self.frames is None and MEMORY in self.files

    def read(self) -> Iterator[Atoms]:
        """The structures one after another, as :func:`gnnpot.data.reading.read_frames` yields them.

        Raises:
            ConfigError: They were in the memory of another process.
            DataError: They cannot be read.
        """
        if self.is_gone:
            raise ConfigError(
                f"expected files of structures, got {MEMORY!r}, which stands for structures in memory; give "
                "them again in Python, or name files"
            )
        if self.frames is not None:
            return read_memory(self.frames, self.keys)
        return read_frames(data_paths(self.files), self.keys)

    def identity(self) -> str:
        """A hash of all that decides what :meth:`read` gives.

        Files count by their names, which messages tell, and by what they hold.

        Raises:
            DataError: A file is not there, or structures in memory cannot be read.
        """
        state = hashlib.sha256(f"{__version__} {self.keys.model_dump_json()} {self.files}".encode())
        if self.frames is not None:
            for atoms in self.read():
                said = (content_hash(atoms), label_hash(atoms), atoms.info["group"], is_isolated_atom(atoms))
                state.update(repr(said).encode())
        else:
            for path in data_paths(self.files):
                check_file(path)
                state.update(file_hash(path).encode())
        return state.hexdigest()
