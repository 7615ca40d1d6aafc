"""A neighbor list that lasts while atoms move."""

from __future__ import annotations

from copy import copy

import numpy as np
import torch
from ase import Atoms
from ase.geometry import complete_cell
from jaxtyping import Float, Int
from torch import Tensor

from gnnpot.data.graph import AtomicGraph
from gnnpot.errors import DataError
from gnnpot.geometry import Neighborhoods, both_directions, pair_vectors

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
        self._near: tuple[Tensor, AtomicGraph] | None = None  # pairs within the cutoff in the last step

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
        positions = torch.tensor(atoms.positions, device=self.device)
        cell = torch.tensor(atoms.cell.array, device=self.device)
        source, center, shifts = self._pairs
        vectors = positions.index_select(0, source) - positions.index_select(0, center)
        if atoms.pbc.any():
            vectors += shifts @ cell
        lengths = torch.linalg.vector_norm(vectors, dim=-1)
        _check_apart(source, center, lengths)
        reach = torch.inf if len(lengths) <= self.few else self.cutoff
        pairs = (lengths < reach).nonzero().squeeze(-1)
        if self._near is None or not torch.equal(self._near[0], pairs):
            self._near = pairs, _of_pairs(wide, pairs)
        near = copy(self._near[1])
        near.positions, near.cell = positions.to(self.dtype), cell[None].to(self.dtype)
        near.pair_vectors = vectors.index_select(0, pairs).to(self.dtype)
        return near

    def _renewed(self, atoms: Atoms) -> AtomicGraph:
        """The list of ``atoms``; the old one if it has the same edges, so that what was made of it lasts."""
        self._reference = atoms.copy()  # without the calculator, whose results would become labels
        wide = AtomicGraph.from_ase(self._reference, self.cutoff + self.skin, torch.float64).to(self.device)
        if self._wide is not None and _have_same_edges(self._wide, wide):
            return self._wide
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
    pairs = (torch.linalg.vector_norm(vectors, dim=-1) < cutoff).nonzero().squeeze(-1)
    trimmed = _of_pairs(graph, pairs)
    trimmed.pair_vectors = vectors.index_select(0, pairs)
    return trimmed


def _of_pairs(graph: AtomicGraph, pairs: Int[Tensor, "Q"]) -> AtomicGraph:
    """A copy of ``graph`` with the edges of these pairs alone, their neighborhoods made."""
    edges = both_directions(2 * pairs)
    edges[1::2] += 1
    chosen = copy(graph)
    chosen.edge_index = graph.edge_index.index_select(1, edges)
    chosen.cell_shifts = graph.cell_shifts.index_select(0, edges)
    chosen.neighborhoods = Neighborhoods.of_edges(chosen.edge_index, len(graph.atomic_numbers))
    return chosen


def _have_same_edges(one: AtomicGraph, other: AtomicGraph) -> bool:
    fields = ("atomic_numbers", "pbc", "edge_index", "cell_shifts")
    return all(torch.equal(one[name], other[name]) for name in fields)


def _check_apart(source: Int[Tensor, "P"], center: Int[Tensor, "P"], lengths: Float[Tensor, "P"]) -> None:
    if len(lengths) and lengths.min() < _ONE_SPOT:
        place = int(lengths.argmin())
        first, second = sorted((int(source[place]), int(center[place])))
        raise DataError(f"expected atoms apart, got atoms {first} and {second} on one spot; move one of them")
