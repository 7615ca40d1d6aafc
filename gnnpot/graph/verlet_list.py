"""A neighbor list that lasts while atoms move."""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import copy
from functools import partial
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.geometry import complete_cell
from jaxtyping import Bool, Int
from torch import Tensor

from gnnpot.errors import DataError
from gnnpot.graph.coordination import coordination
from gnnpot.graph.geometry import Neighborhoods, both_directions, pair_lengths, pair_vectors
from gnnpot.graph.graph import AtomicGraph, collate
from gnnpot.kernels.dispatch import fusible, operation, over_items

_ONE_SPOT = 1e-6  # Å
_ON_ONE_SPOT = 2  # state of a pair


class SkinList:
    r"""Graphs of a structure that moves, from a list with edges up to cutoff + skin.

    With the cell deformed by F since the list was made, and u the displacements beyond r → r F, a pair
    that the list lacks is now at least :math:`\sigma_{\min}(F)\,(r_c + s) - 2 \max |u|` apart.  The list
    is made anew as soon as that is below r_c: no edge is ever missing, whatever atoms and cell do.

    A pair of length r has at most :math:`\sigma_{\max}(F)\,r + 2 \max |u|` later, and the list is made anew
    beyond :math:`\sigma_{\max}(F) = 1 + s / r_c` or :math:`2 \max |u| = s`, too.  Where every atom keeps a
    neighbor for as long (its coordination stays at 1 or more), graphs carry the cutoff as ``bonded_within``.

    Source: Verlet, Phys. Rev. 159, 98 (1967), for a fixed cell.

    Args:
        cutoff: r_c (Å).
        skin: s (Å); 0 makes a new list whenever anything moves.
        dtype: dtype of the graphs' floating-point tensors.
        device: Device of the graphs' tensors.
        few: Number of pairs up to which graphs have all edges of the list, longer ones too, so that the edges
            stay the same while it lasts.
        copies: Number of equal parts of the atoms, one after another, that share the cell but have no edges
            between them.
    """

    def __init__(
        self,
        cutoff: float,
        skin: float,
        *,
        dtype: torch.dtype,
        device: torch.device,
        few: int = 0,
        copies: int = 1,
    ) -> None:
        self.few = few
        self.copies = copies
        self.cutoff = cutoff
        self.skin = skin
        self.dtype = dtype
        self.device = device
        self._reference = Atoms()
        self._wide: AtomicGraph | None = None
        self._pairs: _MovingPairs
        self._near: tuple[Tensor, AtomicGraph] | None = None  # which pairs the last graph had, and it

    def __reduce__(self) -> tuple[Any, ...]:
        settings = {"few": self.few, "copies": self.copies}
        empty = partial(SkinList, dtype=self.dtype, device=self.device, **settings)
        return empty, (self.cutoff, self.skin)

    def graph(self, atoms: Atoms) -> AtomicGraph:
        """The graph of ``atoms`` with the edges shorter than the cutoff, or with all if they are few.

        Vectors of edges are taken in float64 before they are rounded, so that a float32 model does not
        lose digits to positions far from the origin.  The next call overwrites positions, cell and vectors.

        Raises:
            DataError: Positions that are not finite, a periodic cell without a volume, or two atoms on
                one spot.
        """
        wide = self._wide
        if wide is None or not self.covers(atoms):
            wide = self._renewed(atoms)
        moving = self._pairs
        if moving.follow(atoms):
            self._near = None
        if self._near is None:
            self._near = self._chosen(wide, moving)
        pairs, graph = self._near
        if len(pairs) < len(moving.vectors):
            torch.index_select(moving.vectors, 0, pairs, out=graph.pair_vectors)
        return graph

    def _chosen(self, wide: AtomicGraph, moving: _MovingPairs) -> tuple[Int[Tensor, "P"], AtomicGraph]:
        """The pairs that the graph is to have, and ``wide`` with their edges alone on memory that moves."""
        states = moving.states
        if (states == _ON_ONE_SPOT).any():
            place = int((states == _ON_ONE_SPOT).nonzero()[0])
            first, second = sorted(int(ends[place]) for ends in moving.pairs[:2])
            raise DataError(
                f"expected atoms apart, got atoms {first} and {second} on one spot; move one of them"
            )
        graph = _of_pairs(states.bool(), wide)
        graph.positions, graph.cell, graph.pair_vectors = moving.positions, moving.cell[None], moving.vectors
        pairs = states.nonzero().squeeze(-1)
        if len(pairs) < len(states):
            graph.pair_vectors = moving.vectors.index_select(0, pairs)
        return pairs, graph

    def _renewed(self, atoms: Atoms) -> AtomicGraph:
        """The list of ``atoms``; the old one if it has the same edges, so that what was made of it lasts."""
        reference = atoms.copy()  # without the calculator, whose results would become labels
        wide = _listed(reference, self.cutoff + self.skin, self.copies).to(self.device)
        wide.bonded_within = self.cutoff if self._stays_bonded(wide) else torch.inf
        self._reference = reference
        if self._wide is not None and _are_alike(self._wide, wide):
            return self._wide
        wide.neighborhoods = Neighborhoods.of(wide)
        reach = torch.inf if wide.edge_index.shape[1] <= 2 * self.few else self.cutoff
        self._wide, self._pairs, self._near = wide, _MovingPairs(wide, reach, self.dtype), None
        return wide

    def _stays_bonded(self, wide: AtomicGraph) -> bool:
        """Whether no atom can lose its last neighbor before the list is made anew."""
        longest = (1.0 + self.skin / self.cutoff) * pair_lengths(wide) + self.skin
        atoms = len(wide.atomic_numbers)
        return bool((coordination(longest, wide.edge_index[:, 0::2], atoms, self.cutoff) >= 1.0).all())

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
                stretches = np.linalg.svd(deformation, compute_uv=False)
                if stretches.max() > 1.0 + self.skin / self.cutoff:
                    return False
                shrinkage = min(stretches.min(), 1.0)
        displacements = atoms.positions - carried
        moved = math.sqrt(np.einsum("ix,ix->i", displacements, displacements).max(initial=0.0))
        return bool(shrinkage * (self.cutoff + self.skin) - 2 * moved >= self.cutoff)  # false for NaN


def _listed(atoms: Atoms, cutoff: float, copies: int) -> AtomicGraph:
    """The graph of ``atoms`` in float64; of several copies without edges between them."""
    if copies == 1:
        return AtomicGraph.from_ase(atoms, cutoff, torch.float64)
    size = len(atoms) // copies
    parts = [
        AtomicGraph.from_ase(atoms[first : first + size], cutoff, torch.float64)
        for first in range(0, len(atoms), size)
    ]
    graph = collate(parts)
    graph.cell, graph.pbc, graph.batch = parts[0].cell, parts[0].pbc, torch.zeros_like(graph.batch)
    return graph


class _MovingPairs:
    """Vectors of the pairs of a list while atoms move, on memory that stays.

    Args:
        wide: The list, in float64.
        reach: Length up to which a graph is to have a pair (Å).
        dtype: dtype of positions, cell and vectors.
    """

    def __init__(self, wide: AtomicGraph, reach: float, dtype: torch.dtype) -> None:
        source, center = wide.edge_index[:, 0::2].contiguous()
        self.pairs = source, center, wide.cell_shifts[0::2].double()
        self.reach = reach
        self.positions = torch.empty_like(wide.positions, dtype=dtype)
        self.cell = torch.empty_like(wide.cell[0], dtype=dtype)
        self.vectors = torch.empty_like(self.pairs[2], dtype=dtype)
        self.states = torch.zeros_like(source, dtype=torch.uint8)  # 1 if shorter than reach
        self._given = tuple(torch.empty_like(part, device="cpu") for part in (wide.positions, wide.cell[0]))
        self._arrays = tuple(part.numpy() for part in self._given)
        self._is_changed = np.zeros(1, dtype=bool)
        self._measure = self._loop() if fusible(source) else self._measure_by_torch

    def follow(self, atoms: Atoms) -> bool:
        """Go where the atoms are; whether the state of a pair is another one now."""
        positions, cell = self._arrays
        positions[:], cell[:] = atoms.positions, atoms.cell.array
        self.positions.copy_(self._given[0])
        self.cell.copy_(self._given[1])
        self._is_changed[0] = False
        self._measure()
        return bool(self._is_changed[0])

    def _loop(self) -> Callable[[], None]:
        from gnnpot.kernels import loops

        outs = self.vectors, self.states, torch.from_numpy(self._is_changed)
        arguments = *self._given, *self.pairs, self.reach, _ONE_SPOT, *outs
        return loops.Call(loops.measure_pairs, len(self.states), arguments)

    def _measure_by_torch(self) -> None:
        source, center, shifts = self.pairs
        positions, cell = (part.to(shifts.device) for part in self._given)
        vectors = positions.index_select(0, source) - positions.index_select(0, center) + shifts @ cell
        lengths = torch.linalg.vector_norm(vectors, dim=-1)
        states = (lengths < self.reach).byte() + (lengths < _ONE_SPOT)
        self._is_changed[0] = not torch.equal(states, self.states)
        self.vectors.copy_(vectors)
        self.states.copy_(states)


def trim(graph: AtomicGraph, cutoff: float) -> AtomicGraph:
    """A copy of ``graph`` without its edges of ``cutoff`` (Å) and longer."""
    vectors = pair_vectors(graph)
    near = torch.linalg.vector_norm(vectors, dim=-1) < cutoff
    trimmed = _of_pairs(near, graph)
    trimmed.pair_vectors = vectors[near]
    return trimmed


@operation
def _of_pairs(near: Bool[Tensor, "P"], graph: AtomicGraph) -> AtomicGraph:
    """A copy of ``graph`` with the edges of these pairs alone, their neighborhoods made."""
    chosen, kept = copy(graph), both_directions(near)
    chosen.edge_index, chosen.cell_shifts = graph.edge_index[:, kept], graph.cell_shifts[kept]
    chosen.neighborhoods = Neighborhoods.of_edges(chosen.edge_index, len(graph.atomic_numbers))
    return chosen


@_of_pairs.compiled
def _(near: Bool[Tensor, "P"], graph: AtomicGraph) -> AtomicGraph:
    from gnnpot.kernels import loops

    edges, order, start = Neighborhoods.of(graph)
    count = 2 * int(near.sum())
    out = (edges.new_empty(2, count), graph.cell_shifts.new_empty(count, 3), order.new_empty(count))
    new_start = torch.empty_like(start)
    over_items(loops.choose_pairs, 1, near, edges, graph.cell_shifts, order, start, *out, new_start)
    chosen = copy(graph)
    chosen.edge_index, chosen.cell_shifts, new_order = out
    chosen.neighborhoods = Neighborhoods(chosen.edge_index, new_order, new_start)
    return chosen


def _are_alike(one: AtomicGraph, other: AtomicGraph) -> bool:
    """Whether they have the same edges, and every atom keeps a neighbor in both or in none."""
    fields = ("atomic_numbers", "pbc", "edge_index", "cell_shifts")
    same = all(torch.equal(one[name], other[name]) for name in fields)
    return same and one.bonded_within == other.bonded_within


def _identical(one: np.ndarray, other: np.ndarray) -> bool:
    return one.shape == other.shape and one.tobytes() == other.tobytes()
