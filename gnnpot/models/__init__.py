"""The models, each a file of its own; importing this package registers them."""

from gnnpot.models import ani, dimenet, nequip, schnet
from gnnpot.models.base import MODELS, AtomicEnergyModel, ModelConfig, build_model

__all__ = ["MODELS", "AtomicEnergyModel", "ModelConfig", "ani", "build_model", "dimenet", "nequip", "schnet"]
