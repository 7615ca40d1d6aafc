r"""Linear regression of the last layer, as the last step of a training.

Energies, forces and stress are linear in the weights w of the last layer, so the loss is a quadratic function
of them, and its minimum needs no learning rate:

.. math:: \min_w L(w) + \tfrac{\lambda}{2} |w - w_0|^2, \qquad (H + \lambda)(w - w_0) = -\nabla L(w_0)

with the trained weights :math:`w_0`.  Products with H are differences of two gradients of the loss, exact as
it is quadratic, so a large set needs no large matrix; Lanczos' method finds the few directions that matter,
and the ridge λ with the lowest validation loss is taken.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gnnpot.data.dataset import GraphDataset
from gnnpot.errors import ConfigError
from gnnpot.evaluation.evaluation import BATCH_ATOMS
from gnnpot.graph.graph import AtomicGraph
from gnnpot.models.hidden import last_layer
from gnnpot.potential.potential import Potential, Prediction
from gnnpot.training.config import RefitConfig
from gnnpot.training.loss import Term, loss_terms
from gnnpot.training.loss_config import Loss, WeightedLoss

Array = np.ndarray
_RIDGES = 10.0 ** np.arange(-1.0, -10.0, -1.0)  # in units of the largest curvature
_EXHAUSTED = 1e-10  # part of the first direction below which nothing new is found


class Refit(NamedTuple):
    """Result of a regression."""

    ridge: float | None  # λ in units of the largest curvature; None where no change helps
    before: float  # validation loss, with the weights of the regression
    after: float

    def __str__(self) -> str:
        if self.ridge is None:
            return "no change lowers the validation loss, so it stays as it was trained"
        return f"validation loss {self.before:.4g} → {self.after:.4g} with a ridge of {self.ridge:g}"


class _Errors:
    """The loss of a set and its gradient, as functions of the weights of the last layer.

    Args:
        potential: Potential in float64, whose last layer is changed.
        dataset: Labeled structures.
        loss: Loss of the training.
        energy: Factor of the weight of energies.
    """

    def __init__(self, potential: Potential, dataset: GraphDataset, loss: Loss, energy: float) -> None:
        self.potential, self.loss, self.energy = potential, loss, energy
        self.dataset = GraphDataset(dataset.store, dataset.rows, dtype=torch.float64, labels=dataset.labels)
        names = last_layer(potential.model)
        self.weights = [potential.model.get_parameter(name) for name in names]
        self.sizes: dict[str, Tensor] = {}
        for graph in self._batches():  # what counts is the same for any prediction, as for a perfect one
            perfect = Prediction(graph.energy, graph.forces, graph.stress, graph.energy)
            for name, term in loss_terms(self.loss, perfect, graph).items():
                self.sizes[name] = self.sizes.get(name, torch.zeros(())) + term.size

    @property
    def place(self) -> Float[Array, "W"]:
        """The weights in one row."""
        return torch.cat([weight.detach().reshape(-1) for weight in self.weights]).numpy().copy()

    @torch.no_grad()
    def move(self, place: Float[Array, "W"]) -> None:
        """Set the weights."""
        parts = torch.from_numpy(place).split([weight.numel() for weight in self.weights])
        for weight, part in zip(self.weights, parts, strict=True):
            weight.copy_(part.view_as(weight))

    def value(self) -> float:
        """The loss."""
        with torch.no_grad():
            return float(sum(self._joined(graph) for graph in self._batches()))

    def gradient(self) -> Float[Array, "W"]:
        """The gradient of the loss."""
        total = [torch.zeros_like(weight) for weight in self.weights]
        for graph in self._batches():
            parts = torch.autograd.grad(self._joined(graph), self.weights, allow_unused=True)
            for sums, part in zip(total, parts, strict=True):
                if part is not None:
                    sums += part
        return torch.cat([part.reshape(-1) for part in total]).numpy()

    def _joined(self, graph: AtomicGraph) -> Tensor:
        """What a batch adds to the loss of the set."""
        terms = self._terms(graph)
        return torch.stack(
            [term.total / self.sizes[name].clamp(min=1.0) for name, term in terms.items()]
        ).sum()

    def _terms(self, graph: AtomicGraph) -> dict[str, Term]:
        terms = loss_terms(self.loss, self.potential(graph), graph)
        return {
            name: term._replace(total=term.total * self.energy) if name == "energy" else term
            for name, term in terms.items()
        }

    def _batches(self) -> Iterable[AtomicGraph]:
        return self.dataset.batches(BATCH_ATOMS)


def refit(
    potential: Potential, train: GraphDataset, validation: GraphDataset, *, loss: Loss, config: RefitConfig
) -> Refit:
    """Fit the last layer of ``potential`` anew, in place, by linear regression.

    The weights stay as they are where no ridge lowers the validation loss.

    Args:
        potential: Trained potential.
        train: Structures of the regression.
        validation: Structures that choose the ridge.
        loss: Loss of the training; errors are squared whatever it does with them.
        config: Weight of energies and number of directions.

    Raises:
        ConfigError: The model does not say which weights are those of its last layer.
    """
    if isinstance(loss, WeightedLoss):
        loss = loss.model_copy(update={"error": "mse"})
    wide = deepcopy(potential).double().requires_grad_(False)
    names = last_layer(wide.model)
    if not names:
        raise ConfigError(
            "expected a model that names its last layer for training.refit, got "
            f"{potential.model.config.kind}; end it with linear layers of width 1 or leave training.refit out"
        )
    for name in names:
        wide.model.get_parameter(name).requires_grad_(True)
    training, validated = (_Errors(wide, part, loss, config.energy) for part in (train, validation))
    start, before = training.place, validated.value()
    steps = _ridge_steps(training, start, config.directions)
    best = Refit(None, before, before)
    chosen = start
    for ridge, step in steps:
        training.move(start + step)
        if (after := validated.value()) < best.after:
            best, chosen = Refit(ridge, before, after), start + step
    training.move(chosen)
    if best.ridge is not None:
        with torch.no_grad():
            for name in names:
                potential.model.get_parameter(name).copy_(wide.model.get_parameter(name))
    return best


def _ridge_steps(
    errors: _Errors, start: Float[Array, "W"], directions: int
) -> list[tuple[float, Float[Array, "W"]]]:
    """Changes of the weights for each ridge, from one Krylov space.

    Source: Lanczos, J. Res. Natl. Bur. Stand. 45, 255 (1950), with full orthogonalization.
    """
    slope = errors.gradient()
    length = np.linalg.norm(slope)
    if length == 0.0:
        return []
    basis, diagonal, beside = [-slope / length], [], []
    while True:
        errors.move(start + basis[-1])
        image = errors.gradient() - slope
        diagonal.append(float(basis[-1] @ image))
        for _ in range(2):  # twice is enough
            for vector in basis:
                image -= (vector @ image) * vector
        size = float(np.linalg.norm(image))
        if len(basis) == min(directions, len(start)) or size < _EXHAUSTED * diagonal[0]:
            break
        beside.append(size)
        basis.append(image / size)
    errors.move(start)
    matrix = np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1)
    curvatures, turn = np.linalg.eigh(matrix)
    space = np.stack(basis, axis=1) @ turn
    sizes = length * turn[0]
    largest = curvatures[-1]
    return [(float(ridge), space @ (sizes / (curvatures + ridge * largest))) for ridge in _RIDGES]
