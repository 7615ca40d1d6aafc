"""Energies of surfaces with low indices."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from ase import Atoms
from ase.build import make_supercell
from ase.calculators.calculator import Calculator
from jaxtyping import Int
from pydantic import Field, PositiveFloat, PositiveInt

from gnnpot.config.base import Section
from gnnpot.errors import PropertyError, one_line
from gnnpot.properties.calculation import explained, placed, require_crystal
from gnnpot.properties.relaxation import RelaxationConfig, relax

Array = np.ndarray

_JOULE_PER_M2 = 16.02176634  # of 1 eV/Å²
_SAME_PLANE = 0.05  # Å

Indices = tuple[int, int, int]


class SurfaceConfig(Section):
    """Which surfaces, and how thick the slab is.

    Args:
        indices: Miller indices, in terms of the cell of the structure; ``low`` is 100, 110 and 111 of a cubic
            cell, and 001, 100 and 110 of others.
        thickness: Least thickness of the slab (Å).
        vacuum: Vacuum between slabs (Å).
        force: Largest force of relaxed ions (eV/Å).
        steps: Most steps; a surface that needs more counts as one that does not relax.
    """

    indices: Annotated[tuple[Indices, ...], Field(min_length=1)] | Literal["low"] = "low"
    thickness: PositiveFloat = 14.0
    vacuum: PositiveFloat = 12.0
    force: PositiveFloat = 5e-3
    steps: PositiveInt = 300


@dataclass(frozen=True)
class Surfaces:
    """Energies by Miller indices such as ``111``.

    Attributes:
        relaxed: Energies with relaxed ions (J/m²), the mean of both sides of the slab.
        unrelaxed: Energies of the crystal as it is cut (J/m²).
        not_relaxed: Reason by name of each surface that failed.
    """

    UNITS: ClassVar[Mapping[str, str]] = {"energies": "J/m²", "energies_unrelaxed": "J/m²"}

    relaxed: Mapping[str, float]
    unrelaxed: Mapping[str, float]
    not_relaxed: Mapping[str, str]

    def as_dict(self) -> dict[str, Any]:
        """Numbers by name, in the units of :attr:`UNITS`."""
        return {
            "energies": dict(self.relaxed),
            "energies_unrelaxed": dict(self.unrelaxed),
            "not_relaxed": dict(self.not_relaxed),
        }


def surface_energies(
    calculator: Calculator, atoms: Atoms, *, config: SurfaceConfig | None = None
) -> Surfaces:
    """(E(slab) − N·E(bulk)) / 2A of slabs cut from a crystal, vacuum above.

    Slabs are whole cells thick; of the planes where the crystal can be cut so, the one counts that costs
    least before ions relax.

    Args:
        calculator: Energy and forces.
        atoms: The conventional cell of a relaxed crystal; not changed.
        config: Surfaces and slabs.

    Raises:
        PropertyError: The structure is no crystal, or none of the surfaces relaxes.
    """
    config = config or SurfaceConfig()
    require_crystal(atoms, "surface energies")
    with explained("the bulk", atoms):
        bulk = float(placed(calculator, atoms).get_potential_energy()) / len(atoms)
    relaxed, unrelaxed, failed = dict[str, float](), dict[str, float](), dict[str, str]()
    limits = RelaxationConfig(force=config.force, steps=config.steps, cell="fixed")
    for indices in _low_indices(atoms) if config.indices == "low" else config.indices:
        name = "".join(map(str, indices))
        try:
            cut, unrelaxed[name] = _cheapest(calculator, slabs(atoms, indices, config), bulk)
            ended = relax(calculator, cut, config=limits)
        except PropertyError as error:
            failed[name] = one_line(error)
            continue
        if ended.failure:
            failed[name] = ended.failure
        else:
            relaxed[name] = _excess(ended.energy * len(cut), cut, bulk)
    if not relaxed:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in failed.items())
        raise PropertyError(f"expected surfaces of {atoms.symbols} that relax, got none ({reasons})")
    return Surfaces(relaxed, unrelaxed, failed)


def slabs(atoms: Atoms, indices: Indices, config: SurfaceConfig) -> Iterator[Atoms]:
    """Slabs of whole cells, cut at each plane of atoms, in cells with three periodic directions."""
    one = make_supercell(atoms, _cut_basis(atoms, indices), wrap=False)
    normal = np.cross(one.cell[0], one.cell[1])
    normal /= np.linalg.norm(normal)
    period = float(one.cell[2] @ normal)
    along = one.positions @ normal
    heights = (along + _SAME_PLANE / 2) % period  # an atom at −1e-16 lies in the plane at 0
    one.positions += np.round((heights - along) / period)[:, None] * one.cell[2]
    levels = np.sort(heights)
    for plane in levels[np.diff(levels, prepend=-np.inf) > _SAME_PLANE]:
        rolled = one.copy()
        rolled.positions[heights < plane - _SAME_PLANE / 2] += one.cell[2]
        cut = rolled.repeat((1, 1, int(np.ceil(config.thickness / period))))
        cut.cell[2] = normal * (cut.cell[2] @ normal)
        cut.center(vacuum=config.vacuum / 2, axis=2)
        cut.pbc = True
        yield cut


def _low_indices(atoms: Atoms) -> tuple[Indices, ...]:
    lengths, angles = atoms.cell.lengths(), atoms.cell.angles()
    is_cubic = np.ptp(lengths) < 1e-3 * lengths.mean() and np.abs(angles - 90).max() < 0.1
    return ((1, 0, 0), (1, 1, 0), (1, 1, 1)) if is_cubic else ((0, 0, 1), (1, 0, 0), (1, 1, 0))


def _cut_basis(atoms: Atoms, indices: Indices) -> Int[Array, "3 3"]:
    """Lattice vectors: the two shortest in the plane, and a third one from this plane to the next."""
    plane = np.array(indices) // np.gcd.reduce(indices)
    reach = range(-int(np.abs(plane).max()) - 1, int(np.abs(plane).max()) + 2)
    vectors = np.array(list(product(reach, repeat=3)))
    vectors = vectors[np.argsort(np.linalg.norm(vectors @ atoms.cell.array, axis=1), kind="stable")]
    first, *rest = vectors[(vectors @ plane == 0) & vectors.any(axis=1)]
    second = next(other for other in rest if np.array_equal(np.cross(first, other), plane))
    return np.array([first, second, vectors[vectors @ plane == 1][0]])


def _cheapest(calculator: Calculator, cuts: Iterable[Atoms], bulk: float) -> tuple[Atoms, float]:
    """The slab with the lowest energy of its surfaces, and that energy (J/m²)."""
    found = []
    for cut in cuts:
        with explained("the surface", cut):
            found.append((cut, _excess(float(placed(calculator, cut).get_potential_energy()), cut, bulk)))
    return min(found, key=lambda pair: pair[1])


def _excess(energy: float, cut: Atoms, bulk: float) -> float:
    """Energy of the surface (J/m²)."""
    area = float(np.linalg.norm(np.cross(cut.cell[0], cut.cell[1])))
    return (energy - len(cut) * bulk) / (2 * area) * _JOULE_PER_M2
