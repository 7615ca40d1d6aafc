"""Training: loss, optimizers, and the one loop for all models."""

from gnnpot.training.fit import Observer, RunSettings, fit
from gnnpot.training.settings import TrainingConfig

__all__ = ["Observer", "RunSettings", "TrainingConfig", "fit"]
