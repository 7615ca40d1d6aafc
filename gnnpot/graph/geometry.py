"""Vectors and lengths of edges.

What depends on the distance alone is the same for i→j and j→i.  Functions named ``pair_…`` give it once
for each of the P = E/2 unordered pairs; :func:`both_directions` spreads it over the edges.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from gnnpot.errors import DataError
from gnnpot.graph.graph import AtomicGraph


def pair_vectors(graph: AtomicGraph) -> Float[Tensor, "P 3"]:
    """Vectors r_j + S·cell − r_i of the even edges (Å); the odd edges have their negatives."""
    if "pair_vectors" in graph:
        return graph.pair_vectors
    source, center = graph.edge_index[:, 0::2]
    vectors = graph.positions.index_select(0, source) - graph.positions.index_select(0, center)
    shifts = graph.cell_shifts[0::2].to(graph.cell.dtype)
    if graph.num_structures == 1:
        return vectors + shifts @ graph.cell[0]
    cell = graph.cell.index_select(0, graph.batch.index_select(0, center))
    return vectors + (shifts[:, None, :] @ cell).squeeze(1)


def pair_lengths(graph: AtomicGraph) -> Float[Tensor, "P"]:
    """Distances of the unordered pairs (Å); two atoms on one spot have no direction, and NaN forces."""
    if "pair_lengths" in graph:
        return graph.pair_lengths
    return torch.linalg.vector_norm(pair_vectors(graph), dim=-1)


def edge_vectors(graph: AtomicGraph) -> Float[Tensor, "E 3"]:
    """Vectors from center to source of all directed edges (Å)."""
    vectors = pair_vectors(graph)
    return torch.stack([vectors, -vectors], dim=1).flatten(0, 1)


def edge_lengths(graph: AtomicGraph) -> Float[Tensor, "E"]:
    """Lengths of all directed edges (Å)."""
    return both_directions(pair_lengths(graph))


def both_directions(values: Tensor) -> Tensor:
    """Spread a quantity of unordered pairs (P, …) over the directed edges (E, …)."""
    return values.repeat_interleave(2, dim=0)


def reverse_edges(values: Tensor) -> Tensor:
    """Values (E, …) of the reverse of each edge."""
    return values.unflatten(0, (-1, 2)).flip(1).flatten(0, 1)


class Neighborhoods(NamedTuple):
    """The edges of a batch, atom by atom."""

    edge_index: Int[Tensor, "2 E"]
    order: Int[Tensor, "E"]  # the edges into atom 0, then those into atom 1, …
    start: Int[Tensor, "N+1"]  # where those of each atom begin in ``order``

    @classmethod
    def of(cls, graph: AtomicGraph) -> Neighborhoods:
        """The neighborhoods of ``graph``; it may carry them."""
        if "neighborhoods" in graph:
            return graph.neighborhoods
        return cls.of_edges(graph.edge_index, len(graph.atomic_numbers))

    @classmethod
    def of_edges(cls, edge_index: Int[Tensor, "2 E"], num_atoms: int) -> Neighborhoods:
        """The neighborhoods that these edges make.

        Raises:
            DataError: An edge has no atom at its end, or its reverse does not follow it.
        """
        _check_edges(edge_index, num_atoms)
        center = edge_index[1]
        degree = torch.bincount(center, minlength=num_atoms)
        start = torch.nn.functional.pad(torch.cumsum(degree, 0), (1, 0))
        return cls(edge_index.contiguous(), _order(center, num_atoms), start)

    @property
    def num_atoms(self) -> int:
        """N."""
        return len(self.start) - 1

    @property
    def num_pairs(self) -> int:
        """P."""
        return len(self.order) // 2

    def slots(self) -> tuple[Int[Tensor, "E"], int]:
        """Flat place of each edge in a table of N rows, and the number of columns: the most neighbors."""
        degree = self.start.diff()
        width = max(int(degree.max()), 1) if self.num_atoms else 1
        slots = torch.empty_like(self.order)
        rows = torch.arange(self.num_atoms, device=self.order.device) * width - self.start[:-1]
        places = torch.arange(len(self.order), device=self.order.device)
        slots[self.order] = places + rows.repeat_interleave(degree)
        return slots, width


def _check_edges(edge_index: Int[Tensor, "2 E"], num_atoms: int) -> None:
    """Refuse what loops over edges would trust."""
    if edge_index.numel() == 0:
        return
    low, high = (int(end) for end in edge_index.aminmax())
    if low < 0 or high >= num_atoms:
        raise DataError(
            f"expected edges between atoms 0 to {num_atoms - 1}, got one of atom {low if low < 0 else high}; "
            "make the graph with AtomicGraph.from_ase"
        )
    if edge_index.shape[1] % 2 or not torch.equal(edge_index[:, 0::2], edge_index[:, 1::2].flip(0)):
        raise DataError(
            "expected each edge with its reverse after it, got another order; make the graph with "
            "AtomicGraph.from_ase"
        )


def _order(rows: Int[Tensor, "E"], num_rows: int) -> Int[Tensor, "E"]:
    """What sorts ``rows``, equal ones as they come."""
    if rows.device.type != "cpu" or num_rows > 1 << 16:
        return torch.argsort(rows, stable=True)
    return torch.from_numpy(np.argsort(rows.numpy().astype(np.uint16), kind="stable"))  # by their digits
