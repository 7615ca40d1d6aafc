"""What a configuration leaves open: lengths of the model, weights of the loss, the budget, the step size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import numpy as np
import torch
from pydantic import ValidationError

from gnnpot.config.faults import faults_of
from gnnpot.data.dataset import GraphDataset
from gnnpot.data.scales import LengthScales
from gnnpot.errors import ConfigError, DataError
from gnnpot.graph.graph import LABELS
from gnnpot.models import ModelConfig
from gnnpot.training.budget import batch_and_epochs
from gnnpot.training.config import TrainingConfig
from gnnpot.training.loss_config import Loss
from gnnpot.training.optimizer_config import AdamWConfig, OptimizerConfig
from gnnpot.training.run_config import RunConfig
from gnnpot.training.run_graphs import RunGraphs

C = TypeVar("C", bound=RunConfig)


def fitted(config: C, graphs: RunGraphs) -> C:
    """``config`` with numbers in place of what it leaves to the data and to the kind of the model.

    Args:
        config: Configuration of a run.
        graphs: Its structures, with edges up to any cutoff.

    Raises:
        DataError: A cutoff is told in nearest-neighbor distances, and no atom has a neighbor within 9 Å.
        ConfigError: The lengths that were found do not fit those that are given.
    """
    training = _with_budget(config.training, graphs)
    found = {
        "loss": _with_weights(training.loss, graphs),
        "optimizer": _with_step_size(training.optimizer, config.model),
    }
    return config.model_copy(
        update={
            "model": _with_lengths(config.model, graphs),
            "training": training.model_copy(update=found),
        }
    )


def unused_labels(config: RunConfig, *datasets: GraphDataset) -> Iterator[str]:
    """Say which labels of the training structures nothing is learned from.

    Args:
        config: Configuration of the run, with weights of the loss.
        datasets: Training and validation structures.
    """
    for label in LABELS:
        if label in config.training.loss.labels:
            continue
        size = sum(map(len, datasets))
        labeled = size - sum(dataset.count_absent(label) for dataset in datasets)
        if labeled:
            rest = f", as the other {size - labeled} lack them" if labeled < size else ""
            yield f"not trained on: {label} labels of {labeled} structures{rest}"


def _with_lengths(model: ModelConfig, graphs: RunGraphs) -> ModelConfig:
    if not model.left_open:
        return model
    scales = LengthScales.of_store(graphs.train.store)
    if scales is None:
        if model.relative:
            raise DataError(
                f"expected neighbors within 9 Å, as {', '.join(model.relative)} counts their distances, got "
                "none; give lengths in Å"
            )
        return model.filled({})
    try:
        return model.fitted(scales)
    except ValidationError as error:
        raise ConfigError(f"the model does not fit the data: {faults_of(error, type(model))}") from error


def _with_budget(training: TrainingConfig, graphs: RunGraphs) -> TrainingConfig:
    """The training with a budget by the size of the set, in place of what was left open."""
    store = graphs.train.store
    sizes = store.num_atoms()[~store.isolated]
    if not training.left_open or not len(sizes):
        return training
    batch, epochs = batch_and_epochs(len(sizes), int(np.median(sizes)))
    if training.max_steps is not None or training.max_time is not None:
        epochs = max(epochs, training.max_epochs)  # what is told is the budget
    return training.filled({"batch_size": batch, "max_epochs": epochs})


def _with_step_size(optimizer: OptimizerConfig, model: ModelConfig) -> OptimizerConfig:
    """The optimizer with what suits a kind of model, in place of what was left open."""
    if not isinstance(optimizer, AdamWConfig):
        return optimizer
    return optimizer.filled({"learning_rate": model.LEARNING_RATE, "weight_decay": model.WEIGHT_DECAY})


def _with_weights(loss: Loss, graphs: RunGraphs) -> Loss:
    """The loss without terms that were left open and have no labels."""
    if not loss.left_open:
        return loss
    sets = [
        GraphDataset(part.store, part.store.structure_rows(), dtype=torch.float32)
        for part in (graphs.train, graphs.validation)
        if part is not None
    ]
    zeros = {label: 0.0 for label in loss.left_open if not _trains(label, sets)}
    there = set(loss.labels) - set(zeros)
    return loss.filled(zeros) if there else loss  # without any label the checks say what to do


def _trains(label: str, sets: list[GraphDataset]) -> bool:
    """Whether a label is there; stress on every structure, as molecules and slabs have none."""
    if label == "stress" and any(part.lacking(label) or part.first_open() for part in sets):
        return False
    return all(part.has(label) for part in sets)
