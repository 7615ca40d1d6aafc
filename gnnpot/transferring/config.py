"""Configuration of a transfer: a run that starts from a trained potential, in one or several stages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)

from gnnpot.config.base import Section, read_values
from gnnpot.config.faults import faults_of
from gnnpot.errors import ConfigError
from gnnpot.models import MODEL_CONFIGS
from gnnpot.potential.folder import single_file
from gnnpot.training.config import TrainingConfig
from gnnpot.training.run_config import RunConfig
from gnnpot.transferring.element_map import parse_element_map

_UNTUNED: dict[str, Any] = {
    "freeze": (), "unfreeze": {}, "rates": {}, "layer_decay": 1.0, "anchor": 0.0, "low_rank": None
}  # fmt: skip


def _from_text(value: Any) -> Any:
    return parse_element_map(value) if isinstance(value, str) else value


Origins = Annotated[dict[str, str], BeforeValidator(_from_text)]


class DynamicsConfig(Section):
    """Dynamics at constant temperature that test the stability of a potential.

    Args:
        temperature: Temperature of the thermostat (K).
        steps: Length.
        timestep: Time step (fs); by default chosen by the elements.
    """

    temperature: PositiveFloat = 300.0
    steps: PositiveInt = 1000
    timestep: PositiveFloat | None = None


class ElementChange(Section):
    """Elements and lengths of one material in terms of another's.

    Args:
        map: Origin of each element: ``Si``, ``0.5*Si+0.5*Sn``, ``nearest``, ``fresh``; elements that are not
            named keep themselves or take the nearest.
        lattice_scale: What lengths are multiplied by: a number, or the lattice constants [target, source].
    """

    map: Origins = Field(default={})
    lattice_scale: PositiveFloat | tuple[PositiveFloat, PositiveFloat] | None = None

    @field_validator("lattice_scale", mode="before")
    @classmethod
    def _lengths(cls, value: Any) -> Any:
        return checked_scale(value, "a number above 0, or two lattice constants [target, source]", pair=True)

    @classmethod
    def from_values(cls, values: Mapping[str, Any], *, source: str) -> ElementChange:
        """Check map and lattice scale among the values of a configuration.

        Raises:
            ConfigError: They do not fit; ``source`` names the configuration.
        """
        try:
            there = {name: values[name] for name in ElementChange.model_fields if name in values}
            return ElementChange.model_validate(there)
        except ValidationError as error:
            raise ConfigError(f"{source} does not fit: {faults_of(error, ElementChange)}") from error

    @property
    def length_scale(self) -> float:
        """The lattice scale as a number; 1 if none is given."""
        return length_scale(self.lattice_scale)

    @property
    def change(self) -> str:
        """Map and lattice scale in words."""
        return ", ".join(
            [
                *(f"{symbol}={origin}" for symbol, origin in self.map.items()),
                f"lengths × {self.length_scale:.4g}",
            ]
        )


class TransferConfig(RunConfig):
    """A run that starts from a trained potential.

    The model is that of the source; without a source it is given, and the first stage starts fresh.

    Args:
        source: Model file to start from, or the folder of a run.
        map: Origin of the weights of each element: ``Si``, ``0.5*Si+0.5*Sn``, ``nearest``, ``fresh``.
            Elements that are not named keep themselves or take the nearest.
        lattice_scale: What lengths of the source are multiplied by: a number, the lattice constants
            [target, source], or ``fit`` for the least force error.
        energy_scale: Factor on energies of the source: a number, or ``fit``.
        fit_frames: Number of training structures on which scales are fitted and judged.
        stages: One after another, each with its own values in place of those of ``training``.
        scratch: Values in place of those of ``training`` for the same model trained from scratch.
        dynamics: Dynamics in which the results are compared.
    """

    source: str | None = None
    map: Origins = Field(default={})
    lattice_scale: PositiveFloat | tuple[PositiveFloat, PositiveFloat] | Literal["fit"] | None = None
    energy_scale: PositiveFloat | Literal["fit"] | None = None
    fit_frames: PositiveInt = 8
    stages: tuple[dict[str, Any], ...] = ()
    scratch: dict[str, Any] = Field(default={})
    dynamics: DynamicsConfig = DynamicsConfig()

    @field_validator("lattice_scale", "energy_scale", mode="before")
    @classmethod
    def _above_zero(cls, value: Any, info: Any) -> Any:
        pair = info.field_name == "lattice_scale"
        more = ", two lattice constants [target, source]" if pair else ""
        return value if value == "fit" else checked_scale(value, f"a number above 0{more} or fit", pair=pair)

    @field_validator("members", "start")
    @classmethod
    def _one_potential(cls, value: Any, info: Any) -> Any:
        if value is not None:
            raise ValueError(
                f"expected no {info.field_name} in a transfer, which carries one potential; remove it"
            )
        return value

    @model_validator(mode="after")
    def _stages_fit(self) -> Self:
        for number, training in enumerate(self._checked(), start=1):
            if number <= len(self.stages) and training.dtype != self.training.dtype:
                raise ValueError(
                    f"stage {number}: expected dtype {self.training.dtype} in every stage, got "
                    f"{training.dtype}; set training.dtype"
                )
        return self

    def _checked(self) -> Iterator[TrainingConfig]:
        for number, values in enumerate((*self.stages, self.scratch), start=1):
            where = f"stage {number}" if number <= len(self.stages) else "scratch"
            try:
                yield _training(self.training, values)
            except ValidationError as error:
                raise ValueError(f"{where}: {faults_of(error, TrainingConfig)}") from error

    @property
    def trainings(self) -> list[TrainingConfig]:
        """Training configuration of each stage."""
        return [_training(self.training, values) for values in self.stages or ({},)]

    @property
    def trained_labels(self) -> tuple[str, ...]:
        """The labels that some stage is trained on."""
        return tuple(dict.fromkeys(name for training in self.trainings for name in training.loss.labels))

    @property
    def scratch_training(self) -> TrainingConfig:
        """Training configuration from scratch: all parameters, for as many epochs as all stages together."""
        epochs = sum(training.max_epochs for training in self.trainings)
        return _training(self.training, {**_UNTUNED, "max_epochs": epochs, **self.scratch})

    @classmethod
    def read(
        cls, path: Path, overrides: Iterable[str] = (), *, source: Path | None = None, element_map: str = ""
    ) -> Self:
        """Read and check a configuration file.

        Args:
            path: The file.
            overrides: ``key=value`` with dots between sections.
            source: Model file to start from, in place of the file's.
            element_map: ``Ge=Si,…``, in place of entries of the file's.

        Raises:
            ConfigError: The file is not there, is not YAML, or does not fit.
            ModelFileError: The source is no whole model file.
        """
        values = read_values(path, overrides)
        if source is not None:
            values["source"] = str(source)
        if element_map:
            given = values.get("map") or {}
            given = parse_element_map(given) if isinstance(given, str) else given
            values["map"] = {**given, **parse_element_map(element_map)}
        return cls.from_dict(values, source=str(path))

    @classmethod
    def from_dict(cls, values: dict[str, Any], *, source: str) -> Self:
        """Check a configuration; the model is filled in from the file to start from."""
        if values.get("source") is None:
            if "model" not in values:
                raise ConfigError(
                    f"expected a trained potential to start from, got none in {source}; give --from MODEL, "
                    "or a model section to start from random weights"
                )
            return super().from_dict(values, source=source)
        if not isinstance(values["source"], str):
            raise ConfigError(f"expected source to be a model file, got {values['source']!r}; give its path")
        super().from_dict({**values, "model": {"kind": "ani"}}, source=source)  # wrong keys, before torch
        from gnnpot.potential.header import read_header

        values = {**values, "source": str(single_file(values["source"]))}
        header = read_header(values["source"])
        model = {**header.model, "elements": []}
        check_model(values.get("model") or {}, model, values["source"])
        repulsion = None if header.repulsion is None else {"reach": header.repulsion.reach}
        return super().from_dict({"repulsion": repulsion, **values, "model": model}, source=source)


def checked_scale(value: Any, expected: str, *, pair: bool) -> Any:
    """A scale as it was given.

    Args:
        value: A number, a pair of numbers, or None.
        expected: What is right, in words.
        pair: Whether two numbers are.

    Raises:
        ValueError: It is something else.
    """
    numbers = value if isinstance(value, list | tuple) else [value]
    right = all(type(one) in (int, float) and 0 < one < float("inf") for one in numbers)
    if value is None or (right and ((pair and len(numbers) == 2) or value is numbers[0])):
        return value
    raise ValueError(f"expected {expected}")


def length_scale(given: float | tuple[float, float] | None) -> float:
    """The number that a lattice scale stands for.

    Raises:
        ConfigError: It is less than a half or more than two.
    """
    scale = given[0] / given[1] if isinstance(given, tuple) else float(given or 1.0)
    if not 0.5 <= scale <= 2.0:
        raise ConfigError(
            f"expected a lattice scale between 0.5 and 2, got {scale:.4g}; give the ratio of target and "
            "source, or two lattice constants [target, source]"
        )
    return scale


def _training(base: TrainingConfig, values: Mapping[str, Any]) -> TrainingConfig:
    """``base`` with other values; of a section of the same kind, those that are given."""
    merged = base.model_dump()
    for name, value in values.items():
        section = merged.get(name)
        if isinstance(section, dict) and "kind" in section and isinstance(value, Mapping):
            same = value.get("kind", section["kind"]) == section["kind"]
            value = {**section, **value} if same else value
        merged[name] = value
    return TrainingConfig.model_validate(merged)


def check_model(given: Mapping[str, Any], model: Mapping[str, Any], source: str) -> None:
    """Check that the model section agrees with the source.

    Raises:
        ConfigError: Naming what differs.
    """
    if not given:
        return
    if not isinstance(given, Mapping):
        raise ConfigError(f"expected a model section, got {given!r}; leave it out: the source has it")
    kind = given.get("kind", model["kind"])
    if kind == model["kind"]:
        try:
            config = MODEL_CONFIGS[kind].model_validate({**model, **given, "elements": []})
        except ValidationError as error:
            raise ConfigError(f"the model does not fit: {faults_of(error, MODEL_CONFIGS[kind])}") from error
        told = config.model_dump(mode="json")
        different = [name for name in given if name != "elements" and told.get(name) != model.get(name)]
    else:
        different = ["kind"]
    if different:
        raise ConfigError(
            f"expected the model of {source}, got another model.{different[0]}; leave the model out of "
            "the configuration, or the source"
        )
