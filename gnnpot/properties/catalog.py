"""The properties by name: how each is computed, from which settings, and which of its numbers tables show."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from ase import Atoms
from ase.calculators.calculator import Calculator

from gnnpot.config.base import Section
from gnnpot.properties.certificate.certify import CertificateConfig, certify
from gnnpot.properties.certificate.checks import Certificate
from gnnpot.properties.defects import DefectConfig, Interstitials, Vacancy, interstitials, vacancy
from gnnpot.properties.dynamics import Dynamics, DynamicsConfig, dynamics
from gnnpot.properties.elastic import ElasticConfig, ElasticConstants, elastic_constants
from gnnpot.properties.equation_of_state import EquationOfState, EquationOfStateConfig, equation_of_state
from gnnpot.properties.expansion import Expansion, ExpansionConfig, thermal_expansion
from gnnpot.properties.melting import Melting, melting_point
from gnnpot.properties.melting_rounds import MeltingConfig
from gnnpot.properties.migration import Migration, MigrationConfig, vacancy_migration
from gnnpot.properties.names import PropertyName as PropertyName
from gnnpot.properties.phases import PhasesConfig, phases
from gnnpot.properties.phonons import PhononConfig, Phonons, phonons
from gnnpot.properties.relaxation import PhaseOrder, Relaxation, RelaxationConfig
from gnnpot.properties.surfaces import SurfaceConfig, Surfaces, surface_energies
from gnnpot.properties.survival import Survival, SurvivalConfig, survival
from gnnpot.properties.watch import Watch

NO_REST = "not computed, as the structure did not relax"


class Result(Protocol):
    """What a property is, as plain data."""

    def as_dict(self) -> dict[str, Any]:
        """Numbers by name."""


class Property(NamedTuple):
    """One property.

    Attributes:
        noun: In tables and progress.
        section: Its settings.
        compute: Gives it of a relaxed structure.
        units: Of its numbers.
        shown: Which of its numbers tables show.
        is_motion: Whether it takes many steps of dynamics, in single precision and past the label store.
    """

    noun: str
    section: type[Section]
    compute: Callable[[Calculator, Atoms, Any, Watch], Result]
    units: Mapping[str, str]
    shown: tuple[str, ...]
    is_motion: bool = False


def _still(function: Callable[..., Result]) -> Callable[[Calculator, Atoms, Any, Watch], Result]:
    """A property that takes no watch."""
    return lambda calculator, atoms, config, watch: function(calculator, atoms, config=config)


def _moving(function: Callable[..., Result]) -> Callable[[Calculator, Atoms, Any, Watch], Result]:
    return lambda calculator, atoms, config, watch: function(calculator, atoms, config=config, watch=watch)


def _relaxation(calculator: Calculator, atoms: Atoms, config: Any, watch: Watch) -> Result:
    raise NotImplementedError("the relaxation comes before all others, in gnnpot.properties.run")


_ELASTIC = (
    "C11", "C12", "C44", "C_prime", "C11_clamped", "C12_clamped", "C44_clamped", "strain", "bulk_voigt",
    "bulk_hill", "bulk_reuss", "shear_voigt", "shear_hill", "shear_reuss", "young_hill", "born_stable",
)  # fmt: skip

PROPERTIES: dict[str, Property] = {
    "relaxation": Property(
        "relaxation", RelaxationConfig, _relaxation, Relaxation.UNITS,
        ("a", "b", "c", "energy", "volume", "bond_length"),
    ),
    "phases": Property("phases", PhasesConfig, _still(phases), PhaseOrder.UNITS, ("energy_above",)),
    "equation_of_state": Property(
        "equation of state", EquationOfStateConfig, _still(equation_of_state), EquationOfState.UNITS,
        ("bulk_modulus", "bulk_modulus_derivative"),
    ),
    "elastic": Property(
        "elastic constants", ElasticConfig, _still(elastic_constants), ElasticConstants.UNITS, _ELASTIC
    ),
    "vacancy": Property(
        "vacancy", DefectConfig, _still(vacancy), Vacancy.UNITS,
        ("formation_energy", "formation_energy_unrelaxed"),
    ),
    "interstitials": Property(
        "interstitials", DefectConfig, _still(interstitials), Interstitials.UNITS,
        ("formation_energy", "lowest"),
    ),
    "surfaces": Property("surfaces", SurfaceConfig, _still(surface_energies), Surfaces.UNITS, ("energies",)),
    "migration": Property(
        "migration of a vacancy", MigrationConfig, _still(vacancy_migration), Migration.UNITS, ("barrier",)
    ),
    "phonons": Property(
        "phonons", PhononConfig, _still(phonons), Phonons.UNITS,
        ("highest", "mean", "lowest", "imaginary_modes", "zero_point_energy"),
    ),
    "expansion": Property(
        "thermal expansion", ExpansionConfig, _moving(thermal_expansion), Expansion.UNITS,
        ("linear_expansion", "volume", "volume_change", "bulk_modulus"),
    ),
    "dynamics": Property(
        "dynamics", DynamicsConfig, _moving(dynamics), Dynamics.UNITS,
        ("temperature", "first_peak", "coordination", "mean_angle", "diffusion", "density"), is_motion=True,
    ),
    "melting": Property(
        "melting point", MeltingConfig, _moving(melting_point), Melting.UNITS,
        ("melting_point", "uncertainty", "heat_of_fusion", "volume_change", "pressure"), is_motion=True,
    ),
    "certificate": Property(
        "certificate", CertificateConfig, _still(certify), Certificate.UNITS, ("verdict",)
    ),
    "stability": Property(
        "stability", SurvivalConfig, _moving(survival), Survival.UNITS,
        ("survived", "num_runs", "length", "mean_time_to_failure"), is_motion=True,
    ),
}  # fmt: skip
DEFAULT: tuple[PropertyName, ...] = (
    "relaxation", "phases", "equation_of_state", "elastic", "vacancy", "interstitials", "surfaces",
    "migration", "phonons", "dynamics", "certificate",
)  # fmt: skip
