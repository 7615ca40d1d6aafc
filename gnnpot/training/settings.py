"""The ``training:`` section of a configuration."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt

from gnnpot.training.loss import LossConfig, WeightedLoss
from gnnpot.training.optimizers import AdamWConfig, CosineSchedule, OptimizerConfig, ScheduleConfig


class TrainingConfig(BaseModel):
    """Everything that :func:`gnnpot.training.fit` needs besides a potential and data.

    Args:
        batch_size: Structures of one step, over all processes together.
        max_epochs: Budget in epochs.
        max_time: Budget in time, as in ``01:30:00``; schedules run over whichever ends first.
        loss: What is made small.
        optimizer: How.
        schedule: The learning rate over the run.
        ema_decay: Keep an exponential moving average of the weights, and validate and keep that.
        gradient_clip: Largest norm of the gradient.
        early_stopping: Epochs without a better model after which the run ends.
        stop_below: Learning rate below which the run ends.
        select_by: Validation RMSE, or loss for ``weighted``, that picks the model to keep.
        dtype: Of weights and graphs.
        device: ``auto`` takes a GPU if there is one.
        devices: Processes on each node.
        num_nodes: Nodes.
        num_workers: Processes that prepare batches beside the training.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    batch_size: PositiveInt = 8
    max_epochs: PositiveInt = 500
    max_time: timedelta | None = None
    loss: LossConfig = WeightedLoss()
    optimizer: OptimizerConfig = AdamWConfig()
    schedule: ScheduleConfig = CosineSchedule()
    ema_decay: float | None = Field(default=0.99, gt=0.0, lt=1.0)
    gradient_clip: PositiveFloat | None = 10.0
    early_stopping: PositiveInt | None = None
    stop_below: PositiveFloat | None = None
    select_by: Literal["weighted", "energy", "forces", "stress"] = "weighted"
    dtype: Literal["float32", "float64"] = "float32"
    device: str = "auto"
    devices: PositiveInt = 1
    num_nodes: PositiveInt = 1
    num_workers: int = Field(default=0, ge=0)
