"""What a model gives atoms without neighbors."""

from __future__ import annotations

from collections.abc import Collection
from copy import copy
from typing import Any

import torch
from ase.data import atomic_numbers as number_of
from jaxtyping import Float, Int
from torch import Tensor

from gnnpot.graph.geometry import Neighborhoods
from gnnpot.graph.graph import AtomicGraph
from gnnpot.models.base import AtomicEnergyModel
from gnnpot.nn.weight_state import WeightState


class FreeAtoms:
    """Energies of the model's elements without neighbors; computed again only where weights have changed.

    Args:
        model: Model, whose units the energies are in.
    """

    def __init__(self, model: AtomicEnergyModel) -> None:
        self.model = model
        self._state = WeightState(model)
        self._kept: Tensor | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return FreeAtoms, (self.model,)

    @property
    def trains(self) -> bool:
        """Whether a weight of the model is trained."""
        return any(weight.requires_grad for weight in self.model.parameters())

    def energies(
        self, elements: Collection[str], known: Float[Tensor, "119"] | None = None
    ) -> Float[Tensor, "119"]:
        """The energies of these elements, in float64; zero for others.

        They can be differentiated by the weights where grad mode is on.

        Args:
            elements: Their symbols.
            known: Energies of all elements, if they are there.
        """
        energies = self._kept_or_new() if known is None else known
        if len(elements) == len(self.model.config.elements):
            return energies
        chosen = torch.zeros_like(energies, dtype=torch.bool)
        chosen[[number_of[symbol] for symbol in elements]] = True
        return torch.where(chosen, energies, 0.0)

    def beside(self, graph: AtomicGraph) -> tuple[Float[Tensor, "N"], Float[Tensor, "119"]]:
        """Energies of the atoms of a graph, and those of all elements, computed together.

        Args:
            graph: With vectors, lengths and neighborhoods.
        """
        numbers = self._numbers(graph.atomic_numbers.device)
        size, start = len(graph.atomic_numbers), graph.neighborhoods.start
        more = copy(graph)
        more.atomic_numbers = torch.cat([graph.atomic_numbers, numbers])
        more.positions = torch.cat([graph.positions, graph.positions.new_zeros(len(numbers), 3)])
        more.batch = torch.cat([graph.batch, graph.batch.new_zeros(len(numbers))])
        more.neighborhoods = graph.neighborhoods._replace(
            start=torch.cat([start, start[-1:].expand(len(numbers))])
        )
        energies = self.model.atomic_energies(more)
        return energies[:size], _by_number(energies[size:], numbers)

    def _kept_or_new(self) -> Float[Tensor, "119"]:
        if torch.is_grad_enabled() and self.trains:
            return self._computed()
        if self._kept is None or not self._state.is_same():
            self._state.look()
            with torch.no_grad():
                self._kept = self._computed()
        return self._kept

    def _computed(self) -> Float[Tensor, "119"]:
        weight = next(self.model.parameters())
        numbers = self._numbers(weight.device)
        return _by_number(self.model.atomic_energies(_without_neighbors(numbers, weight.dtype)), numbers)

    def _numbers(self, device: torch.device) -> Int[Tensor, "Z"]:
        return torch.tensor([number_of[symbol] for symbol in self.model.config.elements], device=device)


def _by_number(energies: Float[Tensor, "Z"], numbers: Int[Tensor, "Z"]) -> Float[Tensor, "119"]:
    return energies.new_zeros(119, dtype=torch.float64).index_copy(0, numbers, energies.double())


def _without_neighbors(numbers: Int[Tensor, "Z"], dtype: torch.dtype) -> AtomicGraph:
    """A structure of these atoms without an edge."""
    edges, atoms = numbers.new_zeros(2, 0), len(numbers)
    return AtomicGraph(
        atomic_numbers=numbers,
        positions=numbers.new_zeros(atoms, 3, dtype=dtype),
        cell=numbers.new_zeros(1, 3, 3, dtype=dtype),
        pbc=numbers.new_zeros(1, 3, dtype=torch.bool),
        edge_index=edges,
        cell_shifts=numbers.new_zeros(0, 3),
        batch=torch.zeros_like(numbers),
        pair_vectors=numbers.new_zeros(0, 3, dtype=dtype),
        pair_lengths=numbers.new_zeros(0, dtype=dtype),
        neighborhoods=Neighborhoods.of_edges(edges, atoms),
    )
