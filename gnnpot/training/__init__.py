"""Training: loss, optimizers, and the one loop for all models."""

from gnnpot.training.config import TrainingConfig
from gnnpot.training.fit import Observer, RunSettings, StepsOnly, fit

__all__ = ["Observer", "RunSettings", "StepsOnly", "TrainingConfig", "fit"]
