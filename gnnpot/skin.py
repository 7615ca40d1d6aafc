"""A neighbor list that lasts while atoms move."""

from __future__ import annotations

from copy import copy

import numpy as np
import torch
from ase import Atoms
from ase.geometry import complete_cell
from jaxtyping import Bool, Float
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
        vectors, near = self._measured(atoms)
        if self._near is None or not torch.equal(self._near[0], near):
            self._near = near, near.nonzero().squeeze(-1), _of_pairs(wide, near)
        _, pairs, chosen = self._near
        graph = copy(chosen)
        graph.positions = torch.tensor(atoms.positions, dtype=self.dtype, device=self.device)
        graph.cell = torch.tensor(atoms.cell.array, dtype=self.dtype, device=self.device)[None]
        graph.pair_vectors = vectors if len(pairs) == len(vectors) else vectors.index_select(0, pairs)
        return graph

    def _measured(self, atoms: Atoms) -> tuple[Float[Tensor, "W 3"], Bool[Tensor, "W"]]:
        """Vectors of the pairs of the list, and which of them the graph is to have."""
        source, center, shifts = self._pairs
        reach = torch.inf if len(source) <= self.few else self.cutoff
        if fusible(source):
            from gnnpot.nn import loops

            vectors = torch.empty_like(shifts, dtype=self.dtype)
            near, together = (torch.empty_like(source, dtype=torch.bool) for _ in range(2))
            places, cell = (
                torch.from_numpy(np.ascontiguousarray(part, dtype=float))
                for part in (atoms.positions, atoms.cell.array)
            )
            outs = vectors, near, together
            over_items(loops.measure_pairs, len(source), places, cell, *self._pairs, reach, _ONE_SPOT, *outs)
        else:
            positions = torch.tensor(atoms.positions, device=self.device)
            cell = torch.tensor(atoms.cell.array, device=self.device)
            vectors = positions.index_select(0, source) - positions.index_select(0, center) + shifts @ cell
            lengths = torch.linalg.vector_norm(vectors, dim=-1)
            vectors, near, together = vectors.to(self.dtype), lengths < reach, lengths < _ONE_SPOT
        if together.any():
            place = int(together.nonzero()[0])
            first, second = sorted((int(source[place]), int(center[place])))
            raise DataError(
                f"expected atoms apart, got atoms {first} and {second} on one spot; move one of them"
            )
        return vectors, near

    def _renewed(self, atoms: Atoms) -> AtomicGraph:
        """The list of ``atoms``; the old one if it has the same edges, so that what was made of it lasts."""
        self._reference = atoms.copy()  # without the calculator, whose results would become labels
        wide = AtomicGraph.from_ase(self._reference, self.cutoff + self.skin, torch.float64).to(self.device)
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
        if not (np.array_equal(old.numbers, atoms.numbers) and np.array_equal(old.pbc, atoms.pbc)):
            return False
        if not np.isfinite(atoms.cell.array).all():
            return False
        carried, shrinkage = old.positions, 1.0
        if atoms.pbc.any() and not np.array_equal(old.cell.array, atoms.cell.array):
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
