"""Whether the budget of a training is enough, as far as its first epoch and its errors tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gnnpot.config.durations import clock_time
from gnnpot.training.config import TrainingConfig

_FEW = 50  # epochs; fewer end before the errors have settled
_FALLING = 0.03  # relative fall of the score over the last tenth that counts


def few_epochs(config: TrainingConfig) -> str | None:
    """A warning if the budget allows few epochs."""
    if config.max_epochs >= _FEW or config.max_steps is not None:
        return None
    return f"warning: max_epochs allows {config.max_epochs} epochs; errors mostly fall for {_FEW} and more"


def short_time(config: TrainingConfig, seconds_per_epoch: float) -> str | None:
    """A warning if the time allows few epochs.

    Args:
        config: The budget.
        seconds_per_epoch: Time of the first epoch (s).
    """
    if config.max_time is None or config.max_epochs < _FEW or config.max_steps is not None:
        return None
    epochs = config.max_time.total_seconds() / seconds_per_epoch
    if epochs >= _FEW:
        return None
    return (
        f"warning: max_time of {clock_time(config.max_time)} allows about {max(epochs, 1):.0f} epochs, as "
        f"the first one tells; errors mostly fall for {_FEW} and more"
    )


def still_falling(config: TrainingConfig, history: Sequence[Mapping[str, float]]) -> str | None:
    """A warning if the errors had not stopped falling when the budget ended.

    Args:
        config: What selects the best model.
        history: Errors by epoch.
    """
    last = max(len(history) // 10, 1)
    if len(history) <= last:
        return None
    scores = [config.score(row) for row in history]
    before, after = min(scores[:-last]), min(scores[-last:])
    if after > (1 - _FALLING) * before:
        return None
    name = "loss" if config.select_by == "weighted" else f"error of the {config.select_by}"
    return (
        f"warning: the validation {name} was still falling when the budget ended, by "
        f"{1 - after / before:.0%} in the last {last} of {len(history)} epochs; a larger budget would help"
    )
