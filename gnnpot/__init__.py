"""Machine-learning interatomic potentials on PyTorch Geometric.

Public names are imported at first use, so that ``import gnnpot`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gnnpot.version import __version__

_HOME = {
    "AtomicGraph": "gnnpot.graph.graph",
    "Committee": "gnnpot.potential.committee",
    "GNNPotCalculator": "gnnpot.calculator.calculator",
    "Potential": "gnnpot.potential.potential",
    "Prediction": "gnnpot.potential.potential",
    "evaluate": "gnnpot.evaluation.evaluation",
    "load_potential": "gnnpot.potential.model_file",
    "save_potential": "gnnpot.potential.model_file",
}

__all__ = ["__version__", *sorted(_HOME)]

if TYPE_CHECKING:
    from gnnpot.calculator.calculator import GNNPotCalculator as GNNPotCalculator
    from gnnpot.evaluation.evaluation import evaluate as evaluate
    from gnnpot.graph.graph import AtomicGraph as AtomicGraph
    from gnnpot.potential.committee import Committee as Committee
    from gnnpot.potential.model_file import load_potential as load_potential
    from gnnpot.potential.model_file import save_potential as save_potential
    from gnnpot.potential.potential import Potential as Potential
    from gnnpot.potential.potential import Prediction as Prediction


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'gnnpot' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
