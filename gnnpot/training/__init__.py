"""Training: loss, optimizers, and the one loop for all models."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gnnpot.training.config import TrainingConfig as TrainingConfig
    from gnnpot.training.fit import Observer as Observer
    from gnnpot.training.fit import RunSettings as RunSettings
    from gnnpot.training.fit import StepsOnly as StepsOnly
    from gnnpot.training.fit import fit as fit

_HOME = {
    "Observer": "fit",
    "RunSettings": "fit",
    "StepsOnly": "fit",
    "TrainingConfig": "config",
    "fit": "fit",
}

__all__ = ["Observer", "RunSettings", "StepsOnly", "TrainingConfig", "fit"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
