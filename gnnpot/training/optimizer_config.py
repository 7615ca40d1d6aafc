"""Optimizers and learning-rate schedules: what a configuration may say of them, read without torch.

:mod:`gnnpot.training.optimizers` builds them.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
)

from gnnpot.config.base import Section
from gnnpot.config.from_data import SectionFromData
from gnnpot.config.kinds import Kinds
from gnnpot.models import ModelConfig


class AdamWConfig(SectionFromData):
    """AdamW on all parameters; weight decay spares biases and embeddings.

    Source: Loshchilov and Hutter, ICLR 2019.

    Args:
        learning_rate: Step size; left out, or ``auto``, by the kind of the model.
        weight_decay: Decoupled decay of the weights; left out, or ``auto``, by the kind of the model.
        amsgrad: Keep the largest second moment.
    """

    FROM_DATA: ClassVar[tuple[str, ...]] = ("learning_rate", "weight_decay")

    kind: Literal["adamw"] = "adamw"
    learning_rate: PositiveFloat = ModelConfig.LEARNING_RATE
    weight_decay: NonNegativeFloat = ModelConfig.WEIGHT_DECAY
    amsgrad: bool = True


class AdamSGDConfig(Section):
    """Adam with decoupled decay on weights and plain SGD on biases: the recipe of the ANI papers.

    Source: the training code of the rare-events and Low2High papers.

    Args:
        learning_rate: Learning rate of the weights.
        bias_learning_rate: Learning rate of the biases.
        weight_decay: Decay of the weights.
        decoupled: AdamW instead of Adam with an L2 term.
    """

    kind: Literal["adam+sgd"] = "adam+sgd"
    learning_rate: PositiveFloat = 1e-3
    bias_learning_rate: PositiveFloat = 1e-3
    weight_decay: NonNegativeFloat = 1e-4
    decoupled: bool = True


OptimizerConfig = Annotated[AdamWConfig | AdamSGDConfig, Kinds("optimizer", default="adamw")]


class ConstantSchedule(Section):
    """The learning rate stays as it is, after the warm-up.

    Args:
        warmup_epochs: Epochs over which the rate rises from zero.
    """

    kind: Literal["constant"] = "constant"
    warmup_epochs: NonNegativeFloat = 0.0


class CosineSchedule(Section):
    """Half a cosine from the learning rate to ``final`` times it, over the budget of the run.

    Source: Loshchilov and Hutter, ICLR 2017, without restarts.

    Args:
        warmup_epochs: Epochs over which the rate rises from zero.
        final: Last rate in units of the first.
    """

    kind: Literal["cosine"] = "cosine"
    warmup_epochs: NonNegativeFloat = 1.0
    final: NonNegativeFloat = 0.005


class ExponentialSchedule(Section):
    """A constant factor in equal times, reaching ``final`` times the learning rate.

    Args:
        warmup_epochs: Epochs over which the rate rises from zero.
        final: Last rate in units of the first.
    """

    kind: Literal["exponential"] = "exponential"
    warmup_epochs: NonNegativeFloat = 0.0
    final: PositiveFloat = 0.01


class PlateauSchedule(Section):
    """The rate of each optimizer falls by ``factor`` after ``patience`` epochs without a better model.

    Args:
        warmup_epochs: Epochs over which the rate rises from zero.
        factor: Factor by which the rate is multiplied.
        patience: Epochs to wait.
        threshold: Relative improvement that counts.
        min_learning_rate: The rate does not fall below it.
    """

    kind: Literal["plateau"] = "plateau"
    warmup_epochs: NonNegativeFloat = 0.0
    factor: float = Field(default=0.5, gt=0.0, lt=1.0)
    patience: NonNegativeInt = 100
    threshold: NonNegativeFloat = 0.0
    min_learning_rate: NonNegativeFloat = 0.0


ScheduleConfig = Annotated[
    ConstantSchedule | CosineSchedule | ExponentialSchedule | PlateauSchedule,
    Kinds("schedule", default="cosine"),
]
