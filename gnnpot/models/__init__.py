"""The models, each a file of its own, imported and registered when the first of them is needed.

Their hyperparameters, :data:`MODEL_CONFIGS`, are known without torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gnnpot.models.config import MODEL_CONFIGS, ModelConfig

if TYPE_CHECKING:
    from gnnpot.models.base import MODELS as MODELS
    from gnnpot.models.base import AtomicEnergyModel as AtomicEnergyModel
    from gnnpot.models.base import build_model as build_model

_FILES = ("ani", "dimenet", "nequip", "schnet")
_LATE = ("MODELS", "AtomicEnergyModel", "build_model")

__all__ = ["MODEL_CONFIGS", "ModelConfig", *_LATE]


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    for file in _FILES:
        import_module(f"{__name__}.{file}")
    return getattr(import_module(f"{__name__}.base"), name)
