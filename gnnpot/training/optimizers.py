"""Optimizers and learning-rate schedules."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import singledispatch
from typing import Any

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from gnnpot.training.low_rank import LowRank
from gnnpot.training.optimizer_config import (
    AdamSGDConfig,
    AdamWConfig,
    CosineSchedule,
    ExponentialSchedule,
    OptimizerConfig,
    PlateauSchedule,
    ScheduleConfig,
)

Factor = Callable[[nn.Parameter], float]  # of the learning rate


@singledispatch
def build_optimizers(
    config: OptimizerConfig, module: nn.Module, factor: Factor = lambda parameter: 1.0
) -> list[Optimizer]:
    """The optimizers of the trainable parameters of a module.

    Args:
        config: Which, and how.
        module: Whose parameters.
        factor: Factor of the learning rate of each parameter.
    """
    raise TypeError(f"expected an optimizer that is known, got {type(config).__name__}; register it here")


@build_optimizers.register
def _adamw(config: AdamWConfig, module: nn.Module, factor: Factor = lambda parameter: 1.0) -> list[Optimizer]:
    """One optimizer; weights and other parameters in groups of equal rates."""
    weights, others = _weights_and_others(module)
    groups = [
        *_by_rate(weights, config.learning_rate, factor, weight_decay=config.weight_decay),
        *_by_rate(others, config.learning_rate, factor, weight_decay=0.0),
    ]
    return [AdamW(groups, lr=config.learning_rate, amsgrad=config.amsgrad, fused=True)]


@build_optimizers.register
def _adam_and_sgd(
    config: AdamSGDConfig, module: nn.Module, factor: Factor = lambda parameter: 1.0
) -> list[Optimizer]:
    """One optimizer for weights, one for biases."""
    weights, others = _weights_and_others(module)
    adam = AdamW if config.decoupled else Adam
    chosen: list[Optimizer] = []
    if weights:
        groups = _by_rate(weights, config.learning_rate, factor, weight_decay=config.weight_decay)
        chosen.append(adam(groups, lr=config.learning_rate, fused=True))
    if others:
        groups = _by_rate(others, config.bias_learning_rate, factor)
        chosen.append(SGD(groups, lr=config.bias_learning_rate))
    return chosen


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
