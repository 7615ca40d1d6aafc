"""Energy against volume.

Birch, Phys. Rev. 71, 809 (1947).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from jaxtyping import Float
from pydantic import Field

from gnnpot.config.base import Section
from gnnpot.errors import PropertyError
from gnnpot.properties.calculation import explained, placed, require_crystal
from gnnpot.units import GPa, meV

Array = np.ndarray

_ORDER = 3  # of the polynomial in V^(-2/3), which the Birch-Murnaghan equation of third order is


class EquationOfStateConfig(Section):
    """Which volumes are computed.

    Args:
        span: Largest change of the volume on either side, over the volume itself.
        points: Number of volumes.
    """

    span: Annotated[float, Field(gt=0, lt=0.7)] = 0.03
    points: Annotated[int, Field(ge=5)] = 11


@dataclass(frozen=True)
class EquationOfState:
    """Energies and the Birch-Murnaghan equation through them.

    Attributes:
        volumes: Volumes (Å³/atom).
        energies: Energies (eV/atom).
        coefficients: Coefficients of the powers 0 to 3 of V^(-2/3).
        volume: Volume at the minimum (Å³/atom).
    """

    UNITS: ClassVar[Mapping[str, str]] = {
        "volume": "Å³/atom", "energy": "eV/atom", "bulk_modulus": "GPa", "bulk_modulus_derivative": "1",
        "residual": "meV/atom", "volumes": "Å³/atom", "energies": "eV/atom",
    }  # fmt: skip

    volumes: Float[Array, "P"]
    energies: Float[Array, "P"]
    coefficients: Float[Array, "4"]
    volume: float

    @property
    def energy(self) -> float:
        """At the minimum (eV/atom)."""
        return float(self.fitted(np.array([self.volume]))[0])

    @property
    def bulk_modulus(self) -> float:
        """V d²E/dV² at the minimum (GPa)."""
        return self.volume * _derivative(self.coefficients, self.volume, 2) / GPa

    @property
    def bulk_modulus_derivative(self) -> float:
        """dB/dP at the minimum."""
        second, third = (_derivative(self.coefficients, self.volume, order) for order in (2, 3))
        return -1 - self.volume * third / second

    @property
    def residual(self) -> float:
        """Root mean square of what the equation leaves unexplained (meV/atom)."""
        return float(np.sqrt(np.mean(np.square(self.fitted(self.volumes) - self.energies)))) / meV

    def fitted(self, volumes: Float[Array, "V"]) -> Float[Array, "V"]:
        """Energies that the equation gives (eV/atom)."""
        return np.polynomial.polynomial.polyval(volumes ** (-2 / 3), self.coefficients)

    def as_dict(self) -> dict[str, Any]:
        """Numbers by name, in the units of :attr:`UNITS`."""
        return {
            "volume": self.volume,
            "energy": self.energy,
            "bulk_modulus": self.bulk_modulus,
            "bulk_modulus_derivative": self.bulk_modulus_derivative,
            "residual": self.residual,
            "volumes": self.volumes.tolist(),
            "energies": self.energies.tolist(),
        }


def equation_of_state(
    calculator: Calculator, atoms: Atoms, *, config: EquationOfStateConfig | None = None
) -> EquationOfState:
    """Compress and stretch a crystal evenly, and fit the Birch-Murnaghan equation of third order.

    Shape of the cell and places of the atoms in it stay; the equation is a polynomial in V^(-2/3), so that
    the fit needs no start.

    Args:
        calculator: Energies.
        atoms: A relaxed crystal; not changed.
        config: Volumes.

    Raises:
        PropertyError: The structure is no crystal, the calculator fails, or no minimum lies in the range.
    """
    config = config or EquationOfStateConfig()
    require_crystal(atoms, "an equation of state")
    changes = np.linspace(-config.span, config.span, config.points)
    volumes = atoms.get_volume() / len(atoms) * (1 + changes)
    return fitted_to(volumes, energies_at(calculator, atoms, volumes))


def fitted_to(volumes: Float[Array, "V"], energies: Float[Array, "V"]) -> EquationOfState:
    """The equation of third order through energies (eV/atom) at volumes (Å³/atom).

    Raises:
        PropertyError: No minimum lies in the range.
    """
    coefficients = np.polynomial.polynomial.polyfit(volumes ** (-2 / 3), energies, _ORDER)
    return EquationOfState(volumes, energies, coefficients, _minimum(coefficients, volumes))


def energies_at(calculator: Calculator, atoms: Atoms, volumes: Float[Array, "V"]) -> Float[Array, "V"]:
    """Energies (eV/atom) of the crystal scaled evenly to ``volumes`` (Å³/atom).

    Raises:
        PropertyError: The calculator fails, or an energy is not finite.
    """
    scaled, energies = placed(calculator, atoms), []
    own = atoms.get_volume() / len(atoms)
    with explained("the equation of state", atoms):
        for volume in volumes:
            scaled.set_cell(atoms.cell.array * (volume / own) ** (1 / 3), scale_atoms=True)
            energies.append(scaled.get_potential_energy() / len(atoms))
    if not np.isfinite(energies).all():
        raise PropertyError(
            f"expected finite energies of {atoms.symbols}, got {energies}; look at the model, or choose a "
            "smaller span"
        )
    return np.array(energies)


def _minimum(coefficients: Float[Array, "4"], volumes: Float[Array, "P"]) -> float:
    slope = np.polynomial.polynomial.polyder(coefficients)
    places = np.polynomial.polynomial.polyroots(slope)
    real = places[np.abs(places.imag) < 1e-9 * np.abs(places)].real
    found = [
        float(place**-1.5)
        for place in real
        if place > 0 and _derivative(coefficients, float(place**-1.5), 2) > 0
    ]
    inside = [volume for volume in found if volumes.min() <= volume <= volumes.max()]
    if not inside:
        raise PropertyError(
            f"expected a minimum of the energy between {volumes.min():.2f} and {volumes.max():.2f} Å³/atom, "
            "got none; relax the crystal first, or choose a larger span"
        )
    return inside[0]


def _derivative(coefficients: Float[Array, "4"], volume: float, order: int) -> float:
    """dⁿE/dVⁿ of Σ c_k V^(-2k/3)."""
    total = 0.0
    for power, coefficient in enumerate(coefficients.tolist()):
        exponent, factor = -2 * power / 3, 1.0
        for step in range(order):
            factor *= exponent - step
        total += coefficient * factor * volume ** (exponent - order)
    return total
