"""Training: loss, optimizers, and the one loop for all models."""

from gnnpot.training.fit import Observer, RunSettings, StepsOnly, fit
from gnnpot.training.settings import TrainingConfig

__all__ = ["Observer", "RunSettings", "StepsOnly", "TrainingConfig", "fit"]
