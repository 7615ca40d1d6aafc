"""Configuration of a study of data efficiency."""

from __future__ import annotations

import math
from typing import ClassVar

from pydantic import PositiveFloat, PositiveInt, field_validator

from gnnpot.config.base import Configuration
from gnnpot.errors import ConfigError
from gnnpot.training.config import TrainingConfig
from gnnpot.transferring.config import TransferConfig

_EPOCH = 32  # structures an epoch has at least, so that validation is not most of the work


class EfficiencyConfig(Configuration):
    """Configuration of a study of how many target structures a transfer saves.

    Transfer and training from scratch get the same number of steps for each size; for each of them the
    learning rate with the smallest validation error is used.

    Args:
        transfer: Configuration of the transfer; its ``train`` files are the pool.
        sizes: Numbers of training structures.
        splits: Number of random subsets of each size.
        validation: Number of validation structures, in addition to the training structures; they select
            epoch and learning rate.
        held_out: Number of test structures, if ``transfer.test`` names no files.
        exclude: Groups of structures to leave out.
        steps: Minimum number of optimizer steps of each training.
        epochs: Minimum number of epochs of each training.
        rates: Learning rates tried for the transfer.
        scratch_rates: Learning rates tried for training from scratch.
    """

    FREE: ClassVar = frozenset(
        {"sizes", "splits", "rates", "scratch_rates", "source_hash"}  # the last in files of older versions
    )

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
        """Copy of ``base`` with this learning rate and the number of epochs for this size."""
        batch = min(base.batch_size, size)
        repeats = math.ceil(_EPOCH / size)
        steps = max(self.steps, self.epochs * math.ceil(size / batch))
        epochs = max(1, round(steps / math.ceil(size * repeats / batch)))
        optimizer = base.optimizer.model_copy(update={"learning_rate": rate})
        changes = {"batch_size": batch, "repeats": repeats, "max_epochs": epochs, "optimizer": optimizer}
        return base.model_copy(update={**changes, "max_time": None})
