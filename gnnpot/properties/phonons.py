"""Harmonic phonons by phonopy: bands, density of states, imaginary modes.

Togo, Chaput, Tadano, Tanaka, J. Phys.: Condens. Matter 35, 353001 (2023).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import Calculator
from ase.cell import Cell
from jaxtyping import Float
from pydantic import PositiveFloat, PositiveInt

from gnnpot.config.base import Section
from gnnpot.properties.calculation import explained, optional, placed, require_crystal
from gnnpot.units import meV

Array = np.ndarray

PLANCK = 4.135667696  # meV/THz
_STILL = 1e-4  # hν/2kT, below which a mode is classical
_ROOM = 300.0  # K
_SYMMETRY = 1e-4  # Å, by which atoms of a relaxed crystal may miss their symmetric places


class PhononConfig(Section):
    """Supercell, displacements and resolution.

    Args:
        size: Shortest distance of an atom from its images in the supercell (Å).
        displacement: Displacement of one atom (Å).
        points: Number of points on the path through the Brillouin zone.
        mesh: Length of the mesh for the density of states (Å), as phonopy has it.
        imaginary: Frequencies below minus this are imaginary modes; those nearer to zero are rounding (THz).
    """

    size: PositiveFloat = 10.0
    displacement: PositiveFloat = 0.01
    points: PositiveInt = 200
    mesh: PositiveFloat = 60.0
    imaginary: PositiveFloat = 0.1


@dataclass(frozen=True)
class Phonons:
    """Frequencies in THz; imaginary ones are negative.

    Attributes:
        path: Place on the path of each point of the bands (1/Å).
        bands: Frequencies at these points.
        labels: Place and name of the special points.
        frequencies: Frequencies of the density of states (THz).
        density: Density of states of the primitive cell (1/THz), with an integral of three times its atoms.
        lowest: Lowest frequency on the path and on the mesh.
        lowest_at: Point on the path with the lowest frequency, in reciprocal lattice vectors.
        imaginary: Below minus this frequency modes count as imaginary.
        zero_point_energy: Zero-point energy (meV/atom).
        heat_capacity: Heat capacity at 300 K and constant volume (k_B per atom).
        num_atoms: Number of atoms in the supercell.
        num_displacements: Supercells that were computed.
    """

    UNITS: ClassVar[Mapping[str, str]] = {
        "lowest": "THz", "highest": "THz", "mean": "THz", "zero_point_energy": "meV/atom",
        "heat_capacity": "k_B/atom", "frequencies": "THz", "density": "1/THz per primitive cell",
        "bands": "THz", "path": "1/Å", "lowest_at": "reciprocal lattice vectors",
    }  # fmt: skip

    path: Float[Array, "Q"]
    bands: Float[Array, "Q M"]
    labels: tuple[tuple[float, str], ...]
    frequencies: Float[Array, "W"]
    density: Float[Array, "W"]
    lowest: float
    lowest_at: Float[Array, "3"]
    imaginary: float
    zero_point_energy: float
    heat_capacity: float
    num_atoms: int
    num_displacements: int

    @property
    def has_imaginary_modes(self) -> bool:
        """Whether the crystal is unstable against some wave."""
        return self.lowest < -self.imaginary

    @property
    def highest(self) -> float:
        """Highest frequency of the bands (THz)."""
        return float(self.bands.max())

    @property
    def mean(self) -> float:
        """Of the density of states (THz)."""
        return float(np.average(self.frequencies, weights=self.density))

    def as_dict(self) -> dict[str, Any]:
        """Numbers by name, in the units of :attr:`UNITS`."""
        return {
            "highest": self.highest,
            "mean": self.mean,
            "lowest": self.lowest,
            "lowest_at": self.lowest_at.tolist(),
            "imaginary_modes": self.has_imaginary_modes,
            "zero_point_energy": self.zero_point_energy,
            "heat_capacity": self.heat_capacity,
            "num_atoms": self.num_atoms,
            "num_displacements": self.num_displacements,
            "frequencies": self.frequencies.tolist(),
            "density": self.density.tolist(),
            "path": self.path.tolist(),
            "bands": self.bands.tolist(),
            "labels": [list(label) for label in self.labels],
        }


def phonons(calculator: Calculator, atoms: Atoms, *, config: PhononConfig | None = None) -> Phonons:
    """Bands and density of states of a relaxed crystal from small displacements.

    Args:
        calculator: Forces; those of float32 are too rough.
        atoms: A relaxed crystal; not changed.
        config: Supercell and resolution.

    Raises:
        PropertyError: phonopy is not installed, the structure is no crystal, or the calculator fails.
    """
    config = config or PhononConfig()
    require_crystal(atoms, "phonons")
    harmonic = harmonic_crystal(calculator, atoms, config)
    path, labels, points = band_path(harmonic.primitive.cell, config.points)
    bands = harmonic.run_qpoints(points).frequencies
    harmonic.run_mesh(config.mesh)
    harmonic.run_total_dos()
    dos, meshed, weights = harmonic.total_dos, harmonic.mesh.frequencies, harmonic.mesh.weights
    zero_point, capacity = _thermal(meshed, weights, _ROOM)
    return Phonons(
        path=path,
        bands=bands,
        labels=labels,
        frequencies=np.array(dos.frequency_points),
        density=np.maximum(dos.dos, 0.0),
        lowest=float(min(bands.min(), meshed.min())),
        lowest_at=points[int(bands.min(axis=1).argmin())],
        imaginary=config.imaginary,
        zero_point_energy=zero_point,
        heat_capacity=capacity,
        num_atoms=len(harmonic.supercell),
        num_displacements=len(harmonic.supercells_with_displacements),
    )


def harmonic_crystal(calculator: Calculator, atoms: Atoms, config: PhononConfig) -> Any:
    """The object of phonopy with symmetric force constants.

    Raises:
        PropertyError: phonopy is not installed, or the calculator fails.
    """
    phonopy = optional("phonopy", "phonons")
    cells = optional("phonopy.structure.atoms", "phonons")
    unit = cells.PhonopyAtoms(
        numbers=atoms.numbers, cell=atoms.cell.array, scaled_positions=atoms.get_scaled_positions()
    )
    heights = 1 / np.linalg.norm(atoms.cell.reciprocal(), axis=1)
    repeats = np.maximum(np.ceil(config.size / heights - 1e-6).astype(int), 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that "auto" means a primitive cell
        harmonic = phonopy.Phonopy(
            unit, supercell_matrix=np.diag(repeats), primitive_matrix="auto", symprec=_SYMMETRY
        )
    harmonic.generate_displacements(distance=config.displacement)
    with explained("the phonons", atoms):
        harmonic.forces = [
            placed(calculator, _from_phonopy(cell)).get_forces()
            for cell in harmonic.supercells_with_displacements
        ]
    harmonic.produce_force_constants(show_drift=False)
    harmonic.symmetrize_force_constants(show_drift=False)
    return harmonic


def band_path(
    cell: Float[Array, "3 3"], points: int
) -> tuple[Float[Array, "Q"], tuple[tuple[float, str], ...], Float[Array, "Q 3"]]:
    """A path between the special points of a primitive cell: places (1/Å), labels, and the points."""
    path = Cell(cell).bandpath(npoints=points)
    places, special, names = path.get_linear_kpoint_axis()
    labels: list[tuple[float, str]] = []
    for place, name in zip(special.tolist(), names, strict=True):
        shown = "Γ" if name == "G" else name
        if labels and abs(labels[-1][0] - place) < 1e-6:
            labels[-1] = (place, f"{labels[-1][1]}|{shown}")
        else:
            labels.append((place, shown))
    return places, tuple(labels), path.kpts


def _thermal(
    frequencies: Float[Array, "Q M"], weights: Float[Array, "Q"], temperature: float
) -> tuple[float, float]:
    """Zero-point energy (meV/atom) and heat capacity (k_B/atom) of the modes with real frequencies."""
    quanta = PLANCK * np.maximum(frequencies, 0.0)
    shares = (weights / weights.sum())[:, None] * 3 / frequencies.shape[1]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        half = quanta / (2 * units.kB / meV * temperature)
        capacities = np.where(half > _STILL, (half / np.sinh(half)) ** 2, 1.0)
    return float((shares * quanta / 2).sum()), float((shares * capacities).sum())


def _from_phonopy(cell: Any) -> Atoms:
    return Atoms(cell.symbols, cell=cell.cell, scaled_positions=cell.scaled_positions, pbc=True)
