"""The uncertainty that a training keeps beside its potential, where the configuration asks for one."""

from __future__ import annotations

from pathlib import Path

from gnnpot.evaluation.evaluation import BATCH_ATOMS
from gnnpot.potential.last_layer import UNCERTAINTY_FILE, LastLayerUncertainty
from gnnpot.potential.potential import Potential
from gnnpot.training.config import TrainingConfig
from gnnpot.training.preparation import PreparedData


def with_uncertainty(
    potential: Potential, config: TrainingConfig, data: PreparedData, folder: Path
) -> Potential | LastLayerUncertainty:
    """The potential, with its uncertainty if that is asked for, which is then kept in the folder.

    Args:
        potential: Trained potential.
        config: The training.
        data: Its data; validation structures give the scale of the uncertainty.
        folder: Folder of the training.
    """
    if config.uncertainty is None:
        return potential
    train, held_out = (part.batches(BATCH_ATOMS) for part in (data.train, data.validation))
    found = LastLayerUncertainty.fitted(potential, train, held_out)
    found.write(folder / UNCERTAINTY_FILE)
    return found
