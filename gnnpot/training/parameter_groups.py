"""Parameter groups: frozen parts, learning rates, anchors."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gnnpot.config.registry import nearest
from gnnpot.errors import ConfigError
from gnnpot.models import AtomicEnergyModel
from gnnpot.training.config import TrainingConfig
from gnnpot.training.low_rank import LowRank, add_low_rank

_NEVER = math.inf


class GroupPlan(NamedTuple):
    """Training of one group of parameters."""

    name: str
    num_parameters: int
    start: float  # epochs after which it trains; infinite where it stays as it is
    factor: float  # of the learning rate

    def state(self, learning_rate: float) -> str:
        """Description of what happens to the group."""
        if self.start == _NEVER:
            return "frozen"
        rate = f"learning rate {learning_rate * self.factor:.3g}"
        return rate if self.start == 0 else f"frozen for {self.start:g} epochs, then {rate}"


class GroupRow(NamedTuple):
    """Description of one group of parameters."""

    name: str
    num_parameters: int
    state: str  # frozen, or the learning rate
    origin: str  # of the first values


def group_plans(model: AtomicEnergyModel, config: TrainingConfig) -> list[GroupPlan]:
    """Training of each group of parameters, from input to output.

    Raises:
        ConfigError: No group is called so, or none is trained from the first epoch.
    """
    groups = model.parameter_groups()
    frozen = {group_name(name, groups, where="freeze") for name in config.freeze}
    epochs = {group_name(name, groups, where="unfreeze"): epoch for name, epoch in config.unfreeze.items()}
    rates = {group_name(name, groups, where="rates"): factor for name, factor in config.rates.items()}
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
    plans = []
    for depth, (name, members) in enumerate(reversed(groups.items())):
        start = float(epochs.get(name, _NEVER if name in frozen else 0.0))
        factor = rates.get(name, 1.0) * config.layer_decay**depth
        plans.append(GroupPlan(name, sum(sizes[member] for member in members), start, factor))
    if all(plan.start > 0 for plan in plans):
        raise ConfigError(
            f"expected a group that trains from the first epoch, got all of {', '.join(groups)} frozen; "
            "take one out of training.freeze or training.unfreeze"
        )
    return plans[::-1]


def group_name(name: str, groups: Iterable[str], *, where: str) -> str:
    """The group that a name stands for; ``first`` and ``last`` are that of the input and of the output.

    Raises:
        ConfigError: No group is called so.
    """
    known = list(groups)
    aliases = {"first": known[0], "last": known[-1]}
    if name not in known and name not in aliases:
        raise ConfigError(
            f"no group of parameters is called {name!r}, as training.{where} has it; "
            f"{nearest(name, [*known, *aliases])}"
        )
    return aliases.get(name, name)


class Tuning:
    """The trained parameters of a model, with their rates, starts and anchors.

    Frozen parameters stop requiring gradients, and layers get low-rank updates, when this is made.

    Args:
        model: Whose parameters.
        config: Frozen groups, learning rates and anchors.

    Raises:
        ConfigError: No group is called so, or none is trained from the first epoch.
    """

    def __init__(self, model: AtomicEnergyModel, config: TrainingConfig) -> None:
        self.strength = config.anchor
        groups, parameters = model.parameter_groups(), dict(model.named_parameters())
        self._factors: dict[int, float] = {}
        self._starts: list[tuple[float, list[nn.Parameter]]] = []
        for plan in group_plans(model, config):
            members = [parameters[name] for name in groups[plan.name]]
            trained = _trained(model, members, plan, config.low_rank)
            self._factors.update(dict.fromkeys(map(id, trained), plan.factor))
            self._starts.append((plan.start, trained))
        self._anchors = [(p, p.detach().clone()) for _, trained in self._starts for p in trained]

    def factor(self, parameter: nn.Parameter) -> float:
        """Factor on the learning rate of a parameter."""
        return self._factors.get(id(parameter), 1.0)

    def hold(self, epoch: int) -> None:
        """Remove the gradients of groups whose training starts in a later epoch."""
        for start, trained in self._starts:
            if epoch < start:
                for parameter in trained:
                    parameter.grad = None

    def penalty(self) -> Float[Tensor, ""]:
        """Strength times the mean squared distance of all trained parameters from their start."""
        squares = [(p - start.to(p)).square().sum() for p, start in self._anchors]
        count = sum(start.numel() for _, start in self._anchors)
        return self.strength * torch.stack(squares).sum() / count


def _trained(
    model: AtomicEnergyModel, members: Sequence[nn.Parameter], plan: GroupPlan, rank: int | None
) -> list[nn.Parameter]:
    """The parameters of a group that are trained, after the rest has been frozen."""
    if plan.start == _NEVER:
        for parameter in members:
            parameter.requires_grad_(False)
        return []
    if rank is None:
        return list(members)
    mine = set(map(id, members))
    linear = [layer for layer in model.modules() if isinstance(layer, nn.Linear)]
    changed = add_low_rank([layer for layer in linear if id(layer.weight) in mine], rank)
    updates = [part for layer in changed for part in layer.modules() if isinstance(part, LowRank)]
    return [
        *(parameter for parameter in members if parameter.requires_grad),
        *(parameter for update in updates for parameter in update.parameters()),
    ]


def group_rows(
    model: AtomicEnergyModel, config: TrainingConfig, origins: Mapping[str, str]
) -> list[GroupRow]:
    """A row for each group of parameters, from input to output.

    Args:
        model: Whose groups.
        config: Training of the groups.
        origins: Origin of the values of each group.
    """
    rate = config.optimizer.learning_rate
    return [
        GroupRow(plan.name, plan.num_parameters, plan.state(rate), origins[plan.name])
        for plan in group_plans(model, config)
    ]
