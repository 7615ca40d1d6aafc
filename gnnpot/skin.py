"""A neighbor list that lasts while atoms move."""

from __future__ import annotations

from copy import copy

import numpy as np
import torch
from ase import Atoms
from ase.geometry import complete_cell
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from gnnpot.data.graph import AtomicGraph
from gnnpot.errors import DataError
from gnnpot.geometry import Neighborhoods, both_directions, pair_vectors
from gnnpot.nn.fused import fusible, over_items

_ONE_SPOT = 1e-6  # Å


class SkinList:
    r"""Graphs of a structure that moves, from a list with edges up to cutoff + skin.

    With the cell deformed by F since the list was made, and u the displacements beyond r → r F, a pair
    that the list lacks is now at least :math:`\sigma_{\min}(F)\,(r_c + s) - 2 \max |u|` apart.  The list
    is made anew as soon as that is below r_c: no edge is ever missing, whatever atoms and cell do.

    Source: Verlet, Phys. Rev. 159, 98 (1967), for a fixed cell.

    Args:
        cutoff: r_c (Å).
        skin: s (Å); 0 makes a new list whenever anything moves.
        dtype: Of the graphs.
        device: Of the graphs.
        few: Number of pairs up to which graphs have all edges of the list, longer ones too, so that the edges
            stay the same while it lasts.
    """

    def __init__(
        self, cutoff: float, skin: float, *, dtype: torch.dtype, device: torch.device, few: int = 0
    ) -> None:
        self.few = few
        self.cutoff = cutoff
        self.skin = skin
        self.dtype = dtype
        self.device = device
        self._reference = Atoms()
        self._wide: AtomicGraph | None = None
        self._pairs: tuple[Tensor, Tensor, Tensor]  # sources, centers and shifts of its pairs
        self._near: tuple[Tensor, Tensor, AtomicGraph] | None = None  # which pairs the last graph had, and it

    def graph(self, atoms: Atoms) -> AtomicGraph:
        """The graph of ``atoms`` with the edges shorter than the cutoff, or with all if they are few.

        Vectors of edges are taken in float64 before they are rounded, so that a float32 model does not
        lose digits to positions far from the origin.

        Raises:
            DataError: Positions that are not finite, a periodic cell without a volume, or two atoms on
                one spot.
        """
        wide = self._wide
        if wide is None or not self.covers(atoms):
            wide = self._renewed(atoms)
        positions, cell = (
            torch.from_numpy(np.array(part, dtype=float)).to(self.device)
            for part in (atoms.positions, atoms.cell.array)
        )
        vectors, states = self._measured(positions, cell)
        if self._near is None or not torch.equal(self._near[0], states):
            self._near = states, *self._chosen(wide, states)
        _, pairs, chosen = self._near
        graph = copy(chosen)
        graph["positions"], graph["cell"] = positions.to(self.dtype), cell[None].to(self.dtype)
        graph["pair_vectors"] = vectors if len(pairs) == len(vectors) else vectors.index_select(0, pairs)
        return graph

    def _measured(
        self, positions: Float[Tensor, "N 3"], cell: Float[Tensor, "3 3"]
    ) -> tuple[Float[Tensor, "W 3"], UInt8[Tensor, "W"]]:
        """Vectors of the pairs of the list; and 1 for those that the graph is to have, 2 on one spot."""
        source, center, shifts = self._pairs
        reach = torch.inf if len(source) <= self.few else self.cutoff
        if fusible(source):
            from gnnpot.nn import loops

            outs = torch.empty_like(shifts, dtype=self.dtype), torch.empty_like(source, dtype=torch.uint8)
            arguments = positions, cell, *self._pairs, reach, _ONE_SPOT
            over_items(loops.measure_pairs, len(source), *arguments, *outs)
            return outs
        vectors = positions.index_select(0, source) - positions.index_select(0, center) + shifts @ cell
        lengths = torch.linalg.vector_norm(vectors, dim=-1)
        return vectors.to(self.dtype), (lengths < reach).byte() + (lengths < _ONE_SPOT)

    def _chosen(self, wide: AtomicGraph, states: UInt8[Tensor, "W"]) -> tuple[Int[Tensor, "P"], AtomicGraph]:
        """The pairs that the graph is to have, and ``wide`` with their edges alone."""
        if (states == 2).any():
            place = int((states == 2).nonzero()[0])
            first, second = sorted(int(ends[place]) for ends in self._pairs[:2])
            raise DataError(
                f"expected atoms apart, got atoms {first} and {second} on one spot; move one of them"
            )
        return states.nonzero().squeeze(-1), _of_pairs(wide, states.bool())

    def _renewed(self, atoms: Atoms) -> AtomicGraph:
        """The list of ``atoms``; the old one if it has the same edges, so that what was made of it lasts."""
        reference = atoms.copy()  # without the calculator, whose results would become labels
        wide = AtomicGraph.from_ase(reference, self.cutoff + self.skin, torch.float64).to(self.device)
        self._reference = reference
        if self._wide is not None and _have_same_edges(self._wide, wide):
            return self._wide
        wide.neighborhoods = Neighborhoods.of(wide)
        self._wide, self._near = wide, None
        ends, shifts = wide.edge_index[:, 0::2], wide.cell_shifts[0::2]
        self._pairs = (*ends.contiguous().unbind(), shifts.double())
        return wide

    def covers(self, atoms: Atoms) -> bool:
        """Whether the list holds every pair of ``atoms`` that is closer than the cutoff."""
        old = self._reference
        if not (_identical(old.numbers, atoms.numbers) and _identical(old.pbc, atoms.pbc)):
            return False
        carried, shrinkage = old.positions, 1.0
        if not _identical(old.cell.array, atoms.cell.array):
            if not np.isfinite(atoms.cell.array).all():
                return False
            if atoms.pbc.any():
                old_cell, cell = complete_cell(old.cell.array), complete_cell(atoms.cell.array)
                deformation = np.linalg.solve(old_cell, cell)
                carried = old.positions @ deformation
                shrinkage = np.linalg.svd(deformation, compute_uv=False).min()
        moved = np.linalg.norm(atoms.positions - carried, axis=1).max(initial=0.0)
        return bool(shrinkage * (self.cutoff + self.skin) - 2 * moved >= self.cutoff)  # false for NaN


def trim(graph: AtomicGraph, cutoff: float) -> AtomicGraph:
    """A copy of ``graph`` without its edges of ``cutoff`` (Å) and longer."""
    vectors = pair_vectors(graph)
    near = torch.linalg.vector_norm(vectors, dim=-1) < cutoff
    trimmed = _of_pairs(graph, near)
    trimmed.pair_vectors = vectors[near]
    return trimmed


def _of_pairs(graph: AtomicGraph, near: Bool[Tensor, "P"]) -> AtomicGraph:
    """A copy of ``graph`` with the edges of these pairs alone, their neighborhoods made."""
    chosen = copy(graph)
    if fusible(near):
        from gnnpot.nn import loops

        edges, order, start = Neighborhoods.of(graph)
        count = 2 * int(near.sum())
        out = (edges.new_empty(2, count), graph.cell_shifts.new_empty(count, 3), order.new_empty(count))
        new_start = torch.empty_like(start)
        over_items(loops.choose_pairs, 1, near, edges, graph.cell_shifts, order, start, *out, new_start)
        chosen.edge_index, chosen.cell_shifts, new_order = out
        chosen.neighborhoods = Neighborhoods(chosen.edge_index, new_order, new_start)
        return chosen
    kept = both_directions(near)
    chosen.edge_index, chosen.cell_shifts = graph.edge_index[:, kept], graph.cell_shifts[kept]
    chosen.neighborhoods = Neighborhoods.of_edges(chosen.edge_index, len(graph.atomic_numbers))
    return chosen


def _have_same_edges(one: AtomicGraph, other: AtomicGraph) -> bool:
    fields = ("atomic_numbers", "pbc", "edge_index", "cell_shifts")
    return all(torch.equal(one[name], other[name]) for name in fields)


def _identical(one: np.ndarray, other: np.ndarray) -> bool:
    return one.shape == other.shape and one.tobytes() == other.tobytes()
