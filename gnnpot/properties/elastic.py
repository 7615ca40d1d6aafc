"""Elastic constants from the stress of strained crystals, with clamped and with relaxed ions."""

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
from gnnpot.properties.elastic_averages import Moduli, cubic_constants, moduli
from gnnpot.properties.relaxation import RelaxationConfig, relax
from gnnpot.sampling.crystals import bond_length
from gnnpot.units import GPa

Array = np.ndarray

_VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
_COMPONENTS = ("xx", "yy", "zz", "yz", "xz", "xy")
_PRESSURES = (
    *("C11", "C12", "C44", "C_prime", "C11_clamped", "C12_clamped", "C44_clamped", "C_prime_clamped"),
    *("C", "C_clamped", "asymmetry", "pressure", "bulk_voigt", "bulk_reuss", "bulk_hill"),
    *("shear_voigt", "shear_reuss", "shear_hill", "young_hill", "eigenvalues"),
)
_SMALL = 0.02  # strain up to which every crystal at rest is elastic
_MOVED = 0.5  # of a bond: an ion that moves this far against the lattice has left its place


class ElasticConfig(Section):
    """How far the crystal is strained.

    Args:
        strain: Strain of each of the six components, up and down; the papers' tables need 0.1.
        force: Largest force of relaxed ions (eV/Å).
        steps: Most steps of the relaxation of ions.
    """

    strain: Annotated[float, Field(gt=0, lt=1)] = 0.005
    force: Annotated[float, Field(gt=0)] = 1e-4
    steps: Annotated[int, Field(ge=1)] = 300


@dataclass(frozen=True)
class ElasticConstants:
    """Stiffness in Voigt's order xx yy zz yz xz xy, in the frame of the structure.

    Attributes:
        strain: How far the crystal was strained, up and down.
        clamped: C_ij with ions where the strain takes them (GPa).
        relaxed: C_ij with relaxed ions (GPa).
        asymmetry: Largest |C_ij − C_ji| before the two were averaged (GPa).
        pressure: Pressure of the crystal without strain (GPa), which should vanish.
    """

    UNITS: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(_PRESSURES, "GPa"),
        **dict.fromkeys(("strain", "poisson_hill", "anisotropy"), "1"),
    }

    strain: float
    clamped: Float[Array, "6 6"]
    relaxed: Float[Array, "6 6"]
    asymmetry: float
    pressure: float

    @property
    def moduli(self) -> Moduli:
        """Averages over directions, with relaxed ions."""
        return moduli(self.relaxed)

    @property
    def is_stable(self) -> bool:
        """Born's criterion: every small strain costs energy."""
        return bool((self.eigenvalues > 0).all())

    @property
    def eigenvalues(self) -> Float[Array, "6"]:
        """Of C_ij with relaxed ions (GPa), the lowest first."""
        return np.linalg.eigvalsh(self.relaxed)

    def as_dict(self) -> dict[str, Any]:
        """Numbers by name, in the units of :attr:`UNITS`; C11, C12, C44 only of cubic crystals.

        ``C_prime`` is (C11 − C12)/2, the shear modulus "G" of the papers' tables.
        """
        cubic = cubic_constants(self.relaxed) or {}
        clamped = cubic_constants(self.clamped) or {}
        return {
            "strain": self.strain,
            **cubic,
            **{f"{name}_clamped": value for name, value in clamped.items()},
            **self.moduli.as_dict(),
            "born_stable": self.is_stable,
            "eigenvalues": self.eigenvalues.tolist(),
            "asymmetry": self.asymmetry,
            "pressure": self.pressure,
            "C": self.relaxed.tolist(),
            "C_clamped": self.clamped.tolist(),
        }


def elastic_constants(
    calculator: Calculator, atoms: Atoms, *, config: ElasticConfig | None = None
) -> ElasticConstants:
    """C_ij = (σ_i(+ε_j) − σ_i(−ε_j)) / 2ε, of six strains one by one.

    Tension lengthens the cell along an axis; shear tilts it, as in LAMMPS: at large strain the constants
    depend on that.

    Args:
        calculator: Forces and stress.
        atoms: A relaxed crystal; not changed.
        config: Strain, and when ions have relaxed.

    Raises:
        PropertyError: The structure is no crystal, the calculator gives no stress, or a strain breaks it.
    """
    config = config or ElasticConfig()
    require_crystal(atoms, "elastic constants")
    with explained("the elastic constants", atoms):
        pressure = -placed(calculator, atoms).get_stress()[:3].mean() / GPa
    columns = [_column(calculator, atoms, component, config) for component in range(6)]
    clamped, relaxed = np.array(columns).transpose(1, 2, 0) / GPa
    asymmetry = float(np.abs(relaxed - relaxed.T).max())
    return ElasticConstants(
        config.strain, (clamped + clamped.T) / 2, (relaxed + relaxed.T) / 2, asymmetry, float(pressure)
    )


def deformed(atoms: Atoms, component: int, strain: float) -> Atoms:
    """A copy under a strain of one of Voigt's components, ions following the cell."""
    row, column = _VOIGT[component]
    gradient = np.eye(3)
    gradient[column, row] += strain  # x' = x·gradient: a tilt moves planes along the first direction
    copy = atoms.copy()
    copy.set_cell(atoms.cell.array @ gradient, scale_atoms=True)
    return copy


def _column(
    calculator: Calculator, atoms: Atoms, component: int, config: ElasticConfig
) -> tuple[Float[Array, "6"], Float[Array, "6"]]:
    """Derivatives of the stress by one strain (eV/Å³), with clamped and relaxed ions."""
    up, down = (
        _stresses(calculator, deformed(atoms, component, sign * config.strain), config, component)
        for sign in (1, -1)
    )
    if config.strain > _SMALL:
        _check_resists(calculator, atoms, component, config.strain, clamped=(up[0], down[0]))
    return (up[0] - down[0]) / (2 * config.strain), (up[1] - down[1]) / (2 * config.strain)


def _check_resists(
    calculator: Calculator,
    atoms: Atoms,
    component: int,
    strain: float,
    *,
    clamped: tuple[Float[Array, "6"], Float[Array, "6"]],
) -> None:
    """Refuse a large strain that pulls back less than half of it does.

    Raises:
        PropertyError: The strain lies beyond the ideal strength.
    """
    for sign, whole in zip((1, -1), clamped, strict=True):
        half = placed(calculator, deformed(atoms, component, sign * strain / 2)).get_stress()
        if sign * half[component] > 0 and sign * whole[component] < sign * half[component]:
            raise PropertyError(
                f"a strain of {sign * strain:g} along {_COMPONENTS[component]} breaks {atoms.symbols}: half "
                "of it pulls back harder; strain it less"
            )


def _stresses(
    calculator: Calculator, strained: Atoms, config: ElasticConfig, component: int
) -> tuple[Float[Array, "6"], Float[Array, "6"]]:
    """Stress (eV/Å³) before and after ions relax."""
    what = f"a strain of {config.strain:g} along {_COMPONENTS[component]}"
    still = placed(calculator, strained)
    with explained(what, strained):
        clamped, forces = still.get_stress(), still.get_forces()
    if not (np.isfinite(clamped).all() and np.isfinite(forces).all()):
        raise PropertyError(
            f"{what} breaks {strained.symbols}: stress or forces are not finite; strain it less"
        )
    if np.linalg.norm(forces, axis=1).max() < config.force:
        return clamped, clamped
    limits = RelaxationConfig(force=config.force, steps=config.steps, cell="fixed")
    ended = relax(calculator, strained, config=limits)
    moved = ended.atoms.positions - strained.positions
    farthest = float(np.linalg.norm(moved - moved.mean(axis=0), axis=1).max())
    if ended.failure or not farthest < _MOVED * bond_length(strained):
        raise PropertyError(
            f"{what} breaks {strained.symbols}: "
            + (ended.failure or f"an ion moves by {farthest:.2f} Å")
            + "; strain it less, or relax the crystal first"
        )
    with explained(what, strained):
        return clamped, placed(calculator, ended.atoms).get_stress()
