r"""Losses: what is made small, in eV and Å.

Every term is a sum over items (structures or force components) and the number of those items, so that
several processes can join their parts of a batch exactly.  The weight of a structure multiplies its items.
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
    """One weighted part of a loss; its value is ``total / size``."""

    total: Float[Tensor, ""]
    size: Float[Tensor, ""]


class Loss(Section, ABC):
    """A weighted sum of terms, each comparing one quantity with its labels."""

    @property
    @abstractmethod
    def labels(self) -> tuple[str, ...]:
        """Labels that the terms of this loss need."""

    @abstractmethod
    def terms(self, prediction: Prediction, graph: AtomicGraph) -> dict[str, Term]:
        """The terms of a batch by name."""


class WeightedLoss(Loss):
    r"""Errors of energy per atom, forces, stress and virial per atom, each with its weight.

    .. math:: L = \sum_q w_q \langle c\, \rho(q - \hat q) \rangle

    over structures for the energy per atom (eV), over the Cartesian components of all atoms for forces
    (eV/Å), over the nine components of all structures for stress (eV/Å³) and for the virial per atom
    Vσ/N (eV); ρ is the square, the absolute value, or Huber's function, and c the structure's weight.

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
        """Labels that have a weight."""
        weights = {"energy": self.energy, "forces": self.forces, "stress": self.stress + self.virial}
        return tuple(name for name, weight in weights.items() if weight > 0)

    def terms(self, prediction: Prediction, graph: AtomicGraph) -> dict[str, Term]:
        """One term for each quantity with a weight."""
        sizes = graph.num_atoms
        terms = {}
        if self.energy:
            difference = energy_difference(prediction, graph) / sizes
            terms["energy"] = self._term(self.energy, difference[:, None], graph.energy_weight)
        if self.forces:
            weight = graph.forces_weight.index_select(0, graph.batch)
            terms["forces"] = self._term(self.forces, forces_difference(prediction, graph), weight)
        if self.stress:
            difference = stress_difference(prediction, graph).flatten(1)
            terms["stress"] = self._term(self.stress, difference, graph.stress_weight)
        if self.virial:
            difference = stress_difference(prediction, graph).flatten(1) * (graph.volume / sizes)[:, None]
            terms["virial"] = self._term(self.virial, difference, graph.stress_weight)
        return terms

    def _term(self, weight: float, difference: Float[Tensor, "I C"], item_weight: Float[Tensor, "I"]) -> Term:
        errors = weight * item_weight[:, None] * self._error(difference)
        return Term(errors.sum(), errors.new_tensor(float(errors.numel())))

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
        """Labels that have a weight."""
        weights = {"energy": self.energy, "forces": self.forces, "stress": self.stress}
        return tuple(name for name, weight in weights.items() if weight > 0)

    def terms(self, prediction: Prediction, graph: AtomicGraph) -> dict[str, Term]:
        """Up to three terms, each a mean over structures."""
        sizes = graph.num_atoms
        terms = {}
        if self.energy:
            square = energy_difference(prediction, graph).square() / sizes.sqrt()
            terms["energy"] = _structure_term(self.energy, square, graph.energy_weight)
        if self.forces:
            square = forces_difference(prediction, graph).square().sum(1)
            summed = square.new_zeros(graph.num_structures).index_add(0, graph.batch, square) / sizes
            terms["forces"] = _structure_term(self.forces, summed, graph.forces_weight)
        if self.stress:
            i, j = torch.triu_indices(3, 3)
            virial = stress_difference(prediction, graph)[:, i, j] * graph.volume[:, None]
            terms["stress"] = _structure_term(self.stress, virial.square().sum(1), graph.stress_weight)
        return terms


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
            terms["energy"] = _structure_term(self.rho, square, graph.energy_weight)
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


def energy_difference(prediction: Prediction, graph: AtomicGraph) -> Float[Tensor, "B"]:
    """Prediction less label (eV); zero where the weight is, so that an absent label is not read."""
    return torch.where(graph.energy_weight > 0, prediction.energy - graph.energy, 0.0)


def forces_difference(prediction: Prediction, graph: AtomicGraph) -> Float[Tensor, "N 3"]:
    """Prediction less label (eV/Å); zero where the weight of the structure is."""
    weight = graph.forces_weight.index_select(0, graph.batch)
    return torch.where(weight[:, None] > 0, prediction.forces - graph.forces, 0.0)


def stress_difference(prediction: Prediction, graph: AtomicGraph) -> Float[Tensor, "B 3 3"]:
    """Prediction less label (eV/Å³); zero where the weight is."""
    weight = graph.stress_weight[:, None, None]
    return torch.where(weight > 0, prediction.stress - graph.stress, 0.0)


def _mean_square_force(weight: float, prediction: Prediction, graph: AtomicGraph) -> Term:
    item_weight = graph.forces_weight.index_select(0, graph.batch)
    square = weight * item_weight[:, None] * forces_difference(prediction, graph).square()
    return Term(square.sum(), square.new_tensor(float(square.numel())))


def _structure_term(weight: float, values: Float[Tensor, "B"], item_weight: Float[Tensor, "B"]) -> Term:
    weighted = weight * item_weight * values
    return Term(weighted.sum(), weighted.new_tensor(float(len(values))))
