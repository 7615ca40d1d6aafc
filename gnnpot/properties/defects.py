"""Vacancies and interstitials: what it costs to take an atom out of a crystal, or to put one in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from ase import Atom, Atoms
from ase.calculators.calculator import Calculator
from ase.geometry import get_distances
from jaxtyping import Float
from pydantic import PositiveFloat, PositiveInt
from scipy.spatial import Voronoi

from gnnpot.config.base import Section
from gnnpot.errors import PropertyError
from gnnpot.properties.calculation import explained, one_element, placed, require_crystal, supercell
from gnnpot.properties.relaxation import Relaxation, RelaxationConfig, relax
from gnnpot.sampling.crystals import bond_length

Array = np.ndarray

_SAME = 0.02  # Å by which the distances to neighbors of equal sites may differ
_NEIGHBORS = 8  # whose distances tell sites apart
_DUMBBELLS = {"100": (1.0, 0.0, 0.0), "110": (1.0, 1.0, 0.0), "111": (1.0, 1.0, 1.0)}
_HALF_DUMBBELL = 0.4  # of a bond, from the site to each of its two atoms
_NUDGE = 0.05  # Å: symmetry would hold atoms on a saddle
_DRAWN = 0.2  # of the way to the vacancy
_SHELL = 1.15  # of the shortest distance, up to which atoms are neighbors


class DefectConfig(Section):
    """The cell around a defect, and its relaxation at constant volume.

    Args:
        size: Shortest distance of a defect from its images (Å).
        force: Largest force of relaxed ions (eV/Å).
        steps: Most steps of a relaxation; a defect that needs more counts as one that does not relax.
    """

    size: PositiveFloat = 9.0
    force: PositiveFloat = 5e-3
    steps: PositiveInt = 300

    @property
    def relaxation(self) -> RelaxationConfig:
        """Limits of the relaxation of ions."""
        return RelaxationConfig(force=self.force, steps=self.steps, cell="fixed")


@dataclass(frozen=True)
class Vacancy:
    """One atom missing.

    Attributes:
        unrelaxed: Formation energy with all other atoms at their places (eV).
        relaxed: Formation energy at constant volume (eV).
        num_atoms: Number of atoms in the cell without vacancy.
        atoms: The relaxed cell with the vacancy.
        site: Position of the atom that was removed (Å).
    """

    UNITS: ClassVar[Mapping[str, str]] = {"formation_energy": "eV", "formation_energy_unrelaxed": "eV"}

    unrelaxed: float
    relaxed: float
    num_atoms: int
    atoms: Atoms
    site: Float[Array, "3"]

    def as_dict(self) -> dict[str, Any]:
        """Numbers by name, in the units of :attr:`UNITS`."""
        return {
            "formation_energy": self.relaxed,
            "formation_energy_unrelaxed": self.unrelaxed,
            "num_atoms": self.num_atoms,
        }


@dataclass(frozen=True)
class Interstitials:
    """One atom too many.

    Attributes:
        energies: Formation energy at constant volume (eV) by the site where the atom was put.
        not_relaxed: Sites that did not relax, with the reason.
        num_atoms: Number of atoms in the cell without the interstitial.
    """

    UNITS: ClassVar[Mapping[str, str]] = {"formation_energy": "eV", "sites": "eV"}

    energies: Mapping[str, float]
    not_relaxed: Mapping[str, str]
    num_atoms: int

    @property
    def lowest(self) -> str:
        """The site with the lowest energy."""
        return min(self.energies, key=lambda name: self.energies[name])

    def as_dict(self) -> dict[str, Any]:
        """Numbers by name, in the units of :attr:`UNITS`; ``formation_energy`` is the lowest."""
        return {
            "formation_energy": self.energies[self.lowest],
            "lowest": self.lowest,
            "sites": dict(sorted(self.energies.items(), key=lambda item: item[1])),
            "not_relaxed": dict(self.not_relaxed),
            "num_atoms": self.num_atoms,
        }


def vacancy(calculator: Calculator, atoms: Atoms, *, config: DefectConfig | None = None) -> Vacancy:
    """E(N − 1) − (N − 1)/N · E(N) at constant volume.

    Relaxation starts from the neighbors as they are, and drawn toward the vacancy; the lower energy counts.

    Args:
        calculator: Energy and forces.
        atoms: A relaxed crystal of one element; its first atom is taken out.
        config: Cell and relaxation.

    Raises:
        PropertyError: The structure is no crystal of one element, or the vacancy does not relax.
    """
    config = config or DefectConfig()
    require_crystal(atoms, "a vacancy")
    one_element(atoms, "a vacancy")
    whole = supercell(atoms, config.size)
    bulk = _energy(calculator, whole) / len(whole)
    site = whole.positions[0].copy()
    del (holed := whole.copy())[0]
    unrelaxed = _energy(calculator, holed)
    ended = relaxed_vacancy(calculator, holed, site, config=config)
    reference = (len(whole) - 1) * bulk
    return Vacancy(
        unrelaxed - reference, ended.energy * len(holed) - reference, len(whole), ended.atoms, site
    )


def interstitials(
    calculator: Calculator, atoms: Atoms, *, config: DefectConfig | None = None
) -> Interstitials:
    """E(N + 1) − (N + 1)/N · E(N) of an atom in each kind of void, and of dumbbells along three directions.

    Voids are the corners of the Voronoi cells, told apart by the distances to their neighbors and named
    by the number and distance of the nearest, such as ``6 at 1.76 Å``.

    Args:
        calculator: Energy and forces.
        atoms: A relaxed crystal of one element; not changed.
        config: Cell and relaxation.

    Raises:
        PropertyError: The structure is no crystal of one element, or no site relaxes.
    """
    config = config or DefectConfig()
    require_crystal(atoms, "an interstitial")
    symbol = one_element(atoms, "an interstitial")
    whole = supercell(atoms, config.size)
    reference = _energy(calculator, whole) / len(whole) * (len(whole) + 1)
    found, failed = dict[str, float](), dict[str, str]()
    for name, crowded in {**_filled_voids(whole, symbol), **_dumbbells(whole, symbol)}.items():
        ended = relax(calculator, crowded, config=config.relaxation)
        if ended.failure:
            failed[name] = ended.failure
        else:
            found[name] = ended.energy * len(crowded) - reference
    if not found:
        raise PropertyError(
            f"expected an interstitial of {symbol} that relaxes, got none "
            f"({'; '.join(f'{name}: {reason}' for name, reason in failed.items())}); look at the model"
        )
    return Interstitials(found, failed, len(whole))


def voids(atoms: Atoms) -> dict[str, Float[Array, "3"]]:
    """The different kinds of voids of a crystal by name, the widest first."""
    near = atoms.repeat((3, 3, 3))
    middle = atoms.cell.array.sum(axis=0)
    corners = Voronoi(near.positions).vertices - middle
    scaled = corners @ np.linalg.inv(atoms.cell.array)
    inside = corners[((scaled > -1e-6) & (scaled < 1 - 1e-6)).all(axis=1)]
    found: list[tuple[Array, Array]] = []
    for corner in inside:
        distances = np.sort(_distances(atoms, corner))[:_NEIGHBORS]
        if not any(np.allclose(distances, other, atol=_SAME) for other, _ in found):
            found.append((distances, corner))
    found.sort(key=lambda item: -item[0][0])
    named: dict[str, Array] = {}
    for distances, corner in found:
        count = int((distances < distances[0] + _SAME).sum())
        named.setdefault(f"{count} at {distances[0]:.2f} Å", corner)
    return named


def _distances(atoms: Atoms, place: Float[Array, "3"]) -> Float[Array, "N"]:
    """From a place to all atoms and their images nearby (Å)."""
    shifts = np.array(np.meshgrid(*[(-1, 0, 1)] * 3)).reshape(3, -1).T @ atoms.cell.array
    return np.linalg.norm((atoms.positions[:, None] + shifts - place).reshape(-1, 3), axis=1)


def _filled_voids(whole: Atoms, symbol: str) -> dict[str, Atoms]:
    filled = {}
    for name, place in voids(whole).items():
        filled[name] = whole.copy()
        filled[name].append(Atom(symbol, place))
    return filled


def _dumbbells(whole: Atoms, symbol: str) -> dict[str, Atoms]:
    """Two atoms in the place of the first, along three directions of a cube."""
    pairs = {}
    for name, direction in _DUMBBELLS.items():
        arm = _HALF_DUMBBELL * bond_length(whole) * np.array(direction) / np.linalg.norm(direction)
        pair = whole.copy()
        pair.append(Atom(symbol, pair.positions[0] + arm))
        pair.positions[0] -= arm
        pairs[f"dumbbell {name}"] = pair
    return pairs


def _energy(calculator: Calculator, atoms: Atoms) -> float:
    with explained("the energy", atoms):
        return float(placed(calculator, atoms).get_potential_energy())


def relaxed_vacancy(
    calculator: Calculator, holed: Atoms, site: Float[Array, "3"], *, config: DefectConfig
) -> Relaxation:
    """The lower of the states that neighbors of an empty ``site`` relax to, from their places and drawn in.

    Raises:
        PropertyError: Neither relaxes.
    """
    starts = [_nudged(holed), _drawn_in(_nudged(holed), site)]
    ended = [relax(calculator, start, config=config.relaxation) for start in starts]
    if all(one.failure for one in ended):
        raise PropertyError(
            f"the vacancy in {holed.symbols} does not relax: {ended[0].failure}; look at the model"
        )
    return min((one for one in ended if not one.failure), key=lambda one: one.energy)


def _drawn_in(atoms: Atoms, site: Float[Array, "3"]) -> Atoms:
    """A copy with the nearest neighbors of ``site`` moved toward it."""
    copy = atoms.copy()
    ways, lengths = get_distances(atoms.positions, site[None], cell=atoms.cell, pbc=atoms.pbc)
    near = lengths[:, 0] < _SHELL * lengths.min()
    copy.positions[near] += _DRAWN * ways[near, 0]
    return copy


def _nudged(atoms: Atoms) -> Atoms:
    """A copy with atoms a little off their places, always the same way."""
    copy = atoms.copy()
    copy.rattle(_NUDGE, seed=0)
    return copy
