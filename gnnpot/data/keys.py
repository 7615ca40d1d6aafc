"""Where the labels of a file are: names, units and signs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Literal

from pydantic import ValidationError, field_validator

from gnnpot import units
from gnnpot.config.base import Section
from gnnpot.config.registry import nearest
from gnnpot.errors import ConfigError

QUANTITIES = ("energy", "forces", "stress")
_PER_ATOM = "eV/atom"
NONE = "none"  # in place of a key: there is no such label
ENERGY_UNITS = {
    "eV": 1.0,
    "meV": units.meV,
    "Hartree": units.Hartree,
    "Ry": units.Ry,
    "kcal/mol": units.kcal_per_mol,
    "kJ/mol": units.kJ_per_mol,
}
FORCES_UNITS = {
    "eV/A": 1.0,
    "meV/A": units.meV,
    "eV/Bohr": 1.0 / units.Bohr,
    "Hartree/Bohr": units.Hartree / units.Bohr,
    "Hartree/A": units.Hartree,
    "Ry/Bohr": units.Ry / units.Bohr,
    "kcal/mol/A": units.kcal_per_mol,
    "kJ/mol/A": units.kJ_per_mol,
    "kJ/mol/nm": units.kJ_per_mol / 10,
}
STRESS_UNITS = {
    "eV/A^3": 1.0,
    "GPa": units.GPa,
    "kBar": units.kBar,
    "MPa": units.MPa,
    "bar": units.kBar / 1000,
    "Hartree/Bohr^3": units.Hartree / units.Bohr**3,
    "Ry/Bohr^3": units.Ry / units.Bohr**3,
}
# Places of xx yy zz yz xz xy among six numbers.
STRESS_ORDERS = {
    "voigt": (0, 1, 2, 3, 4, 5),  # xx yy zz yz xz xy
    "vasp": (0, 1, 2, 4, 5, 3),  # xx yy zz xy yz zx
    "lammps": (0, 1, 2, 5, 4, 3),  # xx yy zz xy xz yz
    "triangle": (0, 3, 5, 4, 2, 1),  # xx xy xz yy yz zz
}
_OFFSET = re.compile(r"\s*([-+]?[0-9.]+(?:e[-+]?[0-9]+)?)\s*(\S*)\s*", re.IGNORECASE)

STRESS_NAMES = ("REF_stress", "REF_virial", "REF_virials", "stress", "virial", "virials")
_KEYS = ("energy", "forces", "stress", "virial", "group", "forces_mask")
_NOT = "not "


class LabelKeys(Section):
    """Where the labels of a file are, and in which units and signs.

    A named key comes first and must be in some frame; then ``REF_energy``, ``REF_forces``,
    ``REF_stress``, ``REF_virial(s)``; then what ASE takes for results: ``energy``, ``forces``,
    ``stress``, ``virial(s)``.  Beside ``forces``, ``free_energy`` comes before ``energy``, for forces are
    its derivatives; without, after it.  ``none`` in place of a key drops the label: under
    ``stress: none`` no stress is read, whatever its key, unless ``virial`` names one.  ASE's readers of
    program outputs convert units themselves; units that the metadata of an ASE database name are taken.

    Args:
        energy: Key of the energy.
        forces: Key of the forces, one row an atom.
        stress: Key of the stress: 3×3, nine numbers, or six.
        virial: Key of the virial W = −V σ, in the unit of energy.
        group: Key that names the group of a frame; without it, ``group``, then ``config_type``.
        forces_mask: Key of what says where forces count (T or 1) and where not (F or 0): a value an atom or
            a component, or one for the frame; ``not fixed`` for a key that says it the other way round.
            Without it, ``forces_mask``, else the forces of atoms that ASE's ``move_mask`` or constraints
            hold do not count if they are exactly zero; ``none`` takes all forces as they are.
        energy_unit: Unit of energy and virial.
        energy_per: Whether an energy is that of the whole structure or the mean of its atoms.
        forces_unit: Unit of forces.
        forces_sign: ``gradient`` where the file holds dE/dr instead of the forces −dE/dr.
        stress_unit: Unit of stress.
        stress_order: Order of six numbers, of a virial too: ``voigt`` is xx yy zz yz xz xy, ``vasp``
            xx yy zz xy yz zx, ``lammps`` xx yy zz xy xz yz, ``triangle`` xx xy xz yy yz zz.
        stress_sign: Meaning of a positive stress; "pressure" in the outputs of VASP and LAMMPS.
        virial_sign: Meaning of a positive virial.
        stress_offset: What the stress labels have too much on their diagonal, positive under tension, as in
            ``2.9 GPa``, or that times the volume per atom, as in ``0.2 eV/atom``, which plane waves leave: it
            is taken off.  ``fit`` finds one per atom from the energies of strained frames, for all labels
            of a training or, where they differ, for each file or group; ``auto`` does so where labels
            contradict the energies by more than 1 GPa beyond doubt, and says it.  ``none`` leaves labels as
            they are.
    """

    energy: str | None = None
    forces: str | None = None
    stress: str | None = None
    virial: str | None = None
    group: str | None = None
    forces_mask: str | None = None
    energy_unit: Literal["eV", "meV", "Hartree", "Ry", "kcal/mol", "kJ/mol"] = "eV"
    energy_per: Literal["structure", "atom"] = "structure"
    forces_unit: Literal[
        "eV/A",
        "meV/A",
        "eV/Bohr",
        "Hartree/Bohr",
        "Hartree/A",
        "Ry/Bohr",
        "kcal/mol/A",
        "kJ/mol/A",
        "kJ/mol/nm",
    ] = "eV/A"
    forces_sign: Literal["force", "gradient"] = "force"
    stress_unit: Literal["eV/A^3", "GPa", "kBar", "MPa", "bar", "Hartree/Bohr^3", "Ry/Bohr^3"] = "eV/A^3"
    stress_order: Literal["voigt", "vasp", "lammps", "triangle"] = "voigt"
    stress_sign: Literal["tension", "pressure"] = "tension"
    virial_sign: Literal["tension", "pressure"] = "pressure"
    stress_offset: str = "auto"

    @field_validator("forces_unit", "stress_unit", mode="before")
    @classmethod
    def _plain_letters(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return _plain(value)

    @field_validator("stress_offset", mode="before")
    @classmethod
    def _offset_with_unit(cls, value: Any) -> Any:
        if value in ("none", "0", 0):
            return "none"
        if value in ("auto", "fit"):
            return value
        found = _OFFSET.fullmatch(_plain(str(value)))
        known = {name.lower(): name for name in (*STRESS_UNITS, _PER_ATOM)}
        unit = known.get(found[2].lower()) if found else None
        if not found or unit is None:
            raise ValueError(
                f"expected auto, fit, none or a stress with its unit, as in '2.9 GPa', got {value!r}; units "
                f"are {', '.join((*STRESS_UNITS, _PER_ATOM))}"
            )
        return f"{float(found[1]):g} {unit}"

    def known_stress_offset(self, atom_volume: float) -> float:
        """What is taken off the diagonal of a stress label as it is read (eV/Å³).

        Args:
            atom_volume: Volume per atom (Å³).
        """
        value, space, unit = self.stress_offset.partition(" ")
        if not space:
            return 0.0
        return float(value) / atom_volume if unit == _PER_ATOM else float(value) * STRESS_UNITS[unit]

    @property
    def named(self) -> dict[str, str]:
        """The keys that were named, by field."""
        fields = {name: getattr(self, name) for name in _KEYS}
        named = {name: key for name, key in fields.items() if key not in (None, NONE)}
        if "forces_mask" in named:
            named["forces_mask"] = named["forces_mask"].removeprefix(_NOT)
        return named

    def replaced(self, other: LabelKeys) -> LabelKeys:
        """These, but for what was said of the others."""
        return self.model_copy(update={name: getattr(other, name) for name in other.model_fields_set})

    @property
    def forces_mask_is_inverse(self) -> bool:
        """Whether the mask says where forces do not count."""
        return (self.forces_mask or "").startswith(_NOT)


def _plain(unit: str) -> str:
    return unit.replace("\u00c5", "A").replace("\u212b", "A").replace("³", "^3")


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
