"""Structure of solids and liquids from frames of dynamics: distances, angles, neighbors, displacements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Any, ClassVar

import numpy as np
from ase import Atoms
from jaxtyping import Float, Int

from gnnpot.errors import PropertyError
from gnnpot.graph.neighbors import neighbor_pairs

Array = np.ndarray


@dataclass(frozen=True)
class RadialDistribution:
    """How many atoms are at which distance, over the number in an ideal gas of the same density.

    Attributes:
        distances: Middle of each bin (Å).
        total: g(r) of all atoms.
        partial: g(r) of pairs of elements such as ``Si-O``.
    """

    UNITS: ClassVar[Mapping[str, str]] = {"distances": "Å", "first_peak": "Å", "first_minimum": "Å"}

    distances: Float[Array, "R"]
    total: Float[Array, "R"]
    partial: Mapping[str, Float[Array, "R"]]

    @property
    def first_peak(self) -> float:
        """Where g(r) is highest (Å)."""
        return float(self.distances[self.total.argmax()])

    @property
    def first_minimum(self) -> float:
        """Where g(r) is lowest between its highest peak and twice that distance (Å)."""
        peak = self.first_peak
        behind = np.flatnonzero((self.distances > peak) & (self.distances < 2 * peak))
        if not len(behind):
            return float(self.distances[-1])
        return float(self.distances[behind[self.total[behind].argmin()]])

    def as_dict(self) -> dict[str, Any]:
        """Numbers by name, in the units of :attr:`UNITS`."""
        return {
            "first_peak": self.first_peak,
            "first_minimum": self.first_minimum,
            "distances": self.distances.tolist(),
            "total": self.total.tolist(),
            "partial": {name: values.tolist() for name, values in self.partial.items()},
        }


@dataclass(frozen=True)
class AngularDistribution:
    """How often bonds of an atom meet at which angle.

    Attributes:
        angles: Middle of each bin (°).
        density: Density of angles (1/°); its integral is one.
        reach: Longest bond (Å).
    """

    UNITS: ClassVar[Mapping[str, str]] = {"angles": "°", "density": "1/°", "reach": "Å", "mean": "°"}

    angles: Float[Array, "A"]
    density: Float[Array, "A"]
    reach: float

    @property
    def mean(self) -> float:
        """Mean angle (°)."""
        return float(np.average(self.angles, weights=self.density))

    def as_dict(self) -> dict[str, Any]:
        """Numbers by name, in the units of :attr:`UNITS`."""
        return {
            "mean": self.mean,
            "reach": self.reach,
            "angles": self.angles.tolist(),
            "density": self.density.tolist(),
        }


@dataclass(frozen=True)
class Displacement:
    """How far atoms go.

    Attributes:
        times: Times (ps).
        squares: Mean square displacement at these times (Å²).
    """

    UNITS: ClassVar[Mapping[str, str]] = {"times": "ps", "squares": "Å²", "diffusion": "Å²/ps"}

    times: Float[Array, "T"]
    squares: Float[Array, "T"]

    @property
    def diffusion(self) -> float:
        """Coefficient by Einstein's relation: a sixth of the slope behind the first quarter (Å²/ps)."""
        late = slice(len(self.times) // 4, None)
        if len(self.times[late]) < 2:
            return float("nan")
        return float(np.polyfit(self.times[late], self.squares[late], 1)[0] / 6)

    def as_dict(self) -> dict[str, Any]:
        """Numbers by name, in the units of :attr:`UNITS`."""
        return {
            "diffusion": self.diffusion,
            "times": self.times.tolist(),
            "squares": self.squares.tolist(),
        }


def radial_distribution(frames: Sequence[Atoms], *, reach: float, num_bins: int = 100) -> RadialDistribution:
    """g(r) from zero to ``reach`` (Å), the mean over frames of the same atoms.

    Distances to all periodic images count, so that ``reach`` may be longer than half of a cell.

    Raises:
        PropertyError: There is no frame, or one without a cell.
    """
    _require_cells(frames, "a radial distribution")
    edges = np.linspace(0.0, reach, num_bins + 1)
    shells = 4 / 3 * np.pi * np.diff(edges**3)
    symbols = np.array(frames[0].get_chemical_symbols())
    names = list(combinations_with_replacement(sorted(set(symbols.tolist())), 2))
    total, partial = np.zeros(num_bins), {name: np.zeros(num_bins) for name in names}
    for atoms in frames:
        first, second, lengths = _pairs(atoms, reach)
        density = len(atoms) / atoms.get_volume()
        total += np.histogram(lengths, edges)[0] / (len(atoms) * density * shells)
        for one, other in names:
            count, others = (symbols == one).sum(), (symbols == other).sum()
            chosen = lengths[(symbols[first] == one) & (symbols[second] == other)]
            ideal = count * others / atoms.get_volume() * shells
            partial[one, other] += np.histogram(chosen, edges)[0] / ideal
    scale = 1 / len(frames)
    middles = (edges[1:] + edges[:-1]) / 2
    return RadialDistribution(
        middles, total * scale, {"-".join(name): values * scale for name, values in partial.items()}
    )


def angular_distribution(frames: Sequence[Atoms], *, reach: float, num_bins: int = 90) -> AngularDistribution:
    """Angles between bonds up to ``reach`` (Å) of one atom, each pair of bonds once.

    Raises:
        PropertyError: There is no frame, or no atom with two bonds.
    """
    edges, counts = np.linspace(0.0, 180.0, num_bins + 1), np.zeros(num_bins)
    for atoms in frames:
        counts += np.histogram(_angles(atoms, reach), edges)[0]
    if not counts.any():
        raise PropertyError(
            f"expected atoms with two neighbors within {reach:g} Å, got none in {len(frames)} frames; choose "
            "a longer reach"
        )
    middles = (edges[1:] + edges[:-1]) / 2
    return AngularDistribution(middles, counts / counts.sum() / (edges[1] - edges[0]), reach)


def coordination_numbers(frames: Sequence[Atoms], *, reach: float) -> Int[Array, "F N"]:
    """How many atoms are within ``reach`` (Å) of each atom of each frame."""
    return np.array(
        [np.bincount(_pairs(atoms, reach)[0], minlength=len(atoms)) for atoms in frames], dtype=int
    )


def mean_square_displacement(frames: Sequence[Atoms], *, interval: float) -> Displacement:
    """Of atoms about the center of mass, averaged over all starts, for times up to half of the run.

    Args:
        frames: Frames of one run, evenly spaced; positions were never wrapped into the cell.
        interval: Time between two frames (fs).

    Raises:
        PropertyError: There are fewer than two frames.
    """
    if len(frames) < 2:
        raise PropertyError(f"expected frames of one run for displacements, got {len(frames)}; take more")
    masses = frames[0].get_masses()
    positions = np.array([atoms.positions for atoms in frames])
    positions -= np.average(positions, axis=1, weights=masses)[:, None]
    squares = [0.0] + [
        float(np.square(positions[lag:] - positions[:-lag]).sum(axis=-1).mean())
        for lag in range(1, len(frames) // 2 + 1)
    ]
    return Displacement(np.arange(len(squares)) * interval / 1000, np.array(squares))


def _angles(atoms: Atoms, reach: float) -> Float[Array, "A"]:
    """All angles (°) between two bonds of one atom."""
    (second, first), shifts = neighbor_pairs(atoms.positions, atoms.cell.array, atoms.pbc, reach)
    bonds = atoms.positions[second] + shifts @ atoms.cell.array - atoms.positions[first]
    bonds /= np.linalg.norm(bonds, axis=1, keepdims=True)
    order = np.argsort(first, kind="stable")
    starts = np.searchsorted(first[order], np.arange(len(atoms) + 1))
    found = []
    for begin, end in zip(starts[:-1], starts[1:], strict=True):
        around = bonds[order[begin:end]]
        rows, columns = np.triu_indices(len(around), 1)
        found.append(np.clip((around @ around.T)[rows, columns], -1.0, 1.0))
    return np.degrees(np.arccos(np.concatenate(found))) if found else np.empty(0)


def _pairs(atoms: Atoms, reach: float) -> tuple[Int[Array, "E"], Int[Array, "E"], Float[Array, "E"]]:
    """First atom, second atom and distance (Å) of each pair, in both directions."""
    (second, first), shifts = neighbor_pairs(atoms.positions, atoms.cell.array, atoms.pbc, reach)
    edges = atoms.positions[second] + shifts @ atoms.cell.array - atoms.positions[first]
    return first, second, np.linalg.norm(edges, axis=1)


def _require_cells(frames: Sequence[Atoms], what: str) -> None:
    if not frames or any(not atoms.pbc.all() or atoms.cell.rank < 3 for atoms in frames):
        raise PropertyError(
            f"expected frames with three periodic directions for {what}, got "
            f"{len(frames)} of which some have none; give them a cell"
        )
