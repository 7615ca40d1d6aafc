"""One step that leaves no trace, so that the clock of a run does not count the compilation of loops."""

from __future__ import annotations

import copy

import torch

from gnnpot.graph.graph import AtomicGraph
from gnnpot.potential.potential import Potential
from gnnpot.training.loss import Loss


def warm_up(potential: Potential, loss: Loss, train: AtomicGraph, validation: AtomicGraph) -> None:
    """Call all that a step and a validation call; loops are compiled when they are first called.

    Args:
        potential: Stays as it is.
        loss: Loss function of the training.
        train: A batch to train on.
        validation: A batch to validate on.
    """
    potential = copy.deepcopy(potential)
    trainable = [parameter for parameter in potential.parameters() if parameter.requires_grad]
    terms = loss.terms(potential(train), train)
    torch.stack([term.total for term in terms.values()]).sum().backward(inputs=trainable)
    with torch.no_grad():
        potential(validation)
