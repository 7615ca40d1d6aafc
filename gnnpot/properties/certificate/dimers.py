"""Two atoms alone: they repel, have one minimum at most, and part smoothly."""

from __future__ import annotations

from itertools import combinations_with_replacement

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.data import atomic_numbers, covalent_radii
from jaxtyping import Float
from scipy.signal import find_peaks

from gnnpot.properties.calculation import explained, placed
from gnnpot.properties.certificate.checks import Bounds, Check, Curve, judged
from gnnpot.units import meV

Array = np.ndarray

REPULSION, MINIMA, SMOOTHNESS = "dimers repel", "one minimum of dimers", "smooth dimers"
_CLOSEST, _STEEP = 0.35, 0.65  # of the sum of covalent radii, between which atoms must repel
_FARTHEST = 12.0  # Å
_STEP = 0.02  # Å
_SHOWN = 3  # every so many steps a point of the figure
_DEEP = 0.02  # eV that a minimum lies below its surroundings, to count
_BOX = 30.0  # Å


class Dimer:
    """Energy and force of two atoms at many distances.

    Args:
        calculator: Calculator to judge.
        first: Symbol of one atom.
        second: Symbol of the other.

    Raises:
        PropertyError: The calculator cannot treat two atoms in a box.
    """

    def __init__(self, calculator: Calculator, first: str, second: str) -> None:
        self.name = f"{first}-{second}"
        self.radii = float(covalent_radii[atomic_numbers[first]] + covalent_radii[atomic_numbers[second]])
        self.distances = np.arange(_CLOSEST * self.radii, _FARTHEST, _STEP)
        pair = placed(
            calculator, Atoms([first, second], [[_BOX / 4, _BOX / 2, _BOX / 2]] * 2, cell=[_BOX] * 3)
        )
        pair.pbc = True
        rows = []
        for distance in self.distances:
            pair.positions[1, 0] = pair.positions[0, 0] + distance
            with explained(f"the dimer {self.name}", pair):
                rows.append((pair.get_potential_energy(), pair.get_forces()[1, 0]))
        self.energies, self.forces = np.array(rows).T

    @property
    def curve(self) -> Curve:
        """For the figure: energy over that at the largest distance (eV)."""
        shown = (self.energies - self.energies[-1])[::_SHOWN]
        return Curve(tuple(self.distances[::_SHOWN].tolist()), tuple(shown.tolist()))

    @property
    def attraction_when_close(self) -> float:
        """Share of the distances from 0.35 to 0.65 of the sum of radii at which the atoms do not repel."""
        close = self.distances < _STEEP * self.radii
        return float(np.mean(~(self.forces[close] > 0)))

    @property
    def spurious_depth(self) -> float:
        """Depth (eV) of the deepest minimum beside the main one, below the lower of its two rims."""
        if not np.isfinite(self.energies).all():
            return float("nan")
        walled = np.concatenate([[self.energies[0] + 1e3], self.energies, [self.energies[-1]]])
        places, found = find_peaks(-walled, prominence=_DEEP)
        if len(places) < 2:
            return 0.0
        main = int(walled[places].argmin())
        others = [depth for place, depth in enumerate(found["prominences"]) if place != main]
        return float(max(others))

    @property
    def jump(self) -> float:
        """Largest change of the energy in one step that the forces do not explain (meV), outside the core."""
        outside = self.distances > _STEEP * self.radii
        energies, forces = self.energies[outside], self.forces[outside]
        unexplained = np.diff(energies) + (forces[1:] + forces[:-1]) / 2 * _STEP
        curvature = np.abs(np.gradient(np.gradient(forces, _STEP), _STEP))
        error = (curvature[1:] + curvature[:-1]) / 2 * _STEP**3 / 12  # of the trapezoidal rule
        return float(np.maximum(np.abs(unexplained) - 2 * error, 0.0).max()) / meV


def dimers(calculator: Calculator, symbols: list[str]) -> list[Dimer]:
    """All pairs of elements."""
    return [Dimer(calculator, *pair) for pair in combinations_with_replacement(sorted(symbols), 2)]


def dimer_checks(found: list[Dimer]) -> list[Check]:
    """Repulsion, minima and smoothness, each of the worst pair."""
    attraction = max(found, key=lambda one: one.attraction_when_close)
    spurious = max(found, key=lambda one: _or_infinity(one.spurious_depth))
    jumping = max(found, key=lambda one: _or_infinity(one.jump))
    return [
        judged(
            REPULSION,
            attraction.attraction_when_close,
            "",
            f"share of distances between {_CLOSEST:g} and {_STEEP:g} of the sum of covalent radii at which "
            f"{attraction.name} does not repel; add a short-range repulsion",
            bounds=Bounds(0.0, 0.0),
        ),
        judged(
            MINIMA,
            spurious.spurious_depth,
            "eV",
            f"depth of the deepest minimum of {spurious.name} beside the main one",
            bounds=Bounds(0.0, 0.5),
        ),
        judged(
            SMOOTHNESS,
            jumping.jump,
            "meV",
            f"largest jump of the energy of {jumping.name} in {_STEP:g} Å that forces do not explain, out to "
            f"{_FARTHEST:g} Å and so across the cutoff",
            bounds=Bounds(0.1, 5.0),
        ),
    ]


def _or_infinity(value: float) -> float:
    return value if np.isfinite(value) else float("inf")


def isolated_energies(calculator: Calculator, symbols: list[str]) -> Float[Array, "E"]:
    """Energy of each element's atom alone (eV).

    Raises:
        PropertyError: The calculator cannot treat one atom in a box.
    """
    energies = []
    for symbol in symbols:
        atom = Atoms(symbol, cell=[_BOX] * 3, pbc=True)
        with explained(f"an atom of {symbol}", atom):
            energies.append(placed(calculator, atom).get_potential_energy())
    return np.array(energies, dtype=float)
