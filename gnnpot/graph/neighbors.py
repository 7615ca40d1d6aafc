"""Neighbor list under any boundary conditions."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from ase import Atoms
from ase.geometry import complete_cell
from jaxtyping import Bool, Float, Int
from vesin import NeighborList

from gnnpot.errors import DataError

Array = np.ndarray


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
    """All directed edges shorter than ``cutoff``, each followed by its reverse.

    Edges 2p and 2p+1 join the same two atoms (or an atom and its own image) in the two directions, so
    what depends on the distance alone is computed once for each pair p.  Cells smaller than the cutoff
    give every image; nothing is truncated.

    Args:
        positions: Cartesian coordinates (Å), inside the cell or not.
        cell: Lattice vectors as rows (Å); those of open directions may be zero.
        pbc: Periodic directions.
        cutoff: Longest edge (Å).

    Returns:
        ``edge_index`` (source j, center i) and the integers S with r_ij = r_j + S·cell − r_i.

    Raises:
        DataError: Positions or cell are not finite, or a periodic cell has no volume.
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
        DataError: Positions or cell are not finite, or a periodic cell has no volume.
    """
    for name, lengths in (("positions", positions), ("cell vectors", cell)):
        if not np.isfinite(lengths).all():
            raise DataError(f"expected finite {name}, got NaN or infinity; remove the structure")
    box = np.asarray(complete_cell(cell) if pbc.any() else np.eye(3), dtype=float)
    if pbc.any() and not (np.abs(np.linalg.det(box)) > 1e-8 and np.any(cell[pbc], axis=1).all()):
        raise DataError(
            f"expected a cell with a volume, got {np.array(cell).tolist()}; set the cell or pbc=False"
        )
    neighbors = NeighborList(cutoff=cutoff, full_list=False)
    center, source, shifts = neighbors.compute(
        points=np.ascontiguousarray(positions, dtype=float), box=box, periodic=pbc, quantities="ijS"
    )
    return Pairs(*(np.asarray(column, dtype=np.int64) for column in (source, center, shifts)))
