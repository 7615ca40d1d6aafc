"""What a study of data efficiency is asked."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, ClassVar

from pydantic import PositiveFloat, PositiveInt, field_validator

from gnnpot.benchmark.config import StudyConfig
from gnnpot.errors import ConfigError
from gnnpot.system.files import file_hash
from gnnpot.training import TrainingConfig
from gnnpot.transfer.config import TransferConfig

_EPOCH = 32  # structures an epoch has at least, so that validation is not most of the work


class EfficiencyConfig(StudyConfig):
    """A study of how many target structures a transfer saves.

    From the source and from scratch, a size is trained for the same number of steps; the learning rate of
    each is the one with the least validation error among those that are tried.

    Args:
        transfer: How the potential is carried and trained; its ``train`` files are the pool.
        sizes: Numbers of structures to train on.
        splits: How many random parts there are of each size.
        validation: Number of structures that choose epochs and learning rates, beside the sizes.
        held_out: Number of structures to test on where ``transfer.test`` names no files.
        exclude: Groups of structures that are left out.
        steps: Of each training at least.
        epochs: Passes over the structures of each training at least.
        rates: Learning rates that the transfer tries.
        scratch_rates: Learning rates that training from scratch tries.
    """

    NOUN: ClassVar = "study"
    FREE: ClassVar = frozenset({"sizes", "splits", "rates", "scratch_rates"})

    transfer: TransferConfig
    sizes: tuple[PositiveInt, ...] = (1, 10, 40, 100, 195)
    splits: PositiveInt = 5
    validation: PositiveInt = 22
    held_out: PositiveInt = 24
    exclude: tuple[str, ...] = ()
    steps: PositiveInt = 600
    epochs: PositiveInt = 60
    rates: tuple[PositiveFloat, ...] = (3e-4, 1e-3)
    scratch_rates: tuple[PositiveFloat, ...] = (1e-3, 3e-3)

    @field_validator("transfer")
    @classmethod
    def _from_something(cls, transfer: TransferConfig) -> TransferConfig:
        if transfer.source is None:
            raise ConfigError(
                "expected a source to compare with training from scratch, got none; give --from"
            )
        if len(transfer.stages) > 1:
            raise ConfigError(
                f"expected a transfer in one stage, got {len(transfer.stages)}; study each by itself"
            )
        return transfer

    def training(self, base: TrainingConfig, size: int, rate: float) -> TrainingConfig:
        """``base`` with this learning rate and as many epochs as the study asks of this size."""
        batch = min(base.batch_size, size)
        repeats = math.ceil(_EPOCH / size)
        steps = max(self.steps, self.epochs * math.ceil(size / batch))
        epochs = max(1, round(steps / math.ceil(size * repeats / batch)))
        optimizer = base.optimizer.model_copy(update={"learning_rate": rate})
        changes = {"batch_size": batch, "repeats": repeats, "max_epochs": epochs, "optimizer": optimizer}
        return base.model_copy(update={**changes, "max_time": None})

    def written(self) -> dict[str, Any]:
        """All values, and what the file of the source holds."""
        return {**super().written(), "source_hash": file_hash(Path(str(self.transfer.source)))}
