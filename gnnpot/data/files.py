"""Which files of structures are meant: paths, some of their frames, keys of their own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import BeforeValidator, model_serializer

from gnnpot.config.base import SHIPPED, Section
from gnnpot.data.keys import LabelKeys
from gnnpot.errors import DataError

_SELECTION = re.compile(r"(?P<path>.+)@(?P<index>[-+:\d]+)$")
_AS_READ = LabelKeys()


class DataFile(Section):
    """A file of structures whose labels are under other keys than those of the other files.

    Args:
        path: The file; ``train.xyz@::4`` takes some of its frames, ``gnnpot:NAME`` comes with the package.
        keys: Settings that differ from the keys of the run.
    """

    path: str
    keys: LabelKeys = LabelKeys()

    def __str__(self) -> str:
        return self.path

    @model_serializer
    def _as_written(self) -> Any:
        """Its path, and its keys where it has some."""
        keys = self.keys.model_dump(mode="json", exclude_unset=True)
        return {"path": self.path, "keys": keys} if keys else self.path


class Source(NamedTuple):
    """A file to read.

    Attributes:
        path: The file.
        frames: Slice of its frames, or None for all of them.
        keys: Names, units and signs of its labels.
    """

    path: Path
    frames: slice | None
    keys: LabelKeys


def _as_files(value: Any) -> Any:
    """A path, a section, or a list of both as a list of sections."""
    if not isinstance(value, list | tuple | str | Path | dict | DataFile):
        raise ValueError(f"expected a file of structures or a list of files, got {value!r}")
    several = value if isinstance(value, list | tuple) else (value,)
    return tuple({"path": str(one)} if isinstance(one, str | Path) else one for one in several)


DataFiles = Annotated[
    tuple[DataFile, ...],
    BeforeValidator(_as_files, json_schema_input_type=str | DataFile | tuple[str | DataFile, ...]),
]
Files = Iterable[str | Path | DataFile]


def sources(files: Files, keys: LabelKeys = _AS_READ) -> list[Source]:
    """What is to be read of these files.

    Args:
        files: Paths, with a selection of frames as ASE writes it (``train.xyz@::4``) or without.
        keys: Names, units and signs of the labels, where a file has none of its own.
    """
    return list(_sources(files, keys))


def own_keys(files: Files, keys: LabelKeys = _AS_READ) -> dict[str, LabelKeys]:
    """With what the files that have keys of their own are read, by path."""
    own = [file for file in files if isinstance(file, DataFile) and file.keys.model_fields_set]
    return {str(source.path): source.keys for source in sources(own, keys)}


def data_paths(files: Files) -> list[Path]:
    """Paths of data files, those that come with the package included."""
    return [source.path for source in sources(files)]


def _sources(files: Files, keys: LabelKeys) -> Iterator[Source]:
    for file in files:
        own = keys.replaced(file.keys) if isinstance(file, DataFile) else keys
        name = str(file)
        selected = _SELECTION.match(name)
        if selected is None or _path(name).exists():
            yield Source(_path(name), None, own)
        else:
            yield Source(_path(selected["path"]), _frames(selected["index"], name), own)


def _path(name: str) -> Path:
    if name.startswith(SHIPPED):
        return Path(str(files("gnnpot.configs"))) / name.removeprefix(SHIPPED)
    return Path(name).expanduser()


def _frames(index: str, name: str) -> slice:
    try:
        numbers = [int(number) if number else None for number in index.split(":")]
        if numbers == [None] or len(numbers) > 3 or numbers[2:] == [0]:
            raise ValueError
    except ValueError:
        raise DataError(
            f"expected frames as in train.xyz@::4, @:100 or @-1, got {name!r}; mend what follows the @"
        ) from None
    if len(numbers) == 1:
        (first,) = numbers
        return slice(first, None if first == -1 else (first or 0) + 1)
    return slice(*numbers)
