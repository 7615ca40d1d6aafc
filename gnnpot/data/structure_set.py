"""Labeled structures to read: in files, or in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ase import Atoms

from gnnpot.data.columns import label_hash
from gnnpot.data.files import DataFile, sources
from gnnpot.data.keys import QUANTITIES, LabelKeys
from gnnpot.data.reading import (
    MEMORY,
    check_file,
    content_hash,
    is_isolated_atom,
    read_as_found,
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

    def named(self) -> dict[str, tuple[DataFile, ...]]:
        """What stands in the configuration in place of files."""
        memory = (DataFile(path=MEMORY),)
        return {name: memory for name, frames in self._asdict().items() if frames is not None}


@dataclass(frozen=True)
class StructureSet:
    """Labeled structures in files, or in memory.

    Attributes:
        files: The files; ``memory:`` for structures in memory.
        keys: Names, units and signs of the labels, but for files with keys of their own.
        frames: Structures in memory, or None.
        trained: Labels that will be trained on; faults of others are only warnings.
    """

    files: tuple[DataFile, ...]
    keys: LabelKeys = _AS_READ
    frames: Sequence[Atoms] | None = None
    trained: tuple[str, ...] = QUANTITIES

    @property
    def names(self) -> list[str]:
        """Names of the files."""
        return [str(file) for file in self.files]

    @property
    def is_gone(self) -> bool:
        """Whether the structures were in the memory of another process."""
        return self.frames is None and MEMORY in self.names

    def read(self) -> Iterator[Atoms]:
        """The structures one after another, as :func:`gnnpot.data.reading.read_as_found` yields them.

        Raises:
            ConfigError: They were in the memory of another process.
            DataError: They cannot be read.
        """
        self._check_there()
        if self.frames is not None:
            return read_memory(self.frames, self.keys)
        return read_as_found(self.files, self.keys)

    def identity(self) -> str:
        """A hash of all that decides what :meth:`read` gives.

        Files count by their names, which messages tell, and by what they hold.

        Raises:
            ConfigError: They were in the memory of another process.
            DataError: A file is not there, or structures in memory cannot be read.
        """
        self._check_there()
        said = f"{__version__} {self.keys.model_dump_json()} {self.names} {self.trained}"
        state = hashlib.sha256(said.encode())
        if self.frames is not None:
            for atoms in self.read():
                one = (content_hash(atoms), label_hash(atoms), atoms.info["group"], is_isolated_atom(atoms))
                state.update(repr(one).encode())
        else:
            for path, frames, keys in sources(self.files, self.keys):
                check_file(path)
                state.update(f"{file_hash(path)} {frames} {keys.model_dump_json()}".encode())
        return state.hexdigest()

    def _check_there(self) -> None:
        if self.is_gone:
            raise ConfigError(
                f"expected files of structures, got {MEMORY!r}, which stands for structures in memory; give "
                "them again in Python, or name files"
            )
