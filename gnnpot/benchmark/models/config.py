"""Configuration of a comparison of models, and the candidates that it names."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from pydantic import PositiveFloat, field_serializer, field_validator

from gnnpot.config.base import Configuration
from gnnpot.data.keys import LabelKeys
from gnnpot.data.split import SplitConfig
from gnnpot.errors import ConfigError
from gnnpot.models import MODEL_CONFIGS
from gnnpot.properties.targets import TargetsConfig
from gnnpot.training.init.first_config import blank_config
from gnnpot.training.loss_config import Loss, WeightedLoss
from gnnpot.training.run_config import RunConfig

_YAML = (".yaml", ".yml")


class Candidate(NamedTuple):
    """A model in the comparison, with the training configuration that it would use."""

    name: str
    template: RunConfig


class ComparisonConfig(Configuration):
    """A comparison of models on one set of data.

    Args:
        data: Files of labeled structures; ``gnnpot:NAME`` comes with the package.
        models: Names, or paths of configurations whose model and training sections are taken.
        sizes: Numbers of frames to learn from, those that pick the model included.
        seeds: Number of repetitions of each size, each with its own subset, initial weights and order.
        time: Time budget of each training.
        max_epochs: Upper limit of epochs, which ends trainings on very few frames.
        test: Files, or how to take a part of the data.
        keys: Keys and units of the labels.
        device: Device name; ``auto`` takes a GPU if there is one.
        temperature: Initial temperature of the dynamics (K).
        steps: Number of steps of the dynamics.
        properties: Properties by whose deviation from their values models are ranked.
    """

    FREE: ClassVar = frozenset({"models", "sizes", "seeds", "device", "temperature", "steps"})

    data: tuple[str, ...]
    models: tuple[str, ...] = ()
    sizes: tuple[int, ...] = (10, 50, 200)
    seeds: int = 1
    time: timedelta = timedelta(minutes=5)
    max_epochs: int = 2000
    test: SplitConfig | tuple[str, ...] = SplitConfig()
    keys: LabelKeys = LabelKeys()
    device: str = "auto"
    temperature: PositiveFloat = 300.0
    steps: int = 1000
    properties: TargetsConfig | None = None

    @field_validator("models")
    @classmethod
    def _all_by_default(cls, models: tuple[str, ...]) -> tuple[str, ...]:
        for word in models:
            if not _is_file(word):
                MODEL_CONFIGS[word]  # an unknown name ends here, before any file is read
        return tuple(dict.fromkeys(models)) or tuple(MODEL_CONFIGS)

    @field_validator("sizes")
    @classmethod
    def _ascending(cls, sizes: tuple[int, ...]) -> tuple[int, ...]:
        if not sizes or min(sizes) < 2:
            raise ConfigError(
                f"expected sizes of at least 2 frames, one to train on and one to pick the model, got "
                f"{min(sizes, default='none')}; raise --sizes"
            )
        return tuple(sorted(set(sizes)))

    @field_validator("seeds", "max_epochs", "steps")
    @classmethod
    def _positive(cls, value: int, info: Any) -> int:
        if value < 1:
            raise ConfigError(f"expected at least 1 as {info.field_name}, got {value}; raise it")
        return value

    @field_validator("time")
    @classmethod
    def _some_time(cls, value: timedelta) -> timedelta:
        if not value > timedelta(0):
            raise ConfigError(
                f"expected a time above zero for each training, got {value}; give --time minutes"
            )
        return value

    @field_validator("test", mode="before")
    @classmethod
    def _a_share(cls, value: Any) -> Any:
        share = value.get("fraction") if isinstance(value, dict) else None
        if share is not None and not 0 < share < 1:
            raise ConfigError(f"expected a share between 0 and 1 to test on, got {share}; change --held-out")
        return value

    @field_serializer("data", "models", "sizes", "test")
    def _as_list(self, value: Any) -> Any:
        return list(value) if isinstance(value, tuple) else value


def candidates(words: Sequence[str]) -> list[Candidate]:
    """Resolve the names of models and configuration files to candidates.

    Args:
        words: Names of models, or paths of configurations.

    Raises:
        ConfigError: A name is neither a model nor a file, a file is invalid, or two candidates share a name.
    """
    chosen = [
        Candidate(Path(word).stem, RunConfig.from_yaml(Path(word)))
        if _is_file(word)
        else Candidate(word, _template(word))
        for word in words
    ]
    names = [candidate.name for candidate in chosen]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ConfigError(f"expected models of different names, got {twice!r} twice; rename a file")
    return chosen


def fitting_loss(loss: Loss, labels: Sequence[str], name: str) -> Loss:
    """Drop the terms of ``loss`` for which the data have no labels.

    Raises:
        ConfigError: No term is left, or the loss is not a sum of weighted terms.
    """
    absent = [label for label in loss.labels if label not in labels]
    if not absent:
        return loss
    if not isinstance(loss, WeightedLoss) or len(absent) == len(loss.labels):
        raise ConfigError(
            f"expected {' and '.join(absent)} labels, as the loss of {name} needs them, got none; label the "
            "data, or choose another loss"
        )
    zeros = {**dict.fromkeys(absent, 0.0), **({"virial": 0.0} if "stress" in absent else {})}
    return loss.model_copy(update=zeros)


def _is_file(word: str) -> bool:
    return Path(word).suffix in _YAML


def _template(kind: str) -> RunConfig:
    """What `gnnpot template` prints for this kind of model: lengths and weights are left to the data."""
    return RunConfig.from_dict({**blank_config(kind), "train": [], "test": []}, source=f"template of {kind}")
