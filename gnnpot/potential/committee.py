"""Committees: the mean of several potentials, and their spread."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from gnnpot.errors import DataError
from gnnpot.graph.graph import AtomicGraph
from gnnpot.graph.verlet_list import trim
from gnnpot.potential.folder import member_files
from gnnpot.potential.model_file import load_potential
from gnnpot.potential.potential import Potential, Prediction


class Spread(NamedTuple):
    """Standard deviations over the members of a committee, with M − 1 in the denominator."""

    energy: Float[Tensor, "B"]  # eV
    forces: Float[Tensor, "N 3"]  # eV/Å
    atomic_energies: Float[Tensor, "N"]  # eV


class Committee(nn.Module):
    """The mean of several potentials, usable wherever a potential is.

    The mean of the forces is the derivative of the mean energy.  Members may be of different kinds and
    cutoffs; a committee knows the elements that all of them know.

    Args:
        potentials: The members, at least two, with weights of one dtype on one device.

    Raises:
        DataError: There are fewer than two, or they share no element, differ in dtype, or are committees.
    """

    def __init__(self, potentials: Sequence[Potential]) -> None:
        super().__init__()
        if len(potentials) < 2:
            raise DataError(
                f"expected at least two potentials for a committee, got {len(potentials)}; add members, "
                "or use a single potential as itself"
            )
        if not all(isinstance(potential, Potential) for potential in potentials):
            kinds = ", ".join(type(potential).__name__ for potential in potentials)
            raise DataError(f"expected potentials for a committee, got {kinds}; give the members themselves")
        dtypes = sorted({str(potential.dtype).removeprefix("torch.") for potential in potentials})
        if len(dtypes) > 1:
            raise DataError(
                f"expected members of one dtype, got {', '.join(dtypes)}; load them with one dtype"
            )
        self.members = nn.ModuleList(potentials)
        if not self.elements:
            known = "; ".join(", ".join(potential.elements) for potential in potentials)
            raise DataError(f"expected members that share an element, got {known}; choose others")

    @property
    def potentials(self) -> list[Potential]:
        """Potentials of the committee."""
        return [member for member in self.members if isinstance(member, Potential)]

    @property
    def cutoff(self) -> float:
        """Longest edge that any member needs (Å)."""
        return max(potential.cutoff for potential in self.potentials)

    @property
    def few_pairs(self) -> int:
        """Number of pairs up to which dynamics of every member takes its time for operations."""
        return min(potential.few_pairs for potential in self.potentials)

    @property
    def elements(self) -> tuple[str, ...]:
        """Chemical symbols of the elements that all members can predict."""
        first, *others = self.potentials
        return tuple(symbol for symbol in first.elements if all(symbol in other.elements for other in others))

    @property
    def dtype(self) -> torch.dtype:
        """Floating-point type of the weights, and so of the graphs it takes."""
        return self.potentials[0].dtype

    def forward(self, graph: AtomicGraph) -> Prediction:
        """Mean of the members' predictions; differentiable unless grad mode is off."""
        return mean_prediction(self.predictions(graph))

    def spread(self, graph: AtomicGraph) -> Spread:
        """Standard deviations over the members; differentiable unless grad mode is off."""
        return spread_of(self.predictions(graph))

    def predictions(self, graph: AtomicGraph) -> list[Prediction]:
        """Yield the prediction of each member, from the edges within its own cutoff.

        Args:
            graph: Structures with edges up to the cutoff of the committee.
        """
        return [
            potential(graph if potential.cutoff == self.cutoff else trim(graph, potential.cutoff))
            for potential in self.potentials
        ]

    def check_elements(self, numbers: Int[Tensor, "N"]) -> None:
        """Check that every member knows the elements of these atoms.

        Raises:
            DataError: Naming the elements.
        """
        for potential in self.potentials:
            potential.check_elements(numbers)


def load_model(
    path: str | Path, *, device: str | torch.device = "cpu", dtype: torch.dtype | None = None
) -> Potential | Committee:
    """Read what a path holds: a model file, or the folder of a training of one potential or a committee.

    Args:
        path: A file of :func:`~gnnpot.potential.model_file.save_potential`, or a folder.
        device: Device of the potential; ``auto`` is a GPU if there is one.
        dtype: Type of the weights; by default that of the files.

    Raises:
        DataError: The members share no element.
        ModelFileError: There is no whole model file of a format that this version knows.
    """
    potentials = [load_potential(file, device=device, dtype=dtype) for file in member_files(path)]
    return Committee(potentials) if len(potentials) > 1 else potentials[0]


def mean_prediction(predictions: Sequence[Prediction]) -> Prediction:
    """Mean of several predictions of one batch."""
    return Prediction(*(torch.stack(values).mean(dim=0) for values in zip(*predictions, strict=True)))


def spread_of(predictions: Sequence[Prediction]) -> Spread:
    """Standard deviations of several predictions of one batch."""
    energies, forces, atomic_energies = (
        torch.stack([getattr(prediction, name) for prediction in predictions]).std(dim=0)
        for name in Spread._fields
    )
    return Spread(energies, forces, atomic_energies)
