"""Pairs of neighbors of an atom."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from gnnpot.graph.geometry import Neighborhoods
from gnnpot.kernels.dispatch import operation, over_items


class Triplets(NamedTuple):
    """All unordered pairs of short edges into the same atom, sorted by atom and pair of elements."""

    first: Int[Tensor, "T"]  # edge
    second: Int[Tensor, "T"]  # edge
    start: Int[Tensor, "bounds"]  # where those of each atom and pair of elements begin, and T
    num_sums: int  # pairs of elements

    @classmethod
    def of(
        cls,
        edges: Neighborhoods,
        lengths: Float[Tensor, "P"],
        cutoff: float,
        rows: Int[Tensor, "N"],
        num_elements: int,
    ) -> Triplets:
        """The triplets of edges shorter than ``cutoff``.

        Args:
            edges: Neighborhoods of the batch, all edges.
            lengths: Lengths of the pairs (Å).
            cutoff: Longest edge of a triplet (Å).
            rows: Number of each atom's element.
            num_elements: How many elements there are.
        """
        num_sums = num_elements * (num_elements + 1) // 2
        return cls(*_listed(lengths, edges, cutoff, rows, num_elements), num_sums)

    def sums(self) -> Int[Tensor, "T"]:
        """Number of the sum that each triplet belongs to."""
        numbers = torch.arange(len(self.start) - 1, device=self.start.device)
        return numbers.repeat_interleave(self.start.diff())


@operation
def _listed(
    lengths: Tensor, edges: Neighborhoods, cutoff: float, rows: Tensor, num_elements: int
) -> tuple[Tensor, Tensor, Tensor]:
    source, center = edges.edge_index
    near = edges.order[(lengths < cutoff).repeat_interleave(2).index_select(0, edges.order)]
    center = center.index_select(0, near)
    degree = torch.bincount(center, minlength=edges.num_atoms)
    end = torch.cumsum(degree, 0).index_select(0, center)
    place = torch.arange(len(near), device=near.device)
    following = end - place - 1  # edges of the same center that come later
    first = place.repeat_interleave(following)
    start = torch.cumsum(following, 0) - following
    second = first + 1 + torch.arange(len(first), device=near.device) - start.index_select(0, first)
    center = center.index_select(0, first)
    first, second = near.index_select(0, first), near.index_select(0, second)
    elements = rows.index_select(0, source)
    one, other = elements.index_select(0, first), elements.index_select(0, second)
    low, high = torch.minimum(one, other), torch.maximum(one, other)
    num_sums = num_elements * (num_elements + 1) // 2
    sums = center * num_sums + low * num_elements - low * (low - 1) // 2 + high - low
    sums, order = sums.sort(stable=True)
    sizes = torch.bincount(sums, minlength=edges.num_atoms * num_sums)
    return first.index_select(0, order), second.index_select(0, order), F.pad(torch.cumsum(sizes, 0), (1, 0))


@_listed.compiled
def _(
    lengths: Tensor, edges: Neighborhoods, cutoff: float, rows: Tensor, num_elements: int
) -> tuple[Tensor, Tensor, Tensor]:
    from gnnpot.kernels import loops

    arguments = (edges.order, edges.start, edges.edge_index, lengths, cutoff, rows, num_elements)
    counts = edges.order.new_empty(edges.num_atoms, num_elements * (num_elements + 1) // 2)
    over_items(loops.count_triplets, edges.num_atoms, *arguments, counts)
    start = F.pad(torch.cumsum(counts.view(-1), 0), (1, 0))
    first, second = (start.new_empty(int(start[-1])) for _ in range(2))
    over_items(loops.list_triplets, edges.num_atoms, *arguments, start, first, second)
    return first, second, start
