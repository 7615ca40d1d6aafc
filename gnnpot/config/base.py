"""Configuration files and their sections, whatever they configure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from gnnpot.config.descriptions import describe
from gnnpot.config.registry import nearest
from gnnpot.errors import ConfigError, UnknownNameError
from gnnpot.system.files import write_text

SHIPPED = "gnnpot:"  # prefix of files that come with the package
_DEEPEST = 4  # sections within sections


class Section(BaseModel):
    """A part of a configuration: frozen, without unknown keys, its numbers finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Configuration(Section):
    """A whole configuration, from a file or for one."""

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

    def to_yaml(self, path: Path) -> None:
        """Write them."""
        write_text(path, yaml.safe_dump(self.written(), sort_keys=False))


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


class _Schema(GenerateJsonSchema):
    """Where the ``kind`` may be left out, several sections can fit; oneOf would refuse that."""

    def tagged_union_schema(self, schema: core_schema.TaggedUnionSchema) -> JsonSchemaValue:
        found = super().tagged_union_schema(schema)
        if "oneOf" in found:
            found["anyOf"] = found.pop("oneOf")
        return found


def json_schema(section: type[BaseModel], *, optional: Collection[str] = ()) -> dict[str, Any]:
    """The JSON schema of a configuration file, with a description of every key.

    Args:
        section: Class of the configuration.
        optional: Keys that a file may leave out although the section has them always.
    """
    schema = section.model_json_schema(schema_generator=_Schema)
    schema["required"] = [name for name in schema["required"] if name not in optional]
    describe(schema, Section)
    return schema


def data_paths(names: Sequence[str]) -> list[Path]:
    """Paths of data files, those that come with the package included."""
    folder = Path(str(files("gnnpot.configs")))
    return [
        folder / name.removeprefix(SHIPPED) if name.startswith(SHIPPED) else Path(name).expanduser()
        for name in names
    ]


def read_values(path: Path, overrides: Iterable[str] = ()) -> dict[str, Any]:
    """The values in a configuration file, with ``key=value`` in place of some.

    Raises:
        ConfigError: The file is not there or is not YAML, or an override is no ``key=value``.
    """
    return _overridden(_read_yaml(path), overrides)


def faults_of(error: ValidationError, section: type[BaseModel]) -> str:
    """What does not fit, in one line."""
    return "; ".join(_fault(entry, section) for entry in error.errors())


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"expected a configuration file, got {path} ({getattr(error, 'strerror', None) or 'not text'}); "
            "`gnnpot template` lists ready ones"
        ) from error
    except yaml.YAMLError as error:
        raise ConfigError(
            f"expected YAML in {path}, got {' '.join(str(error).split())}; mend the file"
        ) from error
    if not isinstance(values, dict):
        raise ConfigError(
            f"expected sections in {path}, got {values!r}; `gnnpot template` shows how they look"
        )
    return values


def _overridden(values: dict[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    for override in overrides:
        name, equals, text = override.partition("=")
        if not equals or not name:
            raise ConfigError(f"expected key=value, got {override!r}; e.g. training.max_epochs=10")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ConfigError(f"expected YAML after {name}=, got {text!r}; e.g. {name}=3") from error
        values = _with(values, name.split("."), value)
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
    return {**section, name: _with(section.get(name), rest, new)}


def _fault(entry: Any, section: type[BaseModel]) -> str:
    """One fault of a configuration in words, with the nearest name for an unknown key."""
    schema = section.model_json_schema()
    paths = list(_key_paths(schema, schema.get("$defs", {})))
    keys = {path.rpartition(".")[2] for path in paths}
    *above, last = entry["loc"] or ("",)
    place = [str(part) for part in above if isinstance(part, int) or part in keys]  # kinds of sections go
    if entry["type"] == "extra_forbidden":
        return f"no key is called {'.'.join([*place, str(last)])}; {_suggestion(str(last), place, paths)}"
    if isinstance(last, int) or last in keys:
        place.append(str(last))
    message = entry["msg"].removeprefix("Value error, ")
    said = "got" in message or not entry["loc"]  # the whole section is no answer
    return (f"{'.'.join(place)}: " if place else "") + message + ("" if said else f", got {entry['input']!r}")


def _suggestion(name: str, place: Sequence[str], paths: Iterable[str]) -> str:
    """The nearest key of the same section, else of another, with its place."""
    here, elsewhere = set[str](), dict[str, str]()
    for path in paths:
        *above, key = path.split(".")
        if above == list(place):
            here.add(key)
        else:
            elsewhere.setdefault(key, path)
    for known in (here - {name}, elsewhere):
        if close := get_close_matches(name, known, n=1):
            return f"did you mean {elsewhere[close[0]] if known is elsewhere else close[0]!r}?"
    return "remove it"


def _key_paths(schema: Any, named: dict[str, Any], above: tuple[str, ...] = ()) -> Iterator[str]:
    """The dotted paths of all keys in a JSON schema, the outer ones of a section first.

    Args:
        schema: The schema, or a part of it.
        named: The parts that others refer to.
        above: Keys that lead to this part.
    """
    if len(above) > _DEEPEST:
        return
    reference = schema.get("$ref")
    if reference is not None:
        yield from _key_paths(named[reference.rpartition("/")[2]], named, above)
    properties = schema.get("properties", {})
    yield from (".".join((*above, name)) for name in properties)
    for name, inner in properties.items():
        yield from _key_paths(inner, named, (*above, name))
    for choice in (*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())):
        yield from _key_paths(choice, named, above)
    if isinstance(schema.get("items"), dict):
        yield from _key_paths(schema["items"], named, above)
