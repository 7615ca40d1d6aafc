"""Neighbor lists under any boundary conditions."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from ase import Atoms
from ase.geometry import complete_cell
from jaxtyping import Bool, Float, Int
from scipy.spatial import KDTree

from gnnpot.errors import DataError

Array = np.ndarray

_FARTHEST = 1e9  # Å; beyond, float64 does not resolve 1e-7 Å
_MOST_IMAGES = 10**6  # of an atom within reach of the cell
_MOST_CELLS = 1e5  # of vesin's grid, which is made coarser where it would have more
_AT_ONCE = 1 << 16  # atoms whose neighbors are looked up together


class Pairs(NamedTuple):
    """Pairs of atoms, periodic images too, each once.

    Attributes:
        source: One atom j of each pair.
        center: The other, i.
        shifts: Integers S with r_ij = r_j + S·cell − r_i.
    """

    source: Int[Array, "P"]
    center: Int[Array, "P"]
    shifts: Int[Array, "P 3"]

    def vectors(self, atoms: Atoms) -> Float[Array, "P 3"]:
        """r_ij of each pair (Å)."""
        apart = atoms.positions[self.source] - atoms.positions[self.center]
        return apart + self.shifts @ atoms.cell.array


def pairs_of(atoms: Atoms, cutoff: float) -> Pairs:
    """The pairs of ``atoms`` that are closer than ``cutoff`` (Å); see :func:`neighbor_pairs`."""
    return unique_pairs(atoms.positions, atoms.cell.array, atoms.pbc, cutoff)


def neighbor_pairs(
    positions: Float[Array, "N 3"], cell: Float[Array, "3 3"], pbc: Bool[Array, "3"], cutoff: float
) -> tuple[Int[Array, "2 E"], Int[Array, "E 3"]]:
    """List all directed edges shorter than ``cutoff``, each followed by its reverse.

    Edges 2p and 2p+1 join the same two atoms (or an atom and its own image) in the two directions, so
    what depends on the distance alone is computed once for each pair p.  Cells smaller than the cutoff
    give every image; nothing is truncated.  Atoms may be any distance apart and outside the cell.

    Args:
        positions: Cartesian coordinates (Å).
        cell: Lattice vectors as rows (Å); those of open directions may be zero.
        pbc: Periodic directions.
        cutoff: Longest edge (Å).

    Returns:
        ``edge_index`` (source j, center i) and the integers S with r_ij = r_j + S·cell − r_i.

    Raises:
        DataError: Positions or cell vectors are not finite or beyond 1e9 Å, or a periodic cell has no
            volume, or so little that an atom has over a million images within the cutoff.
    """
    source, center, shifts = unique_pairs(positions, cell, pbc, cutoff)
    edge_index = np.empty((2, 2 * len(center)), dtype=np.int64)
    edge_index[:, 0::2] = source, center
    edge_index[:, 1::2] = center, source
    cell_shifts = np.empty((2 * len(center), 3), dtype=np.int64)
    cell_shifts[0::2] = shifts
    cell_shifts[1::2] = -shifts
    return edge_index, cell_shifts


def unique_pairs(
    positions: Float[Array, "N 3"], cell: Float[Array, "3 3"], pbc: Bool[Array, "3"], cutoff: float
) -> Pairs:
    """Each pair of :func:`neighbor_pairs` once.

    Raises:
        DataError: Positions or cell are not usable, as there.
    """
    structure = _Structure.of(positions, cell, np.asarray(pbc, dtype=bool), cutoff)
    return _by_grid(structure) if structure.suits_a_grid() else _by_tree(structure)


class _Structure(NamedTuple):
    """Positions that were checked, in a cell that has a volume."""

    positions: Float[Array, "N 3"]
    fractional: Float[Array, "N 3"]
    box: Float[Array, "3 3"]
    pbc: Bool[Array, "3"]
    cutoff: float
    longest: float  # the cutoff and more than rounding can make of a distance
    reach: Float[Array, "3"]  # that in units of the distances between opposite faces of the box

    @classmethod
    def of(
        cls, positions: Float[Array, "N 3"], cell: Float[Array, "3 3"], pbc: Bool[Array, "3"], cutoff: float
    ) -> _Structure:
        """Check and complete the structure."""
        _check_size("positions", positions)
        _check_size("cell vectors", cell)
        box = np.asarray(complete_cell(cell) if pbc.any() else np.eye(3), dtype=float)
        if pbc.any() and not (np.abs(np.linalg.det(box)) > 1e-8 and np.any(cell[pbc], axis=1).all()):
            raise DataError(
                f"expected a cell with a volume, got {np.array(cell).tolist()}; set the cell or pbc=False"
            )
        positions = np.ascontiguousarray(positions, dtype=float)
        inverse = np.linalg.inv(box)
        fractional = positions @ inverse
        largest = np.abs(box).max() * (1.0 + np.abs(fractional).max(initial=0.0))
        longest = cutoff * (1 + 1e-9) + 32 * np.finfo(float).eps * largest
        reach = longest * np.linalg.norm(inverse, axis=0)
        if np.prod(2 * np.ceil(reach[pbc]) + 1) > _MOST_IMAGES:
            raise DataError(
                f"expected faces of a cell that are not much closer than the cutoff of {cutoff:g} Å, got the "
                f"cell {np.array(cell).tolist()}; check its unit"
            )
        return cls(positions, fractional, box, pbc, cutoff, longest, reach)

    def suits_a_grid(self) -> bool:
        """Whether vesin's grid is not mostly empty, has a cell in each direction, and can number its cells.

        Where it is made coarser it may lose all cells in a short direction and divide by their number.
        """
        if len(self.positions) == 0:
            return False
        low, high = self.fractional.min(axis=0).tolist(), self.fractional.max(axis=0).tolist()
        widths = zip(self.pbc, low, high, strict=True)
        spans = [1.0 if is_periodic else last - first for is_periodic, first, last in widths]
        least = float(self.pbc.any())  # else the grid is as large as the structure
        pairs = list(zip(spans, self.reach.tolist(), strict=True))
        count = math.prod(max(span / reach, least / reach, 1.0) for span, reach in pairs)
        shortest = max(1.0, min(span / reach for span, reach in pairs))
        has_a_cell_each = count < 0.9 * _MOST_CELLS or shortest > 2 * (count / _MOST_CELLS) ** (1 / 3)
        return (
            count <= 8 * len(self.positions) + 500 and has_a_cell_each and -1e6 < min(low) <= max(high) < 1e6
        )


def _by_grid(structure: _Structure) -> Pairs:
    """The pairs by cells of a grid: the fastest way where these are filled."""
    from vesin import NeighborList  # imports torch, which configurations are read without

    neighbors = NeighborList(cutoff=structure.cutoff, full_list=False)
    center, source, shifts = neighbors.compute(
        points=structure.positions, box=structure.box, periodic=structure.pbc, quantities="ijS"
    )
    return Pairs(*(np.asarray(column, dtype=np.int64) for column in (source, center, shifts)))


def _by_tree(structure: _Structure) -> Pairs:
    """The pairs by a search tree over the atoms and their images, whatever space lies between."""
    home = np.where(structure.pbc, np.floor(structure.fractional), 0.0)
    index, steps = _images(structure, structure.fractional - home)
    places = structure.positions - home @ structure.box
    parts = [(np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, 3), np.int64))]
    for atoms, images in _near(places, places[index] + steps @ structure.box, structure.longest):
        source = index[images]
        shifts = (steps[images] + home[atoms] - home[source]).astype(np.int64)
        vectors = structure.positions[source] - structure.positions[atoms] + shifts @ structure.box
        is_edge = np.einsum("px,px->p", vectors, vectors) < structure.cutoff**2
        kept = is_edge & ((atoms < source) | ((atoms == source) & _is_first(shifts)))
        parts.append((source[kept], atoms[kept], shifts[kept]))
    return Pairs(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _images(
    structure: _Structure, wrapped: Float[Array, "N 3"]
) -> tuple[Int[Array, "I"], Float[Array, "I 3"]]:
    """Atoms of all images that are near the cell, and how many cells away from it each image is.

    Args:
        structure: Cell and cutoff.
        wrapped: Fractional coordinates of the atoms inside the cell.
    """
    index, steps = np.arange(len(wrapped)), np.zeros_like(wrapped)
    for axis in np.flatnonzero(structure.pbc):
        reach = structure.reach[axis]
        offsets = np.arange(-np.ceil(reach), np.ceil(reach) + 1)
        places = wrapped[index, axis] + offsets[:, None]
        offset, which = np.nonzero((places >= -reach) & (places <= 1 + reach))
        index, steps = index[which], steps[which]
        steps[:, axis] = offsets[offset]
    return index, steps


def _near(
    atoms: Float[Array, "N 3"], images: Float[Array, "I 3"], longest: float
) -> Iterator[tuple[Int[Array, "P"], Int[Array, "P"]]]:
    """Numbers of atoms and images that are up to ``longest`` apart, part by part."""
    tree = KDTree(images)
    for begin in range(0, len(atoms), _AT_ONCE):
        part = KDTree(atoms[begin : begin + _AT_ONCE])
        found = part.sparse_distance_matrix(tree, longest, output_type="ndarray")
        yield found["i"] + begin, found["j"]


def _is_first(shifts: Int[Array, "P 3"]) -> Bool[Array, "P"]:
    """Which of each two opposite cell shifts is listed."""
    x, y, z = shifts.T
    return (x > 0) | ((x == 0) & ((y > 0) | ((y == 0) & (z > 0))))


def _check_size(name: str, lengths: Float[Array, "... 3"]) -> None:
    largest = np.abs(lengths).max(initial=0.0)
    if largest <= _FARTHEST:
        return
    if not np.isfinite(largest):
        raise DataError(f"expected finite {name}, got NaN or infinity; remove the structure")
    raise DataError(
        f"expected {name} up to {_FARTHEST:.0e} Å, got {largest:.3g}; check the unit or remove the structure"
    )
