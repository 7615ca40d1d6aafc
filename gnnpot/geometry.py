"""Vectors and lengths of edges.

What depends on the distance alone is the same for i→j and j→i.  Functions named ``pair_…`` give it once
for each of the P = E/2 unordered pairs; :func:`both_directions` spreads it over the edges.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gnnpot.data.graph import AtomicGraph


def pair_vectors(graph: AtomicGraph) -> Float[Tensor, "P 3"]:
    """Vectors r_j + S·cell − r_i of the even edges (Å); the odd edges have their negatives."""
    if "pair_vectors" in graph:
        return graph.pair_vectors
    source, center = graph.edge_index[:, 0::2]
    shifts = graph.cell_shifts[0::2].to(graph.cell.dtype)
    cell = graph.cell.index_select(0, graph.batch.index_select(0, center))
    images = (shifts[:, None, :] @ cell).squeeze(1)
    return graph.positions.index_select(0, source) + images - graph.positions.index_select(0, center)


def pair_lengths(graph: AtomicGraph) -> Float[Tensor, "P"]:
    """Distances of the unordered pairs (Å); two atoms on one spot have no direction, and NaN forces."""
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


def times_pairs(edge_values: Tensor, pair_values: Tensor) -> Tensor:
    """Product of a quantity of edges (E, …) with one of unordered pairs (P, …)."""
    return (edge_values.unflatten(0, (-1, 2)) * pair_values[:, None]).flatten(0, 1)


def reverse_edges(values: Tensor) -> Tensor:
    """Values (E, …) of the reverse of each edge."""
    return values.unflatten(0, (-1, 2)).flip(1).flatten(0, 1)


def neighbor_slots(graph: AtomicGraph) -> tuple[Int[Tensor, "E"], int]:
    """Places of the edges in a table with one row for each center.

    Returns:
        The flat place of each edge in a table of N rows and D columns, and D, the largest number of
        neighbors of an atom (at least 1).
    """
    center = graph.edge_index[1]
    num_nodes = len(graph.atomic_numbers)
    order = torch.argsort(center, stable=True)
    degree = torch.bincount(center, minlength=num_nodes)
    start = torch.cumsum(degree, 0) - degree
    width = max(int(degree.max()), 1) if num_nodes else 1
    slots = torch.empty_like(center)
    slots[order] = torch.arange(len(center), device=center.device) + (
        torch.arange(num_nodes, device=center.device) * width - start
    ).repeat_interleave(degree)
    return slots, width
