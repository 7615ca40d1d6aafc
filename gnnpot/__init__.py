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
    "DataReport": "gnnpot.data.checks.data_report",
    "GNNPotCalculator": "gnnpot.calculator.calculator",
    "LabelConfig": "gnnpot.labeling.config",
    "LabelKeys": "gnnpot.data.keys",
    "Potential": "gnnpot.potential.potential",
    "Prediction": "gnnpot.potential.potential",
    "RunConfig": "gnnpot.training.run_config",
    "SampleConfig": "gnnpot.sampling.config",
    "TransferConfig": "gnnpot.transferring.config",
    "evaluate": "gnnpot.commands.functions",
    "label": "gnnpot.commands.functions",
    "load_potential": "gnnpot.potential.model_file",
    "sample": "gnnpot.commands.functions",
    "save_potential": "gnnpot.potential.model_file",
    "train": "gnnpot.commands.functions",
    "transfer": "gnnpot.commands.functions",
    "validate": "gnnpot.commands.functions",
}

__all__ = ["__version__", *sorted(_HOME)]

if TYPE_CHECKING:
    from gnnpot.calculator.calculator import GNNPotCalculator as GNNPotCalculator
    from gnnpot.commands.functions import evaluate as evaluate
    from gnnpot.commands.functions import label as label
    from gnnpot.commands.functions import sample as sample
    from gnnpot.commands.functions import train as train
    from gnnpot.commands.functions import transfer as transfer
    from gnnpot.commands.functions import validate as validate
    from gnnpot.data.checks.data_report import DataReport as DataReport
    from gnnpot.data.keys import LabelKeys as LabelKeys
    from gnnpot.graph.graph import AtomicGraph as AtomicGraph
    from gnnpot.labeling.config import LabelConfig as LabelConfig
    from gnnpot.potential.committee import Committee as Committee
    from gnnpot.potential.model_file import load_potential as load_potential
    from gnnpot.potential.model_file import save_potential as save_potential
    from gnnpot.potential.potential import Potential as Potential
    from gnnpot.potential.potential import Prediction as Prediction
    from gnnpot.sampling.config import SampleConfig as SampleConfig
    from gnnpot.training.run_config import RunConfig as RunConfig
    from gnnpot.transferring.config import TransferConfig as TransferConfig


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'gnnpot' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
