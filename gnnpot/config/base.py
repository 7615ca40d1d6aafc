"""Configuration files and their sections, whatever they configure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, GetJsonSchemaHandler, ValidationError
from pydantic_core import CoreSchema

from gnnpot.config.descriptions import describe
from gnnpot.config.faults import faults_of
from gnnpot.config.registry import nearest
from gnnpot.errors import ConfigError, UnknownNameError, shortened
from gnnpot.system.documents import parse_yaml, read_yaml
from gnnpot.system.run_folder import RunFolder, changed_values, in_words

_INSTEAD = {"fraction": "frames", "frames": "fraction"}  # keys of which a later one replaces the other
_STRUCTURES = (".xyz", ".extxyz", ".traj", ".db", ".cif", ".vasp", ".gz")  # files of them
SHIPPED = "gnnpot:"  # prefix of files that come with the package


class Section(BaseModel):
    """A part of a configuration: frozen, without unknown keys, its numbers finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def open_names(self) -> list[str]:
        """Dotted names of the values in this section and those within it that are left to the data."""
        sections = {name: getattr(self, name) for name in type(self).model_fields}
        return [
            f"{name}.{inner}"
            for name, section in sections.items()
            if isinstance(section, Section)
            for inner in section.open_names()
        ]

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Tell editors what each key means."""
        found = handler(schema)
        describe(handler.resolve_ref_schema(found), cls)
        return found


class Configuration(Section):
    """A whole configuration, from a file or for one.

    Attributes:
        FREE: Patterns of the dotted names of values that may be others when a run goes on.
    """

    FREE: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def from_yaml(cls, path: Path, overrides: Iterable[str] = ()) -> Self:
        """Read and check a configuration file.

        Args:
            path: The file.
            overrides: ``key=value`` with dots between sections, e.g. ``training.max_epochs=10``.

        Raises:
            ConfigError: The file is not there, is not YAML, or does not fit; every fault in one line.
        """
        return cls.from_dict(read_values(path, overrides), source=str(path))

    @classmethod
    def from_dict(cls, values: dict[str, Any], *, source: str) -> Self:
        """Check a configuration; ``source`` names it in messages."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise ConfigError(f"{source} does not fit: {faults_of(error, cls)}") from error

    def written(self) -> dict[str, Any]:
        """All values, defaults too, as plain data."""
        return self.model_dump(mode="json")

    def as_yaml(self) -> str:
        """All values as the text of a configuration file."""
        return yaml.safe_dump(self.written(), sort_keys=False)

    def free(self) -> frozenset[str]:
        """Patterns of the dotted names of values that may be others when this run goes on."""
        return self.FREE

    def check_same(self, folder: RunFolder) -> None:
        """Refuse to go on with another run than the one that has begun in ``folder``, if there is one.

        Raises:
            ConfigError: Naming the values that differ.
            OutputError: The configuration there is damaged.
        """
        if folder.is_begun:
            folder.check_same(self._begun(folder), self.written(), free={*self.free(), *self.open_names()})

    def changes(self, folder: RunFolder) -> str:
        """What is other than when the run in ``folder`` began, in words; nothing of a new one.

        Raises:
            OutputError: The configuration there is damaged.
        """
        free = self.open_names()
        found = changed_values(self._begun(folder), self.written(), free=free) if folder.is_begun else {}
        return in_words(found)

    def _begun(self, folder: RunFolder) -> Any:
        """The values that the run began with; what an older version did not know has its default."""
        old = folder.written()
        with suppress(ValidationError, ConfigError):
            old = self.model_validate(old).written()
        return old

    def completed(self, folder: RunFolder) -> Self:
        """The configuration with what the run in ``folder`` has found for values that are left to the data.

        Raises:
            OutputError: The configuration there is damaged.
        """
        names = self.open_names() if folder.is_begun else []
        if not names:
            return self
        values, old = self.written(), folder.written()
        for name in names:
            with suppress(LookupError, TypeError):
                values = _with(values, name.split("."), _value(old, name.split(".")))
        with suppress(ValidationError):
            return self.model_validate(values)
        return self


def _one_or_several(value: Any) -> Any:
    return (str(value),) if isinstance(value, str | Path) else value


Paths = Annotated[
    tuple[str, ...], BeforeValidator(_one_or_several, json_schema_input_type=str | tuple[str, ...])
]


def shipped_configs() -> dict[str, Path]:
    """The ready configuration files by name: ``demo``, …, ``labeling/eam``, …, ``sampling/md``, …."""
    folder = Path(str(files("gnnpot.configs")))
    return {
        path.relative_to(folder).with_suffix("").as_posix(): path
        for pattern in ("*.yaml", "*/*.yaml")
        for path in sorted(folder.glob(pattern))
    }


def shipped_config(name: str) -> Path:
    """The ready configuration file called ``name``; its folder may be left out.

    Raises:
        UnknownNameError: There is none.
    """
    known = shipped_configs()
    found = [path for full, path in known.items() if name in (full, full.rpartition("/")[2])]
    if len(found) != 1:
        raise UnknownNameError(f"no template is called {name!r}; {nearest(name, known)}")
    return found[0]


def json_schema(section: type[BaseModel], *, optional: Collection[str] = ()) -> dict[str, Any]:
    """The JSON schema of a configuration file, with a description of every key.

    Args:
        section: Class of the configuration.
        optional: Keys that a file may leave out although the section has them always, dots
            between sections.
    """
    schema = section.model_json_schema()
    for name in optional:
        *sections, key = name.split(".")
        place = schema
        for one in sections:
            place = place["properties"][one]
            place = schema["$defs"][place["$ref"].rpartition("/")[2]] if "$ref" in place else place
        place["required"] = [one for one in place["required"] if one != key]
    return schema


def read_values(path: Path, overrides: Iterable[str] = ()) -> dict[str, Any]:
    """The values in a configuration file, with ``key=value`` in place of some.

    Raises:
        ConfigError: The file is not there or is not YAML, or an override is no ``key=value``.
    """
    return with_overrides(_read_yaml(path), overrides)


def _read_yaml(path: Path) -> dict[str, Any]:
    if path.suffix.lower() in _STRUCTURES and path.is_file():
        raise ConfigError(
            f"expected a configuration file, got structures in {path}; type: gnnpot init {path} > run.yaml, "
            "then gnnpot train run.yaml"
        )
    try:
        values = read_yaml(path)
    except OSError as error:
        raise ConfigError(
            f"expected a configuration file, got {path} ({error.strerror}); `gnnpot template` lists ready "
            "ones"
        ) from error
    except ValueError as error:
        raise ConfigError(f"expected YAML in {path}, got {error}; mend the file") from error
    if not isinstance(values, dict):
        raise ConfigError(
            f"expected sections in {path}, got {shortened(values)}; `gnnpot template` shows how they look"
        )
    return values


def with_overrides(values: dict[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """Values with ``key=value`` in place of some, dots between sections.

    Raises:
        ConfigError: An override is no ``key=value``.
    """
    for override in overrides:
        name, equals, text = override.partition("=")
        if not equals or not name:
            raise ConfigError(f"expected key=value, got {shortened(override)}; e.g. training.max_epochs=10")
        try:
            value = parse_yaml(text)
        except ValueError as error:
            raise ConfigError(
                f"expected YAML after {shortened(name, str)}=, got {shortened(text)} ({error}); e.g. {name}=3"
            ) from error
        values = _with(values, name.split("."), value)
    return values


def _value(values: Any, names: Sequence[str]) -> Any:
    """The value at one place of nested sections."""
    for name in names:
        values = values[name]
    return values


def _with(value: Any, names: Sequence[str], new: Any) -> Any:
    """A copy of nested sections and lists with another value at one place."""
    if not names:
        return new
    name, *rest = names
    if isinstance(value, list) and name.isdecimal() and int(name) < len(value):
        place = int(name)
        return [*value[:place], _with(value[place], rest, new), *value[place + 1 :]]
    section = dict(value) if isinstance(value, dict) else {}
    if not rest and name in _INSTEAD:
        section.pop(_INSTEAD[name], None)
    return {**section, name: _with(section.get(name), rest, new)}
