"""Configurations from objects, keywords and files, with structures in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from ase import Atoms
from ase.io.extxyz import write_extxyz

from gnnpot.config.base import Configuration, read_values
from gnnpot.data.reading import MEMORY
from gnnpot.data.structure_set import Structures
from gnnpot.system.files import atomic_write, make_folder
from gnnpot.training.run_config import RunConfig

C = TypeVar("C", bound=Configuration)
R = TypeVar("R", bound=RunConfig)

Settings = Configuration | Mapping[str, Any] | str | Path | None


def configuration(kind: type[C], settings: Settings, sections: Mapping[str, Any]) -> C:
    """A configuration of this kind.

    Args:
        kind: Its class.
        settings: A configuration, its values, or the path of a file.
        sections: Values in place of those of ``settings``.

    Raises:
        ConfigError: A file is not there, or the values do not fit.
    """
    if isinstance(settings, kind) and not sections:
        return settings
    source = "the configuration"
    if isinstance(settings, str | Path):
        values, source = read_values(Path(settings)), str(settings)
    elif isinstance(settings, Configuration):
        values = settings.written()
    else:
        values = dict(settings or {})
    return kind.from_dict({**values, **sections}, source=source)


def with_structures(kind: type[R], settings: Settings, sections: Mapping[str, Any]) -> tuple[R, Structures]:
    """A configuration of a training, and the structures that were given as lists in place of files.

    Raises:
        ConfigError: A file is not there, or the values do not fit.
    """
    in_memory = {
        name: list(value) if not isinstance(value, Atoms) else [value]
        for name, value in sections.items()
        if name in Structures._fields and is_structures(value)
    }
    named = dict.fromkeys(in_memory, MEMORY)
    return configuration(kind, settings, {**sections, **named}), Structures(**in_memory)


def is_structures(value: Any) -> bool:
    """Whether these are structures in memory rather than names of files or a section."""
    return isinstance(value, Atoms) or (
        isinstance(value, Sequence) and bool(value) and all(isinstance(one, Atoms) for one in value)
    )


def written_structures(value: Any, folder: Path) -> Any:
    """Structures in memory as a file in ``folder``; anything else as it is.

    Raises:
        OutputError: The folder cannot be written to.
    """
    if not is_structures(value):
        return value
    frames: Iterable[Atoms] = [value] if isinstance(value, Atoms) else value
    make_folder(folder)
    path = folder / "structures.xyz"
    with atomic_write(path) as aside, aside.open("w") as file:
        for atoms in frames:
            write_extxyz(file, [atoms])
    return str(path)
