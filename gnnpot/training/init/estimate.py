"""How long a training will take on this machine, from a few of its steps."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch
from ase import Atoms

from gnnpot.data.dataset import GraphDataset
from gnnpot.data.store import GraphStore
from gnnpot.graph.graph import AtomicGraph, collate
from gnnpot.models import build_model
from gnnpot.potential.potential import Potential
from gnnpot.potential.repulsion import ZBLRepulsion
from gnnpot.system.devices import choose_device
from gnnpot.training.loss import loss_terms
from gnnpot.training.run_config import RunConfig
from gnnpot.training.warm_up import warm_up

_STEPS = 6  # that are timed


def training_seconds(
    config: RunConfig, frames: Sequence[Atoms], *, num_train: int, num_validation: int
) -> float:
    """Time of a whole training (s), without reading and reports; the fastest of six steps counts.

    Args:
        config: Configuration of the run, with nothing left to the data.
        frames: Some of its structures, with all elements.
        num_train: Number of structures to train on.
        num_validation: Number of structures for validation.
    """
    training, device = config.training, choose_device(config.training.device)
    dtype = getattr(torch, training.dtype)
    store = GraphStore.in_memory(frames, config.model.cutoff)
    graphs = GraphDataset(store, range(len(store)), dtype=dtype)
    model = build_model(config.model, graphs.elements()).to(dtype)
    model.prepare(graphs)
    repulsion = None if config.repulsion is None else ZBLRepulsion(config.repulsion.reach)
    zeros = dict.fromkeys(graphs.elements(), 0.0)
    potential = Potential(model, zeros, scale=1.0, repulsion=repulsion).to(device)
    batch = collate([graphs[place % len(graphs)] for place in range(training.batch_size)]).to(device)
    warm_up(potential, training.loss, batch, batch)
    step = min(_seconds_of_step(potential, config, batch) for _ in range(_STEPS))
    predicted = min(_seconds_of_prediction(potential, batch) for _ in range(_STEPS))
    steps, predictions = (-(-count // training.batch_size) for count in (num_train, num_validation))
    return training.max_epochs * (training.repeats * steps * step + predictions * predicted)


def _seconds_of_step(potential: Potential, config: RunConfig, batch: AtomicGraph) -> float:
    """Of one training step, weights unchanged."""
    begun = time.perf_counter()
    terms = loss_terms(config.training.loss, potential(batch), batch)
    trainable = [parameter for parameter in potential.parameters() if parameter.requires_grad]
    total = torch.stack([term.total for term in terms.values()]).sum()
    gradients = torch.autograd.grad(total, trainable, allow_unused=True)
    sum(float(gradient.sum()) for gradient in gradients[:1] if gradient is not None)  # waits for a GPU
    return time.perf_counter() - begun


def _seconds_of_prediction(potential: Potential, batch: AtomicGraph) -> float:
    begun = time.perf_counter()
    with torch.no_grad():
        float(potential(batch).energy.sum())
    return time.perf_counter() - begun
