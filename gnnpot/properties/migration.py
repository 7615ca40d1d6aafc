"""The barrier between a vacancy and the next, by the nudged elastic band.

Henkelman, Uberuaga, Jónsson, J. Chem. Phys. 113, 9901 (2000).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.geometry import find_mic, get_distances
from ase.mep.neb import NEB, NEBOptimizer
from jaxtyping import Float
from pydantic import Field, PositiveFloat, PositiveInt

from gnnpot.errors import PropertyError
from gnnpot.properties.calculation import explained, one_element, placed, require_crystal, supercell
from gnnpot.properties.defects import DefectConfig, relaxed_vacancy

Array = np.ndarray


class MigrationConfig(DefectConfig):
    """The path of an atom into a vacancy.

    Args:
        images: Number of images between the two ends.
        band_force: Largest force on a converged band (eV/Å).
        band_steps: Most steps; a band that needs more counts as one that does not converge.
    """

    images: Annotated[int, Field(ge=3)] = 5
    band_force: PositiveFloat = 0.02
    band_steps: PositiveInt = 300


@dataclass(frozen=True)
class Migration:
    """How an atom moves into a vacancy beside it.

    Attributes:
        energies: Along the path, over the start (eV).
        places: Length of the path from the start to each image (Å).
        num_atoms: Number of atoms in the cell with the vacancy.
    """

    UNITS: ClassVar[Mapping[str, str]] = {"barrier": "eV", "energies": "eV", "places": "Å"}

    energies: Float[Array, "I"]
    places: Float[Array, "I"]
    num_atoms: int

    @property
    def barrier(self) -> float:
        """Highest energy over that of the start (eV)."""
        return float(self.energies.max())

    def as_dict(self) -> dict[str, Any]:
        """Numbers by name, in the units of :attr:`UNITS`."""
        return {
            "barrier": self.barrier,
            "energies": self.energies.tolist(),
            "places": self.places.tolist(),
            "num_atoms": self.num_atoms,
        }


def vacancy_migration(
    calculator: Calculator, atoms: Atoms, *, config: MigrationConfig | None = None
) -> Migration:
    """The energies along the path by which the nearest atom moves into a vacancy, with a climbing image.

    Args:
        calculator: Energy and forces.
        atoms: A relaxed crystal of one element; not changed.
        config: Cell, images and relaxation.

    Raises:
        PropertyError: The structure is no crystal of one element, neither end relaxes, or the band does not
            converge.
    """
    config = config or MigrationConfig()
    require_crystal(atoms, "a vacancy")
    one_element(atoms, "a vacancy")
    holed = supercell(atoms, config.size)
    site = holed.positions[0].copy()
    del holed[0]
    moved = holed.copy()
    jumping, way = _jump(moved, site)
    moved.positions[jumping] += way
    start = relaxed_vacancy(calculator, holed, site, config=config)
    end = relaxed_vacancy(calculator, moved, site - way, config=config)
    images = [start.atoms.copy() for _ in range(config.images + 1)] + [end.atoms]
    band = NEB(images, climb=True, method="improvedtangent")
    band.interpolate("idpp", mic=True)
    band.images = [placed(calculator, image) for image in images]
    optimizer = NEBOptimizer(band, logfile=None)
    with explained("the path of the jump", atoms):
        is_converged = optimizer.run(fmax=config.band_force, steps=config.band_steps)
        energies = np.array([image.get_potential_energy() for image in band.images])
    if not is_converged:
        raise PropertyError(
            f"expected a path of the jump of {atoms.symbols} in {config.band_steps} steps, got forces over "
            f"{config.band_force:g} eV/Å; raise migration.band_steps, or look at the model"
        )
    return Migration(energies - energies[0], _path_lengths(band.images), len(moved))


def _jump(atoms: Atoms, site: Float[Array, "3"]) -> tuple[int, Float[Array, "3"]]:
    """The atom nearest to ``site``, and the way from there to it (Å)."""
    ways, lengths = get_distances(atoms.positions, site[None], cell=atoms.cell, pbc=atoms.pbc)
    nearest = int(lengths[:, 0].argmin())
    return nearest, ways[nearest, 0]


def _path_lengths(images: list[Atoms]) -> Float[Array, "I"]:
    ways = [
        find_mic(second.positions - first.positions, first.cell, first.pbc)[0]
        for first, second in zip(images[:-1], images[1:], strict=True)
    ]
    return np.concatenate([[0.0], np.cumsum([np.linalg.norm(way) for way in ways])])
