"""Machine-learning interatomic potentials on PyTorch Geometric.

Public names are imported at first use, so that ``import gnnpot`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "AtomicGraph": "gnnpot.data.graph",
    "Committee": "gnnpot.committee",
    "GNNPotCalculator": "gnnpot.calculator",
    "Potential": "gnnpot.potential",
    "Prediction": "gnnpot.potential",
    "evaluate": "gnnpot.evaluation",
    "load_potential": "gnnpot.checkpoint",
    "save_potential": "gnnpot.checkpoint",
}

__all__ = ["__version__", *sorted(_HOME)]

if TYPE_CHECKING:
    from gnnpot.calculator import GNNPotCalculator as GNNPotCalculator
    from gnnpot.checkpoint import load_potential as load_potential
    from gnnpot.checkpoint import save_potential as save_potential
    from gnnpot.committee import Committee as Committee
    from gnnpot.data.graph import AtomicGraph as AtomicGraph
    from gnnpot.evaluation import evaluate as evaluate
    from gnnpot.potential import Potential as Potential
    from gnnpot.potential import Prediction as Prediction


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'gnnpot' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
