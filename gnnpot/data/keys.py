"""Where the labels of a file are: names, units and signs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from pydantic import ValidationError, field_validator

from gnnpot import units
from gnnpot.config.base import Section
from gnnpot.config.registry import nearest
from gnnpot.errors import ConfigError

QUANTITIES = ("energy", "forces", "stress")
ENERGY_UNITS = {"eV": 1.0, "meV": units.meV, "Hartree": units.Hartree, "kcal/mol": units.kcal_per_mol}
FORCES_UNITS = {
    "eV/A": 1.0,
    "Hartree/Bohr": units.Hartree / units.Bohr,
    "Hartree/A": units.Hartree,
    "kcal/mol/A": units.kcal_per_mol,
}
STRESS_UNITS = {"eV/A^3": 1.0, "GPa": units.GPa, "kBar": units.kBar, "MPa": units.MPa}


class LabelKeys(Section):
    """Where the labels of a file are, and in which units and signs.

    A named key comes first and must be in some frame; then ``REF_energy``, ``REF_forces``,
    ``REF_stress``, ``REF_virial(s)``; then what ASE takes for results: ``energy``, ``forces``,
    ``stress``, ``virial(s)``.  Beside ``forces``, ``free_energy`` comes before ``energy``, for forces are
    its derivatives; without, after it.  ASE's readers of program outputs convert units themselves.

    Args:
        energy: Key of the energy.
        forces: Key of the forces, one row an atom.
        stress: Key of the stress: 3×3, nine numbers, or Voigt's xx yy zz yz xz xy.
        virial: Key of the virial W = −V σ, in the unit of energy.
        group: Key that names the group of a frame; without it, ``group``, then ``config_type``.
        energy_unit: Unit of energy and virial.
        forces_unit: Unit of forces.
        stress_unit: Unit of stress.
        stress_sign: Meaning of a positive stress; "pressure" in the outputs of VASP and LAMMPS.
        virial_sign: Meaning of a positive virial.
    """

    energy: str | None = None
    forces: str | None = None
    stress: str | None = None
    virial: str | None = None
    group: str | None = None
    energy_unit: Literal["eV", "meV", "Hartree", "kcal/mol"] = "eV"
    forces_unit: Literal["eV/A", "Hartree/Bohr", "Hartree/A", "kcal/mol/A"] = "eV/A"
    stress_unit: Literal["eV/A^3", "GPa", "kBar", "MPa"] = "eV/A^3"
    stress_sign: Literal["tension", "pressure"] = "tension"
    virial_sign: Literal["tension", "pressure"] = "pressure"

    @field_validator("forces_unit", "stress_unit", mode="before")
    @classmethod
    def _plain_letters(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return value.replace("\u00c5", "A").replace("\u212b", "A").replace("³", "^3")

    @property
    def named(self) -> dict[str, str]:
        """The keys that were named, by field."""
        fields = {name: getattr(self, name) for name in ("energy", "forces", "stress", "virial", "group")}
        return {name: key for name, key in fields.items() if key is not None}


def label_keys(settings: Iterable[str]) -> LabelKeys:
    """Keys from words like ``stress_unit=kBar``.

    Raises:
        ConfigError: A word has no "=", or its name or value is not one of :class:`LabelKeys`.
    """
    values: dict[str, str] = {}
    for setting in settings:
        name, equals, value = setting.removeprefix("keys.").partition("=")
        if not equals:
            raise ConfigError(f"expected name=value, got {setting!r}; e.g. stress_unit=kBar")
        if name not in LabelKeys.model_fields:
            raise ConfigError(f"no key is called keys.{name}; {nearest(name, LabelKeys.model_fields)}")
        values[name] = value
    try:
        return LabelKeys.model_validate(values)
    except ValidationError as error:
        faults = [
            f"keys.{entry['loc'][0]}: {entry['msg']}, got {entry['input']!r}" for entry in error.errors()
        ]
        raise ConfigError("; ".join(faults)) from error
