"""How far apart the atoms of a data set are: what cutoffs and radial shells are chosen by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
from ase import Atoms
from jaxtyping import Float

from gnnpot.graph.neighbors import pairs_of

if TYPE_CHECKING:
    from gnnpot.data.store import GraphStore

Array = np.ndarray

_FIRST, _LAST, _STEP = 1.0, 9.0, 0.1  # Å, of the distances at which neighbors are counted
_SHORT = 0.01  # share of the atoms whose neighbor is closer than what is called short
_MOST_FRAMES = 200  # that are looked at, evenly spread
_SPARSE = 2.2  # nearest-neighbor distances: what is used where even the longest distance has few neighbors


@dataclass(frozen=True)
class LengthScales:
    """Distances between the atoms of a data set.

    Attributes:
        nearest: Median over the atoms of the distance to the nearest neighbor (Å).
        shortest: Distance that one atom in a hundred has to its nearest neighbor, or less (Å).
        neighbors: Mean number of neighbors within 1.0, 1.1, …, 9.0 Å.
    """

    nearest: float
    shortest: float
    neighbors: tuple[float, ...]

    @classmethod
    def of(cls, frames: Sequence[Atoms]) -> Self | None:
        """The scales of ``frames``, or None where no atom has a neighbor within 9 Å.

        Large sets are judged by 200 of their structures.
        """
        radii = np.arange(_FIRST, _LAST + _STEP / 2, _STEP)
        counts, nearest, atoms_seen = np.zeros(len(radii)), [np.empty(0)], 0
        for place in evenly_spread(len(frames), _MOST_FRAMES):
            lengths, closest = _distances(frames[place])
            counts += 2 * np.searchsorted(np.sort(lengths), radii, side="right")
            nearest.append(closest[np.isfinite(closest)])
            atoms_seen += len(closest)
        found = np.concatenate(nearest)
        if len(found) == 0:
            return None
        mean = tuple(float(value) for value in counts / atoms_seen)
        return cls(float(np.median(found)), float(np.quantile(found, _SHORT)), mean)

    @classmethod
    def of_store(cls, store: GraphStore) -> Self | None:
        """The same of the structures of a store, isolated atoms left out."""
        rows = store.structure_rows()
        chosen = [rows[place] for place in evenly_spread(len(rows), _MOST_FRAMES)]
        return cls.of([bare_structure(store, row) for row in chosen])

    def neighbors_within(self, radius: float) -> float:
        """Mean number of neighbors within a radius (Å)."""
        radii = _FIRST + _STEP * np.arange(len(self.neighbors))
        return float(np.interp(radius, radii, self.neighbors))

    def radius(self, neighbors: float, *, least: float) -> float:
        """A radius (Å) with about this number of neighbors.

        Args:
            neighbors: Mean number of neighbors that is asked for.
            least: Smallest radius; that of molecules, which have fewer neighbors than that at any.
        """
        enough = np.flatnonzero(np.array(self.neighbors) >= neighbors)
        sparse = max(least, _SPARSE * self.nearest)
        radius = _FIRST + _STEP * int(enough[0]) if len(enough) else sparse
        return round(max(radius, least), 1)


def evenly_spread(size: int, most: int) -> list[int]:
    """Up to ``most`` of the places 0 … ``size`` - 1, evenly spread."""
    return np.linspace(0, size - 1, min(size, most)).astype(int).tolist()


def bare_structure(store: GraphStore, row: int) -> Atoms:
    """A structure of a store without its labels."""
    atoms = slice(*store.atom_range(row))
    return Atoms(
        store.atomic_numbers[atoms], store.positions[atoms], cell=store.cell[row], pbc=store.pbc[row]
    )


def _distances(atoms: Atoms) -> tuple[Float[Array, "P"], Float[Array, "N"]]:
    """Lengths of all pairs within the longest distance, and of the shortest of each atom."""
    pairs = pairs_of(atoms, _LAST)
    vectors = pairs.vectors(atoms)
    lengths = np.sqrt(np.einsum("px,px->p", vectors, vectors))
    closest = np.full(len(atoms), np.inf)
    np.minimum.at(closest, pairs.source, lengths)
    np.minimum.at(closest, pairs.center, lengths)
    return lengths, closest
