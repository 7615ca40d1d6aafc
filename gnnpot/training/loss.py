r"""Loss functions, in eV and Å.

Every term is a sum over items (structures or force components) and the number of those items, so that
batches, and the parts of a batch that several processes hold, can be joined exactly.  The weight of a
structure multiplies its items; those without a label or with a weight of zero are not counted.
"""

from __future__ import annotations

from functools import singledispatch
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from gnnpot.graph.graph import AtomicGraph
from gnnpot.potential.potential import Prediction
from gnnpot.training.loss_config import ForceMatchingLoss, Loss, Low2HighLoss, SchNetLoss, WeightedLoss


class Term(NamedTuple):
    """One weighted part of a loss; its value is ``total / size``, or 0 where nothing is labeled."""

    total: Float[Tensor, ""]
    size: Float[Tensor, ""]

    @property
    def value(self) -> Float[Tensor, ""]:
        """The mean over the items."""
        return self.total / self.size.clamp(min=1.0)


@singledispatch
def loss_terms(loss: Loss, prediction: Prediction, graph: AtomicGraph) -> dict[str, Term]:
    """The terms of a batch by name.

    Args:
        loss: Loss function, with a weight for each term.
        prediction: Of the batch.
        graph: The batch with its labels.
    """
    raise TypeError(f"expected a loss that has terms, got {type(loss).__name__}; register it here")


@loss_terms.register
def _weighted_terms(loss: WeightedLoss, prediction: Prediction, graph: AtomicGraph) -> dict[str, Term]:
    """One term for each quantity with a weight."""
    sizes = graph.num_atoms
    terms = {}
    if loss.energy:
        difference = energy_difference(prediction, graph) / sizes
        terms["energy"] = _term(loss, loss.energy, difference[:, None], energy_weights(graph)[:, None])
    if loss.forces:
        terms["forces"] = _term(
            loss, loss.forces, forces_difference(prediction, graph), forces_weights(graph)
        )
    if loss.stress:
        difference = stress_difference(prediction, graph).flatten(1)
        terms["stress"] = _term(loss, loss.stress, difference, stress_weights(graph).flatten(1))
    if loss.virial:
        difference = stress_difference(prediction, graph).flatten(1) * (graph.volume / sizes)[:, None]
        terms["virial"] = _term(loss, loss.virial, difference, stress_weights(graph).flatten(1))
    return terms


def _term(
    loss: WeightedLoss, weight: float, difference: Float[Tensor, "I C"], item_weights: Float[Tensor, "I C"]
) -> Term:
    return _weighted_sum(weight, _error(loss, difference), item_weights)


def _error(loss: WeightedLoss, difference: Tensor) -> Tensor:
    if loss.error == "mse":
        return difference.square()
    if loss.error == "mae":
        return difference.abs()
    return F.huber_loss(difference, torch.zeros_like(difference), reduction="none", delta=loss.huber_delta)


@loss_terms.register
def _low2high_terms(loss: Low2HighLoss, prediction: Prediction, graph: AtomicGraph) -> dict[str, Term]:
    """Up to three terms, each a mean over structures."""
    sizes = graph.num_atoms
    terms = {}
    if loss.energy:
        square = energy_difference(prediction, graph).square() / sizes.sqrt()
        terms["energy"] = _weighted_sum(loss.energy, square, energy_weights(graph))
    if loss.forces:
        terms["forces"] = _forces_term(loss, prediction, graph)
    if loss.stress:
        i, j = torch.triu_indices(3, 3)
        virial = stress_difference(prediction, graph)[:, i, j] * graph.volume[:, None]
        terms["stress"] = _weighted_sum(loss.stress, virial.square().sum(1), stress_weights(graph)[:, 0, 0])
    return terms


def _forces_term(loss: Low2HighLoss, prediction: Prediction, graph: AtomicGraph) -> Term:
    """Squares an atom, of the atoms whose forces count, and one item a structure that has some."""
    per_structure = graph.num_atoms.new_zeros(graph.num_structures, dtype=prediction.forces.dtype)
    square = forces_difference(prediction, graph).square().sum(1)
    counted = (forces_weights(graph) > 0).sum(1).to(square.dtype) / 3
    summed = per_structure.index_add(0, graph.batch, square)
    atoms = per_structure.index_add(0, graph.batch, counted)
    weights = torch.where(atoms > 0, graph.forces_weight, 0.0)
    return _weighted_sum(loss.forces, summed / atoms.clamp(min=1.0), weights)


@loss_terms.register
def _schnet_terms(loss: SchNetLoss, prediction: Prediction, graph: AtomicGraph) -> dict[str, Term]:
    """The mean over structures and the mean over force components."""
    terms = {}
    if loss.rho > 0:
        square = energy_difference(prediction, graph).square()
        terms["energy"] = _weighted_sum(loss.rho, square, energy_weights(graph))
    if loss.rho < 1:
        terms["forces"] = _mean_square_force(1 - loss.rho, prediction, graph)
    return terms


@loss_terms.register
def _force_matching_terms(
    loss: ForceMatchingLoss, prediction: Prediction, graph: AtomicGraph
) -> dict[str, Term]:
    """The one term."""
    return {"forces": _mean_square_force(1.0, prediction, graph)}


def energy_weights(graph: AtomicGraph) -> Float[Tensor, "B"]:
    """Weight of each energy label; zero where there is none."""
    return torch.where(graph.energy.isnan(), 0.0, graph.energy_weight)


def forces_weights(graph: AtomicGraph) -> Float[Tensor, "N 3"]:
    """Weight of each component of the force labels; zero where there is none, or where it does not count."""
    weight = graph.forces_weight.index_select(0, graph.batch)[:, None]
    return torch.where(graph.forces.isnan(), 0.0, weight)


def stress_weights(graph: AtomicGraph) -> Float[Tensor, "B 3 3"]:
    """Weight of each component of the stress labels; zero where there is none."""
    return torch.where(graph.stress.isnan(), 0.0, graph.stress_weight[:, None, None])


def energy_difference(prediction: Prediction, graph: AtomicGraph) -> Float[Tensor, "B"]:
    """Prediction minus label (eV); zero where the weight is zero, so that a missing label is not read."""
    return torch.where(energy_weights(graph) > 0, prediction.energy - graph.energy, 0.0)


def forces_difference(prediction: Prediction, graph: AtomicGraph) -> Float[Tensor, "N 3"]:
    """Prediction less label (eV/Å); zero where the weight is."""
    return torch.where(forces_weights(graph) > 0, prediction.forces - graph.forces, 0.0)


def stress_difference(prediction: Prediction, graph: AtomicGraph) -> Float[Tensor, "B 3 3"]:
    """Prediction minus label (eV/Å³); zero where the weight is zero."""
    return torch.where(stress_weights(graph) > 0, prediction.stress - graph.stress, 0.0)


def _mean_square_force(weight: float, prediction: Prediction, graph: AtomicGraph) -> Term:
    return _weighted_sum(weight, forces_difference(prediction, graph).square(), forces_weights(graph))


def _weighted_sum(weight: float, errors: Float[Tensor, "*I"], item_weights: Float[Tensor, "*I"]) -> Term:
    """Sum of the errors times their weights, and the number of those that have one."""
    return Term((weight * item_weights * errors).sum(), (item_weights > 0).sum().to(errors.dtype))
