"""A run as a YAML file: composes the sections that stand beside the classes they configure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PositiveFloat,
    SerializeAsAny,
    ValidationError,
    field_serializer,
    field_validator,
)
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from gnnpot.data.reading import LabelKeys
from gnnpot.data.split import SplitConfig
from gnnpot.errors import ConfigError, UnknownNameError
from gnnpot.files import write_text
from gnnpot.models import MODELS, ModelConfig
from gnnpot.registry import OneOf, nearest
from gnnpot.training import TrainingConfig

SHIPPED = "gnnpot:"  # prefix of files that come with the package


def _one_or_several(value: Any) -> Any:
    return (str(value),) if isinstance(value, str | Path) else value


Paths = Annotated[
    tuple[str, ...], BeforeValidator(_one_or_several, json_schema_input_type=str | tuple[str, ...])
]


class RepulsionConfig(BaseModel):
    """The short-range repulsion.

    Args:
        reach: Where it ends, in units of the sum of two covalent radii.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    reach: PositiveFloat = 0.8


class RunConfig(BaseModel):
    """One training run.

    Args:
        model: Kind and hyperparameters of the model.
        training: Loss, optimizer, budget.
        train: Files of labeled structures; ``gnnpot:NAME`` is a file that comes with the package.
        validation: Files, or how to take a part of the training structures.
        test: Files that are only evaluated, in the end.
        keys: Under which keys and in which units the labels are.
        reference_energies: Energies of free atoms (eV) by symbol; the others are found from the data.
        scale: Unit of the model's output (eV); the root mean square of the forces if not given.
        repulsion: Short-range repulsion, or null.
        seed: Of the weights, the split and the order of the structures.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: Annotated[SerializeAsAny[ModelConfig], OneOf(lambda: [MODELS[kind].Config for kind in MODELS])]
    training: TrainingConfig = TrainingConfig()
    train: Paths
    validation: SplitConfig | Paths = SplitConfig()
    test: Paths = ()
    keys: LabelKeys = LabelKeys()
    reference_energies: dict[str, float] = {}
    scale: PositiveFloat | None = None
    repulsion: RepulsionConfig | None = RepulsionConfig()
    seed: int = 0

    @field_validator("model", mode="before")
    @classmethod
    def _model_by_kind(cls, value: Any) -> Any:
        if isinstance(value, dict):
            if "kind" not in value:
                raise ValueError(f"expected model.kind, got none; choose from {', '.join(MODELS)}")
            return MODELS[value["kind"]].Config.model_validate(value)
        return value

    @field_serializer("train", "validation", "test")
    def _as_list(self, value: Any) -> Any:
        return list(value) if isinstance(value, tuple) else value

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

    def to_yaml(self, path: Path) -> None:
        """Write all values, defaults too."""
        write_text(path, yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False))


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
    """The JSON schema of a configuration file.

    Args:
        section: What the file holds.
        optional: Keys that a file may leave out although the section has them always.
    """
    schema = section.model_json_schema(schema_generator=_Schema)
    schema["required"] = [name for name in schema["required"] if name not in optional]
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
        values = _with(values, name.split("."), yaml.safe_load(text))
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
    where = ".".join(str(part) for part in entry["loc"])
    if entry["type"] == "extra_forbidden":
        close = get_close_matches(str(entry["loc"][-1]), _key_names(section), n=1)
        return f"no key is called {where}" + (f"; did you mean {close[0]!r}?" if close else "; remove it")
    return f"{where}: {entry['msg'].removeprefix('Value error, ')}, got {entry['input']!r}"


def _key_names(section: type[BaseModel]) -> set[str]:
    """Names of all keys in a section and those below, models included."""
    names: set[str] = set()
    for schema in [
        section.model_json_schema(),
        *(MODELS[kind].Config.model_json_schema() for kind in MODELS),
    ]:
        for definition in [schema, *schema.get("$defs", {}).values()]:
            names |= set(definition.get("properties", {}))
    return names
