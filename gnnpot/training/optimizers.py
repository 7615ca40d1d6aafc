"""Optimizers and learning-rate schedules."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
)
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from gnnpot.config.base import Section
from gnnpot.config.kinds import Kinds
from gnnpot.training.low_rank import LowRank

Factor = Callable[[nn.Parameter], float]  # of the learning rate


class AdamWConfig(Section):
    """AdamW on all parameters; weight decay spares biases and embeddings.

    Source: Loshchilov and Hutter, ICLR 2019.

    Args:
        learning_rate: Step size.
        weight_decay: Decoupled decay of the weights.
        amsgrad: Keep the largest second moment.
    """

    kind: Literal["adamw"] = "adamw"
    learning_rate: PositiveFloat = 1e-3
    weight_decay: NonNegativeFloat = 1e-5
    amsgrad: bool = True

    def optimizers(self, module: nn.Module, factor: Factor = lambda parameter: 1.0) -> list[Optimizer]:
        """One optimizer; weights and other parameters in groups of equal rates."""
        weights, others = _weights_and_others(module)
        groups = [
            *_by_rate(weights, self.learning_rate, factor, weight_decay=self.weight_decay),
            *_by_rate(others, self.learning_rate, factor, weight_decay=0.0),
        ]
        return [AdamW(groups, lr=self.learning_rate, amsgrad=self.amsgrad, fused=True)]


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

    def optimizers(self, module: nn.Module, factor: Factor = lambda parameter: 1.0) -> list[Optimizer]:
        """One optimizer for weights, one for biases."""
        weights, others = _weights_and_others(module)
        adam = AdamW if self.decoupled else Adam
        chosen: list[Optimizer] = []
        if weights:
            groups = _by_rate(weights, self.learning_rate, factor, weight_decay=self.weight_decay)
            chosen.append(adam(groups, lr=self.learning_rate, fused=True))
        if others:
            groups = _by_rate(others, self.bias_learning_rate, factor)
            chosen.append(SGD(groups, lr=self.bias_learning_rate))
        return chosen


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
    final: NonNegativeFloat = 0.01


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


class LearningRates:
    """Learning rates, set before each step, and after each epoch for the plateau schedule.

    Args:
        schedule: Schedule of the learning rates.
        optimizers: Whose rates; those they have now are the first.
    """

    def __init__(self, schedule: ScheduleConfig, optimizers: Sequence[Optimizer]) -> None:
        self.schedule = schedule
        self.optimizers = optimizers
        self.first = [float(group["lr"]) for group in self.groups]
        self.warm = False
        self.plateaus: list[ReduceLROnPlateau] = []
        if isinstance(schedule, PlateauSchedule):
            self.plateaus = [
                ReduceLROnPlateau(
                    optimizer,
                    factor=schedule.factor,
                    patience=schedule.patience,
                    threshold=schedule.threshold,
                    min_lr=schedule.min_learning_rate,
                )
                for optimizer in optimizers
            ]

    @property
    def groups(self) -> list[dict[str, Any]]:
        """Current parameter groups of all optimizers; resuming replaces them."""
        return [group for optimizer in self.optimizers for group in optimizer.param_groups]

    def before_step(self, epoch: float, progress: float) -> None:
        """Set the learning rates.

        Args:
            epoch: Epochs done, with the fraction of the present one.
            progress: Fraction of the run's budget that is spent.
        """
        if self.warm and self.plateaus:
            return  # theirs from here on
        self.warm = epoch >= self.schedule.warmup_epochs
        ramp = 1.0 if self.warm else (epoch + 1e-3) / self.schedule.warmup_epochs
        factor = min(ramp, 1.0) * self._decay(progress)
        for group, first in zip(self.groups, self.first, strict=True):
            group["lr"] = first * factor

    def after_epoch(self, metric: float) -> None:
        """Give the plateau schedule the metric that selects the best model."""
        if self.warm:
            for plateau in self.plateaus:
                plateau.step(metric)

    def _decay(self, progress: float) -> float:
        schedule, progress = self.schedule, min(progress, 1.0)
        if isinstance(schedule, CosineSchedule):
            return schedule.final + (1 - schedule.final) * 0.5 * (1 + math.cos(math.pi * progress))
        if isinstance(schedule, ExponentialSchedule):
            return schedule.final**progress
        return 1.0

    def state_dict(self) -> dict[str, Any]:
        """State to resume from; the rates themselves are in the optimizers' states."""
        return {"warm": self.warm, "plateaus": [plateau.state_dict() for plateau in self.plateaus]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state."""
        self.warm = state["warm"]
        for plateau, saved in zip(self.plateaus, state["plateaus"], strict=True):
            plateau.load_state_dict(saved)


def _weights_and_others(module: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Trainable weights of layers and of updates to them; biases, embeddings and all other parameters."""
    weights = {
        id(parameter)
        for layer in module.modules()
        for name, parameter in layer.named_parameters(recurse=False)
        if isinstance(layer, LowRank) or (name == "weight" and not isinstance(layer, nn.Embedding))
    }
    trainable = [parameter for parameter in module.parameters() if parameter.requires_grad]
    chosen = [parameter for parameter in trainable if id(parameter) in weights]
    return chosen, [parameter for parameter in trainable if id(parameter) not in weights]


def _by_rate(
    parameters: Sequence[nn.Parameter], rate: float, factor: Factor, **options: float
) -> list[dict[str, Any]]:
    """Groups of parameters with the same learning rate, the fastest first."""
    groups: dict[float, list[nn.Parameter]] = {}
    for parameter in parameters:
        groups.setdefault(rate * factor(parameter), []).append(parameter)
    return [{"params": groups[key], "lr": key, **options} for key in sorted(groups, reverse=True)]
