r"""Loss functions, in eV and Å.

Every term is a sum over items (structures or force components) and the number of those items, so that
batches, and the parts of a batch that several processes hold, can be joined exactly.  The weight of a
structure multiplies its items; those without a label or with a weight of zero are not counted.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pydantic import (
    Field,
    NonNegativeFloat,
    PositiveFloat,
    model_validator,
)
from torch import Tensor

from gnnpot.config.base import Section
from gnnpot.config.kinds import Kinds
from gnnpot.graph.graph import AtomicGraph
from gnnpot.potential.potential import Prediction

ErrorName = Literal["mse", "mae", "huber"]


class Term(NamedTuple):
    """One weighted part of a loss; its value is ``total / size``, or 0 where nothing is labeled."""

    total: Float[Tensor, ""]
    size: Float[Tensor, ""]

    @property
    def value(self) -> Float[Tensor, ""]:
        """The mean over the items."""
        return self.total / self.size.clamp(min=1.0)


class Loss(Section, ABC):
    """A weighted sum of terms, each comparing one quantity with its labels."""

    @property
    @abstractmethod
    def labels(self) -> tuple[str, ...]:
        """Labels that this loss needs."""

    @abstractmethod
    def terms(self, prediction: Prediction, graph: AtomicGraph) -> dict[str, Term]:
        """The terms of a batch by name."""


class WeightedLoss(Loss):
    r"""Errors of energy per atom, forces, stress and virial per atom, each with its weight.

    .. math:: L = \sum_q w_q \langle c\, \rho(q - \hat q) \rangle

    over structures for the energy per atom (eV), over the Cartesian components of all atoms for forces
    (eV/Å), over the nine components of all structures for stress (eV/Å³) and for the virial per atom
    Vσ/N (eV), as far as they have a label that counts; ρ is the square, the absolute value, or Huber's
    function, and c the structure's weight.

    Args:
        energy: Weight of the energy term.
        forces: Weight of the force term.
        stress: Weight of the stress term.
        virial: Weight of the virial term, an alternative to stress in the units of an energy.
        error: ρ.
        huber_delta: Error at which Huber's function turns from parabola to line, in units of the quantity.
    """

    kind: Literal["weighted"] = "weighted"
    energy: NonNegativeFloat = 1.0
    forces: NonNegativeFloat = 1.0
    stress: NonNegativeFloat = 0.0
    virial: NonNegativeFloat = 0.0
    error: ErrorName = "mse"
    huber_delta: PositiveFloat = 0.01

    @model_validator(mode="after")
    def _some_weight(self) -> WeightedLoss:
        if not self.labels:
            raise ValueError("expected a weight above zero, got none; set energy, forces, stress or virial")
        return self

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels with a nonzero weight."""
        weights = {"energy": self.energy, "forces": self.forces, "stress": self.stress + self.virial}
        return tuple(name for name, weight in weights.items() if weight > 0)

    def terms(self, prediction: Prediction, graph: AtomicGraph) -> dict[str, Term]:
        """One term for each quantity with a weight."""
        sizes = graph.num_atoms
        terms = {}
        if self.energy:
            difference = energy_difference(prediction, graph) / sizes
            terms["energy"] = self._term(self.energy, difference[:, None], energy_weights(graph)[:, None])
        if self.forces:
            terms["forces"] = self._term(
                self.forces, forces_difference(prediction, graph), forces_weights(graph)
            )
        if self.stress:
            difference = stress_difference(prediction, graph).flatten(1)
            terms["stress"] = self._term(self.stress, difference, stress_weights(graph).flatten(1))
        if self.virial:
            difference = stress_difference(prediction, graph).flatten(1) * (graph.volume / sizes)[:, None]
            terms["virial"] = self._term(self.virial, difference, stress_weights(graph).flatten(1))
        return terms

    def _term(
        self, weight: float, difference: Float[Tensor, "I C"], item_weights: Float[Tensor, "I C"]
    ) -> Term:
        return _weighted_sum(weight, self._error(difference), item_weights)

    def _error(self, difference: Tensor) -> Tensor:
        if self.error == "mse":
            return difference.square()
        if self.error == "mae":
            return difference.abs()
        return F.huber_loss(
            difference, torch.zeros_like(difference), reduction="none", delta=self.huber_delta
        )


class Low2HighLoss(Loss):
    r"""The loss of the EAM-to-DFT fine-tuning paper.

    .. math:: L = \frac{1}{B} \sum \left[ \alpha \frac{(\Delta E)^2}{\sqrt N}
        + \beta \frac{|\Delta F|^2}{N} + \gamma |\Delta(V\sigma)|^2 \right]

    The last square sums the six independent components.  The paper's weights act on Hartree; ours on eV,
    and as all three terms are squares of energies at fixed lengths, only the learning rate feels it.

    Source: Low2High, eq. 3, with α, β, γ = 1, 0.1, 0.025 first and 0.2, 0.4, 0.4 in fine-tuning.

    Args:
        energy: α.
        forces: β.
        stress: γ.
    """

    kind: Literal["low2high"] = "low2high"
    energy: NonNegativeFloat = 1.0
    forces: NonNegativeFloat = 0.1
    stress: NonNegativeFloat = 0.025

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels with a nonzero weight."""
        weights = {"energy": self.energy, "forces": self.forces, "stress": self.stress}
        return tuple(name for name, weight in weights.items() if weight > 0)

    def terms(self, prediction: Prediction, graph: AtomicGraph) -> dict[str, Term]:
        """Up to three terms, each a mean over structures."""
        sizes = graph.num_atoms
        terms = {}
        if self.energy:
            square = energy_difference(prediction, graph).square() / sizes.sqrt()
            terms["energy"] = _weighted_sum(self.energy, square, energy_weights(graph))
        if self.forces:
            terms["forces"] = self._forces_term(prediction, graph)
        if self.stress:
            i, j = torch.triu_indices(3, 3)
            virial = stress_difference(prediction, graph)[:, i, j] * graph.volume[:, None]
            terms["stress"] = _weighted_sum(
                self.stress, virial.square().sum(1), stress_weights(graph)[:, 0, 0]
            )
        return terms

    def _forces_term(self, prediction: Prediction, graph: AtomicGraph) -> Term:
        """Squares an atom, of the atoms whose forces count, and one item a structure that has some."""
        per_structure = graph.num_atoms.new_zeros(graph.num_structures, dtype=prediction.forces.dtype)
        square = forces_difference(prediction, graph).square().sum(1)
        counted = (forces_weights(graph) > 0).sum(1).to(square.dtype) / 3
        summed = per_structure.index_add(0, graph.batch, square)
        atoms = per_structure.index_add(0, graph.batch, counted)
        weights = torch.where(atoms > 0, graph.forces_weight, 0.0)
        return _weighted_sum(self.forces, summed / atoms.clamp(min=1.0), weights)


class SchNetLoss(Loss):
    r"""SchNet's trade-off :math:`\rho\, \mathrm{MSE}(E) + (1 - \rho)\, \mathrm{MSE}(F)` of total energies.

    Source: the rare-events paper, eq. 4, with ρ = 0.1.

    Args:
        rho: ρ, the share of the energy.
    """

    kind: Literal["schnet"] = "schnet"
    rho: float = Field(default=0.1, ge=0.0, le=1.0)

    @property
    def labels(self) -> tuple[str, ...]:
        """Energy and forces, but for ρ at an end of its range."""
        return tuple(name for name, w in (("energy", self.rho), ("forces", 1 - self.rho)) if w > 0)

    def terms(self, prediction: Prediction, graph: AtomicGraph) -> dict[str, Term]:
        """The mean over structures and the mean over force components."""
        terms = {}
        if self.rho > 0:
            square = energy_difference(prediction, graph).square()
            terms["energy"] = _weighted_sum(self.rho, square, energy_weights(graph))
        if self.rho < 1:
            terms["forces"] = _mean_square_force(1 - self.rho, prediction, graph)
        return terms


class ForceMatchingLoss(Loss):
    r"""Forces alone, :math:`\frac{1}{3N} \sum |\Delta F|^2`; a constant per atom stays open in the energy.

    The constant is set to the mean error over the training data when training ends.

    Source: the element-transfer paper, Methods, "Machine Learning Potential Training via Force Matching".
    """

    kind: Literal["force_matching"] = "force_matching"

    @property
    def labels(self) -> tuple[str, ...]:
        """Forces."""
        return ("forces",)

    def terms(self, prediction: Prediction, graph: AtomicGraph) -> dict[str, Term]:
        """The one term."""
        return {"forces": _mean_square_force(1.0, prediction, graph)}


LossConfig = Annotated[
    WeightedLoss | Low2HighLoss | SchNetLoss | ForceMatchingLoss, Kinds("loss", default="weighted")
]


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
