"""Thermal expansion in the quasi-harmonic approximation: harmonic phonons at several volumes.

Togo, Chaput, Tanaka, Hug, Phys. Rev. B 81, 174301 (2010).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import Calculator
from jaxtyping import Float
from pydantic import Field, PositiveFloat

from gnnpot.config.base import Section
from gnnpot.errors import PropertyError
from gnnpot.properties.calculation import require_crystal
from gnnpot.properties.equation_of_state import energies_at, fitted_to
from gnnpot.properties.phonons import PLANCK, PhononConfig, harmonic_crystal
from gnnpot.properties.watch import NO_WATCH, Watch
from gnnpot.units import meV

Array = np.ndarray

_ROOM = 300.0  # K
_STILL = 1e-3  # THz, below which a mode is a translation


class ExpansionConfig(Section):
    """Volumes, temperatures, and the phonons at each volume.

    Args:
        lowest: Smallest volume less that at rest, over that at rest.
        highest: Largest volume less that at rest, over that at rest.
        points: Number of volumes.
        temperature: Highest temperature (K).
        step: Difference between two temperatures (K).
        size: Shortest distance of an atom from its images in the supercell (Å).
        mesh: Length of the mesh of wave vectors (Å), as phonopy has it.
    """

    lowest: Annotated[float, Field(gt=-0.5, lt=0)] = -0.02
    highest: Annotated[float, Field(gt=0, lt=0.5)] = 0.06
    points: Annotated[int, Field(ge=5)] = 7
    temperature: Annotated[float, Field(ge=_ROOM)] = 600.0
    step: Annotated[float, Field(gt=0, le=100)] = 10.0
    size: PositiveFloat = 8.0
    mesh: PositiveFloat = 40.0


@dataclass(frozen=True)
class Expansion:
    """Volumes of least free energy over the temperature.

    Attributes:
        temperatures: K.
        volumes: Å³/atom.
        linear: Coefficient of linear expansion, dV/dT / 3V (1e-6/K).
        bulk: Isothermal bulk modulus (GPa).
        volume_at_rest: Volume without any motion, that of zero point included (Å³/atom).
    """

    UNITS: ClassVar[Mapping[str, str]] = {
        "linear_expansion": "1e-6/K", "volume": "Å³/atom", "bulk_modulus": "GPa", "volume_change": "%",
        "temperatures": "K", "volumes": "Å³/atom", "linear": "1e-6/K", "bulk": "GPa",
    }  # fmt: skip

    temperatures: Float[Array, "T"]
    volumes: Float[Array, "T"]
    linear: Float[Array, "T"]
    bulk: Float[Array, "T"]
    volume_at_rest: float

    def as_dict(self) -> dict[str, Any]:
        """Numbers at 300 K by name, in the units of :attr:`UNITS`, and all temperatures."""
        at = {
            name: float(np.interp(_ROOM, self.temperatures, values))
            for name, values in (("linear", self.linear), ("volume", self.volumes), ("bulk", self.bulk))
        }
        return {
            "linear_expansion": at["linear"],
            "volume": at["volume"],
            "volume_change": 100 * (at["volume"] / self.volume_at_rest - 1),
            "bulk_modulus": at["bulk"],
            "temperatures": self.temperatures.tolist(),
            "volumes": self.volumes.tolist(),
            "linear": self.linear.tolist(),
            "bulk": self.bulk.tolist(),
        }


def thermal_expansion(
    calculator: Calculator, atoms: Atoms, *, config: ExpansionConfig | None = None, watch: Watch = NO_WATCH
) -> Expansion:
    r"""Find the volume of least free energy at each temperature.

    .. math:: F(V, T) = E(V) + \sum_{q\nu} \left[ \frac{\hbar\omega}{2}
              + kT \ln\left(1 - e^{-\hbar\omega / kT}\right) \right]

    F is fitted at each temperature by the Birch-Murnaghan equation of third order.  Holds far below the
    melting point only, where phonons do not scatter each other much.

    Args:
        calculator: Forces; those of float32 are too rough.
        atoms: A relaxed crystal; not changed.
        config: Volumes and temperatures.
        watch: Told which share of the volumes is done.

    Raises:
        PropertyError: phonopy is not installed, the structure is no crystal, a mode is imaginary at one of
            the volumes, or the volume of least free energy leaves their range.
    """
    config = config or ExpansionConfig()
    require_crystal(atoms, "thermal expansion")
    changes = np.linspace(config.lowest, config.highest, config.points)
    volumes = atoms.get_volume() / len(atoms) * (1 + changes)
    temperatures = np.arange(0.0, config.temperature + config.step, config.step)
    energies = energies_at(calculator, atoms, volumes)
    motion = np.empty((len(temperatures), len(volumes)))
    for place, change in enumerate(changes):
        scaled = atoms.copy()
        scaled.set_cell(atoms.cell.array * (1 + change) ** (1 / 3), scale_atoms=True)
        motion[:, place] = _free_energies(calculator, scaled, config, temperatures, change)
        watch.tell((place + 1) / len(changes))
    fits = [fitted_to(volumes, energies + part) for part in motion]
    found = np.array([fit.volume for fit in fits])
    return Expansion(
        temperatures=temperatures,
        volumes=found,
        linear=1e6 * np.gradient(found, temperatures) / (3 * found),
        bulk=np.array([fit.bulk_modulus for fit in fits]),
        volume_at_rest=fitted_to(volumes, energies).volume,
    )


def _free_energies(
    calculator: Calculator,
    atoms: Atoms,
    config: ExpansionConfig,
    temperatures: Float[Array, "T"],
    change: float,
) -> Float[Array, "T"]:
    """Free energy of the motion at each temperature (eV/atom)."""
    phonons = PhononConfig(size=config.size, mesh=config.mesh)
    harmonic = harmonic_crystal(calculator, atoms, phonons)
    harmonic.run_mesh(config.mesh)
    frequencies, weights = harmonic.mesh.frequencies, harmonic.mesh.weights
    if (lowest := float(frequencies.min())) < -phonons.imaginary:
        raise PropertyError(
            f"expected real frequencies for thermal expansion, got {lowest:.2f} THz of {atoms.symbols} at "
            f"{change:+.1%} of its volume; choose a narrower range of volumes"
        )
    quanta = np.where(frequencies > _STILL, PLANCK * meV * frequencies, np.inf)
    shares = (weights / weights.sum())[:, None] * 3 / frequencies.shape[1]
    zero_point = float((shares * np.where(np.isfinite(quanta), quanta, 0.0)).sum()) / 2
    found = np.full(len(temperatures), zero_point)
    for place in np.flatnonzero(temperatures > 0):
        thermal = units.kB * temperatures[place]
        found[place] += thermal * float((shares * np.log1p(-np.exp(-quanta / thermal))).sum())
    return found
