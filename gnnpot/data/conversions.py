"""Values of a file to labels in the library's units, signs and shapes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from ase import Atoms
from ase.stress import full_3x3_to_voigt_6_stress
from jaxtyping import Float

from gnnpot import units
from gnnpot.data.keys import (
    ENERGY_UNITS,
    FORCES_UNITS,
    NONE,
    STRESS_NAMES,
    STRESS_ORDERS,
    STRESS_UNITS,
    LabelKeys,
)
from gnnpot.errors import shortened

Array = np.ndarray

_DIAGONAL = np.array([1.0, 1.0, 1.0, 0.0, 0.0, 0.0])
_SAME_STRESS, _SAME_PRESSURE = 0.01, 0.05 * units.GPa  # what cut-off digits may make of one stress
_ASYMMETRY = 1e-3  # of the largest entry; what reference codes print is closer
_ASYMMETRY_FLOOR = 0.01 * units.GPa  # noise of a relaxed crystal, whatever its largest entry


class UnusableError(Exception):
    """A label that is there and is none; its text is the same for all frames of the kind."""


def energy_of(atoms: Atoms, values: Mapping[str, Any], key: str, keys: LabelKeys) -> float:
    """The energy of the structure (eV).

    Raises:
        UnusableError: The value is no number.
    """
    count = len(atoms) if keys.energy_per == "atom" else 1
    return float(numbers(values[key], [()], key)) * ENERGY_UNITS[keys.energy_unit] * count


def forces_of(atoms: Atoms, values: Mapping[str, Any], key: str, keys: LabelKeys) -> Float[Array, "N 3"]:
    """The forces (eV/Å).

    Raises:
        UnusableError: They are not three numbers an atom.
    """
    sign = -1 if keys.forces_sign == "gradient" else 1
    return sign * FORCES_UNITS[keys.forces_unit] * numbers(values[key], [(len(atoms), 3)], key)


def stress_of(atoms: Atoms, values: Mapping[str, Any], key: str, keys: LabelKeys) -> Float[Array, "6"]:
    """The stress without its known offset (eV/Å³, positive under tension, xx yy zz yz xz xy).

    Raises:
        UnusableError: It is no symmetric tensor, a virial without a volume, or another stress of the frame
            contradicts it.
    """
    stress = _tensor(atoms, values[key], key, keys)
    _check_second_stress(atoms, values, key, keys)
    volume = volume_of(atoms)
    return stress - (keys.known_stress_offset(volume / len(atoms)) if volume > 0 else 0.0) * _DIAGONAL


def is_virial(key: str, keys: LabelKeys) -> bool:
    """Whether the label under ``key`` is read as a virial."""
    return key == keys.virial or (key != keys.stress and "virial" in key)


def numbers(value: Any, shapes: list[tuple[int, ...]], key: str) -> Float[Array, "..."]:
    """The numbers of a label; axes of length 1 in front, as some databases have, are taken off.

    Raises:
        UnusableError: Another shape, or no numbers.
    """
    array = np.asarray(value)
    got = "×".join(map(str, array.shape)) if array.shape else shortened(value)
    while array.shape not in shapes and array.shape[:1] == (1,):
        array = array[0]
    if array.shape not in shapes or array.dtype.kind not in "iuf":
        sizes = " or ".join("×".join(map(str, shape)) for shape in shapes)
        wanted = f"{sizes} numbers" if sizes else "a number"
        raise UnusableError(f"expected {wanted} as {key!r}, got {got}")
    return array.astype(float)


def volume_of(atoms: Atoms) -> float:
    """Volume of the cell (Å³), 0 without one."""
    return abs(float(np.linalg.det(atoms.cell.array)))


def _tensor(atoms: Atoms, value: Any, key: str, keys: LabelKeys) -> Float[Array, "6"]:
    """A stress, or the stress of a virial, in the unit and with the sign of the library."""
    stress = numbers(value, [(6,), (9,), (3, 3)], key)
    if is_virial(key, keys):
        volume = volume_of(atoms)
        if not volume > 0:
            raise UnusableError(f"expected a cell with a volume for {key!r}, got none")
        sign = -1 if keys.virial_sign == "pressure" else 1
        return _voigt(sign * ENERGY_UNITS[keys.energy_unit] / volume * stress, key, keys)
    sign = -1 if keys.stress_sign == "pressure" else 1
    return _voigt(sign * STRESS_UNITS[keys.stress_unit] * stress, key, keys)


def _voigt(stress: Float[Array, "..."], key: str, keys: LabelKeys) -> Float[Array, "6"]:
    """The numbers xx yy zz yz xz xy of a stress (eV/Å³)."""
    if stress.shape == (6,):
        return stress[list(STRESS_ORDERS[keys.stress_order])]
    full = stress.reshape(3, 3)
    allowed = max(_ASYMMETRY * np.abs(full).max(), _ASYMMETRY_FLOOR)
    if np.isfinite(full).all() and np.abs(full - full.T).max() > allowed:
        raise UnusableError(f"expected a symmetric {key!r}, got another; check the order of its entries")
    return full_3x3_to_voigt_6_stress(full)


def _check_second_stress(atoms: Atoms, values: Mapping[str, Any], key: str, keys: LabelKeys) -> None:
    """Refuse a frame whose stress and virial say different things, unless the user named one of them.

    Raises:
        UnusableError: They differ by more than digits that were cut off.
    """
    family = {name for name in STRESS_NAMES if name.startswith("REF_") == key.startswith("REF_")}
    if keys.virial == NONE:
        family -= {name for name in family if "virial" in name}
    others = [name for name in family & values.keys() - {key} if np.size(values[name]) in (6, 9)]
    if key not in family or key in (keys.stress, keys.virial) or not others or not atoms.pbc.all():
        return
    first, second = (_tensor(atoms, values[name], name, keys) for name in (key, others[0]))
    if np.abs(first - second).max() <= _SAME_STRESS * np.abs(first).max() + _SAME_PRESSURE:
        return
    size = np.linalg.norm(second) or 1.0
    share = float(first @ second / size**2)
    named = (
        f"keys.{'virial' if is_virial(name, keys) else 'stress'}: {name}" for name in sorted((key, others[0]))
    )
    raise UnusableError(
        f"expected {key!r} and {others[0]!r} to agree (stress = -virial / volume), got {share:.1g} times as "
        f"much from the first; name the right one with {' or '.join(named)}, or set the unit and the sign of "
        "the other (keys.stress_unit, stress_sign, energy_unit, virial_sign)"
    )
