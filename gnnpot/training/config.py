"""The ``training:`` section of a configuration."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, ClassVar, Literal, Self

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_serializer,
    field_validator,
    model_validator,
)

from gnnpot.config.base import Section
from gnnpot.config.durations import TimeSpan
from gnnpot.config.from_data import SectionFromData
from gnnpot.properties.names import NAMES
from gnnpot.properties.targets import TargetsConfig
from gnnpot.training.loss_config import LossConfig, WeightedLoss
from gnnpot.training.optimizer_config import AdamWConfig, CosineSchedule, OptimizerConfig, ScheduleConfig

RESUMABLE = (
    "max_epochs",
    "max_steps",
    "max_time",
    "devices",
    "num_nodes",
    "num_workers",
    "device",
)  # may change

SELECTIONS = ("weighted", "energy", "forces", "stress")  # errors of the validation that pick a model


class RefitConfig(Section):
    """Linear regression of the last layer after training, see :mod:`gnnpot.training.refit`.

    Args:
        energy: Factor of the weight that energies have in the loss of the training.
        directions: Most directions in the space of the weights; each costs about as much as an epoch.
    """

    energy: PositiveFloat = 30.0
    directions: PositiveInt = 30


class TrainingConfig(SectionFromData):
    """Everything that :func:`gnnpot.training.fit` needs besides a potential and data.

    Args:
        batch_size: Structures of one step, over all processes together; left out, or ``auto``, by the number
            of structures and of their atoms.
        repeats: Times that each structure comes in an epoch; more where validation would be most of the
            work.
        max_epochs: Budget in epochs; left out, or ``auto``, by the number of structures.
        max_steps: Budget in steps, in place of epochs; the last epoch is completed.
        max_time: Budget in time, as in ``90s``, ``3m`` or ``1:30:00``; schedules run over whichever ends
            first.
        loss: Loss function.
        optimizer: How.
        schedule: The learning rate over the run.
        ema_decay: Keep an exponential moving average of the weights, and validate and keep that; it soon
            forgets the weights before the first step.
        gradient_clip: Largest norm of the gradient.
        early_stopping: Epochs without a better model after which the run ends.
        freeze: Groups of parameters that stay as they are; ``first`` is that of the input, ``last`` that of
            the output, the others depend on the model.
        unfreeze: Epochs for which a group stays as it is before it trains.
        rates: Factor of the learning rate by group.
        layer_decay: Factor of the learning rate for each group that lies between a group and the output.
        anchor: Weight in the loss of the mean squared distance of the parameters from their start.
        low_rank: Train updates of this rank instead of the weights of dense layers; biases, embeddings and
            what is no dense layer train as ever.
        refit: Regression of the last layer once the training has ended; none if not given.
        uncertainty: ``last_layer`` keeps the uncertainty of the potential beside it, by the features of its
            last hidden layer, for the calculator and the report.
        stop_below: Learning rate below which the run ends.
        select_by: What picks the model to keep: the validation loss for ``weighted``, a validation RMSE
            (``energy``, ``forces``, ``stress``), or the mean deviation of properties from their values: all
            for ``properties``, one such as ``elastic`` or ``elastic.C44``, or the ``certificate``.
        select_every: Epochs between two computations of the properties that pick the model.
        properties: Structure and values of these properties.
        dtype: Type of weights and graphs.
        device: ``auto`` takes a GPU if there is one.
        devices: Processes on each node.
        num_nodes: Nodes.
        num_workers: Processes that prepare batches beside the training.
    """

    FROM_DATA: ClassVar[tuple[str, ...]] = ("batch_size", "max_epochs")

    batch_size: PositiveInt = 8
    repeats: PositiveInt = 1
    max_epochs: PositiveInt = 500
    max_steps: PositiveInt | None = None
    max_time: TimeSpan | None = Field(default=None, gt=timedelta(0))
    loss: LossConfig = WeightedLoss()
    optimizer: OptimizerConfig = AdamWConfig()
    schedule: ScheduleConfig = CosineSchedule()
    ema_decay: float | None = Field(default=0.995, gt=0.0, lt=1.0)
    gradient_clip: PositiveFloat | None = 10.0
    freeze: tuple[str, ...] = ()
    unfreeze: dict[str, NonNegativeInt] = Field(default_factory=dict)
    rates: dict[str, PositiveFloat] = Field(default_factory=dict)
    layer_decay: float = Field(default=1.0, gt=0.0, le=1.0)
    anchor: NonNegativeFloat = 0.0
    low_rank: PositiveInt | None = None
    early_stopping: PositiveInt | None = None
    refit: RefitConfig | None = None
    uncertainty: Literal["last_layer"] | None = None
    stop_below: PositiveFloat | None = None
    select_by: str = "weighted"
    select_every: PositiveInt = 10
    properties: TargetsConfig | None = None
    dtype: Literal["float32", "float64"] = "float32"
    device: str = "auto"
    devices: PositiveInt = 1
    num_nodes: PositiveInt = 1
    num_workers: int = Field(default=0, ge=0)

    def epochs_for(self, num_structures: int) -> TrainingConfig:
        """The same budget in epochs over so many structures."""
        if self.max_steps is None:
            return self
        steps = -(-num_structures * self.repeats // self.batch_size)
        return self.model_copy(update={"max_epochs": -(-self.max_steps // steps)})

    @property
    def selects_by_properties(self) -> bool:
        """Whether properties pick the model, rather than errors of the validation."""
        return self.select_by not in SELECTIONS

    def judges_in(self, epoch: int) -> bool:
        """Whether properties are computed after this epoch: every so many, and after the last."""
        return self.selects_by_properties and (epoch % self.select_every == 0 or epoch == self.max_epochs)

    def error(self, row: Mapping[str, float]) -> float:
        """Validation error in a row of the history that picks the model, or the loss."""
        name = self.select_by
        return row[f"validation_{f'{name}_rmse' if name in SELECTIONS[1:] else 'loss'}"]

    def score(self, row: Mapping[str, float]) -> tuple[float, float]:
        """What picks the model of a row of the history; the least is the best.

        Properties come before the validation loss; rows without them are behind those with.
        """
        deviation = row.get("validation_deviation", math.inf) if self.selects_by_properties else 0.0
        return deviation, self.error(row)

    @model_validator(mode="after")
    def _selects(self) -> Self:
        if self.select_by in SELECTIONS:
            return self
        if self.select_by.partition(".")[0] not in {*NAMES, "properties"}:
            raise ValueError(
                f"expected select_by {', '.join(SELECTIONS)}, properties, or a property, got "
                f"{self.select_by!r}; properties are {', '.join(NAMES)}"
            )
        if self.properties is None:
            raise ValueError(
                f"expected properties for select_by: {self.select_by}, got none; give their structure and "
                "values, such as properties: {structure: Ni, values: {elastic: {C44: 123.5}}}"
            )
        self.properties.names(self.select_by)
        return self

    @field_validator("freeze", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_serializer("freeze")
    def _as_list(self, value: tuple[str, ...]) -> list[str]:
        return list(value)
