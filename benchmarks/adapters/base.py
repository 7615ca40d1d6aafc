"""What every library does in a measurement."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np
import torch
from ase import Atoms
from torch import Tensor, nn
from works import frames

if TYPE_CHECKING:
    from ase.calculators.calculator import Calculator
    from processes import Case

CUTOFF = 5.0  # Å, of all models but ANI
SCHNET = {"channels": 128, "num_interactions": 3, "num_basis": 25}
DIMENET = {"dimenet32": (32, 16, 64), "dimenet128": (128, 64, 256)}  # channels, of triplets, of output
ANI_HIDDEN = (224, 192, 160)
JIGGLE = 0.002  # Å, deviation of the displacements between two steps of dynamics


class Predicted(NamedTuple):
    """Total energies (B), forces (N, 3) and stress (B, 3, 3) or None, which can be differentiated."""

    energy: Tensor
    forces: Tensor
    stress: Tensor | None


class Adapter(ABC):
    """A library that makes training steps or steps of dynamics.

    A training step is: predict energy, forces and stress, mean squared differences from labels, their
    derivative with respect to the weights, a step of Adam; all in float32.  A step of dynamics moves the
    atoms a little and asks the library's ASE calculator for energy, forces and, with periodic boundaries,
    stress.

    Args:
        case: What to do.
    """

    trains_stress: ClassVar[bool] = True

    def __init__(self, case: Case) -> None:
        torch.manual_seed(0)
        self.case = case
        self.rng = np.random.default_rng(1)
        self.frames: list[Atoms] = frames(case.work, 1 if case.task == "md" else case.batch)
        self.elements = sorted(set(self.frames[0].symbols))
        self.periodic = bool(self.frames[0].pbc.all())
        self.labels = self._labels()
        self.model = self.build()
        if case.task == "md":
            self.model.eval()
            self.calculator = self.make_calculator()
        else:
            weights = [weight for weight in self.model.parameters() if weight.requires_grad]
            self.optimizer = torch.optim.Adam(weights, lr=1e-4, fused=True)
            self.collate()

    @abstractmethod
    def build(self) -> nn.Module:
        """The model, with new weights."""

    @abstractmethod
    def collate(self) -> None:
        """Make neighbor lists of all frames and the batch of them."""

    @abstractmethod
    def predict(self) -> Predicted:
        """Predict the batch, from positions on."""

    @abstractmethod
    def make_calculator(self) -> Calculator:
        """The library's ASE calculator of the model."""

    @abstractmethod
    def version(self) -> str:
        """Name and version of the library."""

    @property
    def num_atoms(self) -> int:
        """Atoms of all frames."""
        return sum(len(atoms) for atoms in self.frames)

    @property
    def num_parameters(self) -> int:
        """Weights of the model that can be trained."""
        return sum(weight.numel() for weight in self.model.parameters() if weight.requires_grad)

    def note(self) -> str:
        """What sets this library's work apart from that of the others, or nothing."""
        left_out = self.case.task != "md" and self.periodic and not self.trains_stress
        return "no stress in the loss" if left_out else ""

    def move(self) -> None:
        """Displace the atoms before a step of dynamics."""
        if self.case.task == "md":
            positions = self.frames[0].positions
            positions += self.rng.normal(0.0, JIGGLE, positions.shape)

    def step(self) -> None:
        """Make one step of the task."""
        if self.case.task == "md":
            self.dynamics_step()
            return
        if self.case.task == "train_list":
            self.collate()
        loss = self.training_step()
        if not math.isfinite(loss):
            raise ArithmeticError(f"expected a finite loss, got {loss}")

    def training_step(self) -> float:
        """Descend once; the loss."""
        self.optimizer.zero_grad()
        predicted = self.predict()
        loss = mean_squares(predicted, self.labels)
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def dynamics_step(self) -> None:
        """Energy, forces and stress of the moved atoms."""
        wanted = ["energy", "forces", "stress"] if self.periodic else ["energy", "forces"]
        self.calculator.calculate(self.frames[0], wanted, ["positions"])
        if not all(np.isfinite(self.calculator.results[name]).all() for name in wanted):
            raise ArithmeticError("expected finite results")

    def _labels(self) -> Predicted:
        """Numbers of a sensible size (eV, eV/Å, eV/Å³)."""
        generator = torch.Generator().manual_seed(2)
        count = len(self.frames)
        return Predicted(
            torch.randn(count, generator=generator),
            0.1 * torch.randn(self.num_atoms, 3, generator=generator),
            0.01 * torch.randn(count, 3, 3, generator=generator) if self.periodic else None,
        )


def mean_squares(predicted: Predicted, labels: Predicted) -> Tensor:
    """Sum of the mean squared differences of energy, forces and, where it is predicted, stress."""
    loss = (predicted.energy.reshape(-1) - labels.energy).square().mean()
    loss = loss + (predicted.forces.reshape(-1, 3) - labels.forces).square().mean()
    if predicted.stress is not None and labels.stress is not None:
        loss = loss + (predicted.stress.reshape(-1, 3, 3) - labels.stress).square().mean()
    return loss
