"""A training step without effect, so that the time budget does not include the compilation of loops."""

from __future__ import annotations

import copy

import torch

from gnnpot.graph.graph import AtomicGraph
from gnnpot.potential.potential import Potential
from gnnpot.training.loss import loss_terms
from gnnpot.training.loss_config import Loss


def warm_up(potential: Potential, loss: Loss, train: AtomicGraph, validation: AtomicGraph) -> None:
    """Run one training step and one validation step on a copy, which compiles all loops.

    Args:
        potential: Stays as it is.
        loss: Loss function of the training.
        train: A batch to train on.
        validation: A batch to validate on.
    """
    potential = copy.deepcopy(potential)
    trainable = [parameter for parameter in potential.parameters() if parameter.requires_grad]
    terms = loss_terms(loss, potential(train), train)
    torch.stack([term.total for term in terms.values()]).sum().backward(inputs=trainable)
    with torch.no_grad():
        potential(validation)
