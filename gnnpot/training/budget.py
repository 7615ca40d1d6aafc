"""The budget of a training: by the size of the set; and whether it is enough, as far as epochs tell."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from gnnpot.config.durations import clock_time
from gnnpot.training.config import SELECTIONS, TrainingConfig

_FEW = 50  # epochs; fewer end before the errors have settled
_FALLING = 0.03  # relative fall of the score over the last tenth that counts
_ATOMS_A_STEP, _MOST_A_STEP = 256, 16  # atoms, about, and structures
_STEPS = 6000  # of a training, about
_FEWEST_STEPS = 12  # of an epoch
_FEWEST_EPOCHS, _MOST_EPOCHS = 60, 600


def batch_and_epochs(num_structures: int, num_atoms: int) -> tuple[int, int]:
    """Structures of a step and epochs that suit a set.

    Args:
        num_structures: Structures to train on and those that are taken out of them.
        num_atoms: Atoms of the median structure.
    """
    trained = max(round(0.9 * num_structures), 1)
    batch = min(max(round(_ATOMS_A_STEP / num_atoms), 1), _MOST_A_STEP, max(trained // _FEWEST_STEPS, 1))
    epochs = min(max(_STEPS * batch / trained, _FEWEST_EPOCHS), _MOST_EPOCHS)
    rounded = 10 ** max(math.floor(math.log10(epochs)) - 1, 0)  # to two digits
    return batch, int(round(epochs / rounded) * rounded)


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
    scores = [config.error(row) for row in history]
    before, after = min(scores[:-last]), min(scores[-last:])
    if after > (1 - _FALLING) * before:
        return None
    is_error = config.select_by in SELECTIONS[1:]
    name = f"error of the {config.select_by}" if is_error else "loss"
    return (
        f"warning: the validation {name} was still falling when the budget ended, by "
        f"{1 - after / before:.0%} in the last {last} of {len(history)} epochs; a larger budget would help"
    )
