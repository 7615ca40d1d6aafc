"""Loss functions: what a configuration may say of them, read without torch.

:mod:`gnnpot.training.loss` computes them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, ClassVar, Literal

from pydantic import (
    Field,
    NonNegativeFloat,
    PositiveFloat,
    model_validator,
)

from gnnpot.config.from_data import SectionFromData
from gnnpot.config.kinds import Kinds
from gnnpot.data.keys import QUANTITIES

ErrorName = Literal["mse", "mae", "huber"]


class Loss(SectionFromData, ABC):
    """A weighted sum of terms, each comparing one quantity with its labels."""

    @property
    @abstractmethod
    def labels(self) -> tuple[str, ...]:
        """Labels that this loss needs."""


class WeightedLoss(Loss):
    r"""Errors of energy per atom, forces, stress and virial per atom, each with its weight.

    .. math:: L = \sum_q w_q \langle c\, \rho(q - \hat q) \rangle

    over structures for the energy per atom (eV), over the Cartesian components of all atoms for forces
    (eV/Å), over the nine components of all structures for stress (eV/Å³) and for the virial per atom
    Vσ/N (eV), as far as they have a label that counts; ρ is the square, the absolute value, or Huber's
    function, and c the structure's weight.

    Weights of energy, forces and stress that a configuration leaves out, or gives as ``auto``, are those
    below where the data have the labels, and 0 where they do not.

    Args:
        energy: Weight of the energy term.
        forces: Weight of the force term.
        stress: Weight of the stress term; by default 0 also where some structures lack the label.
        virial: Weight of the virial term, an alternative to stress in the units of an energy.
        error: ρ.
        huber_delta: Error at which Huber's function turns from parabola to line, in units of the quantity.
    """

    FROM_DATA: ClassVar[tuple[str, ...]] = QUANTITIES

    kind: Literal["weighted"] = "weighted"
    energy: NonNegativeFloat = 4.0
    forces: NonNegativeFloat = 1.0
    stress: NonNegativeFloat = 100.0
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


LossConfig = Annotated[
    WeightedLoss | Low2HighLoss | SchNetLoss | ForceMatchingLoss, Kinds("loss", default="weighted")
]
