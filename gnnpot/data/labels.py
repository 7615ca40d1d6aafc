"""Labels of a frame: under which key, in which unit, with which sign.

Whatever a file calls its labels, what leaves this module is a calculator that holds energy (eV),
forces (eV/Å) and stress (eV/Å³, positive under tension), each only if the file has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.stress import full_3x3_to_voigt_6_stress
from jaxtyping import Float

from gnnpot import units
from gnnpot.data.keys import (
    ENERGY_UNITS,
    FORCES_UNITS,
    QUANTITIES,
    STRESS_ORDERS,
    STRESS_UNITS,
    LabelKeys,
)
from gnnpot.errors import DataError

Array = np.ndarray

_NAMES = {
    "energy": ("REF_energy", "energy", "Energy", "free_energy"),
    "forces": ("REF_forces", "forces", "force"),
    "stress": ("REF_stress", "REF_virial", "REF_virials", "stress", "virial", "virials"),
}
_WEIGHTS = {
    "energy": ("config_weight", "config_energy_weight", "energy_weight"),
    "forces": ("config_weight", "config_forces_weight", "forces_weight"),
    "stress": ("config_weight", "config_stress_weight", "config_virials_weight", "stress_weight"),
}
_CONSUMED = {name for table in (_NAMES, _WEIGHTS) for names in table.values() for name in names}
_DIAGONAL = np.array([1.0, 1.0, 1.0, 0.0, 0.0, 0.0])
_SAME_STRESS, _SAME_PRESSURE = 0.01, 0.05 * units.GPa  # what cut-off digits may make of one stress
_ASYMMETRY = 1e-3  # of the largest entry; what reference codes print is closer


def labeled(atoms: Atoms, values: Mapping[str, Any], origin: str, keys: LabelKeys) -> Atoms:
    """A copy of ``atoms`` with its labels in the library's units and signs.

    Args:
        atoms: Structure as read; its ``info`` is kept where it says nothing of labels.
        values: All that the file holds by name: info, arrays, results.
        origin: File and number of the frame, for messages.
        keys: Names, units and signs of the labels.
    """
    structure = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    found = {quantity: _find(quantity, values, keys) for quantity in QUANTITIES}
    sources = {quantity: key for quantity, key in found.items() if key is not None}
    converted = {
        quantity: _CONVERSIONS[quantity](structure, values[key], key, origin, keys)
        for quantity, key in sources.items()
    }
    if "stress" in sources:
        _check_second_stress(structure, values, sources["stress"], origin, keys)
    if converted:
        structure.calc = SinglePointCalculator(structure, **converted)
    ours = {*_CONSUMED, *keys.named.values()}
    structure.info = {name: value for name, value in atoms.info.items() if name not in ours}
    structure.info["origin"] = origin
    structure.info["group"] = _group(values, keys)
    structure.info["label_keys"] = sources
    for quantity, names in _WEIGHTS.items():
        structure.info[f"{quantity}_weight"] = _weight(values, names, origin)
    return structure


def _find(quantity: str, values: Mapping[str, Any], keys: LabelKeys) -> str | None:
    named = (keys.stress, keys.virial) if quantity == "stress" else (getattr(keys, quantity),)
    names = _NAMES[quantity]
    if quantity == "energy" and _find("forces", values, keys) in ("forces", "force"):
        # VASP's "energy" is extrapolated to zero smearing; its forces are derivatives of the free energy.
        names = ("REF_energy", "free_energy", *names)
    return next((name for name in (*named, *names) if name is not None and name in values), None)


def _energy(atoms: Atoms, value: Any, key: str, origin: str, keys: LabelKeys) -> float:
    count = len(atoms) if keys.energy_per == "atom" else 1
    return float(_numbers(value, [()], key, origin)) * ENERGY_UNITS[keys.energy_unit] * count


def _forces(atoms: Atoms, value: Any, key: str, origin: str, keys: LabelKeys) -> Float[Array, "N 3"]:
    sign = -1 if keys.forces_sign == "gradient" else 1
    return sign * FORCES_UNITS[keys.forces_unit] * _numbers(value, [(len(atoms), 3)], key, origin)


def _stress(atoms: Atoms, value: Any, key: str, origin: str, keys: LabelKeys) -> Float[Array, "6"]:
    stress = _tensor(atoms, value, key, origin, keys)
    return stress - keys.known_stress_offset * _DIAGONAL


def _tensor(atoms: Atoms, value: Any, key: str, origin: str, keys: LabelKeys) -> Float[Array, "6"]:
    """A stress, or the stress of a virial, in the unit and with the sign of the library."""
    stress = _voigt(_numbers(value, [(6,), (9,), (3, 3)], key, origin), key, origin, keys.stress_order)
    if is_virial(key, keys):
        volume = abs(np.linalg.det(atoms.cell.array))
        if not volume > 0:
            raise DataError(
                f"expected a cell with a volume for {key!r} in {origin}, got none; remove the virial"
            )
        sign = -1 if keys.virial_sign == "pressure" else 1
        return sign * ENERGY_UNITS[keys.energy_unit] / volume * stress
    sign = -1 if keys.stress_sign == "pressure" else 1
    return sign * STRESS_UNITS[keys.stress_unit] * stress


_CONVERSIONS = {"energy": _energy, "forces": _forces, "stress": _stress}


def _numbers(value: Any, shapes: list[tuple[int, ...]], key: str, origin: str) -> Float[Array, "..."]:
    array = np.asarray(value)
    if array.shape not in shapes or array.dtype.kind not in "iuf":
        wanted = " or ".join("×".join(map(str, shape)) or "one" for shape in shapes)
        got = "×".join(map(str, array.shape)) if array.shape else repr(value)
        raise DataError(f"expected {wanted} numbers as {key!r} in {origin}, got {got}; mend the frame")
    return array.astype(float)


def _check_second_stress(
    atoms: Atoms, values: Mapping[str, Any], key: str, origin: str, keys: LabelKeys
) -> None:
    """Refuse a frame whose stress and virial say different things, unless the user named one of them.

    Raises:
        DataError: They differ by more than digits that were cut off.
    """
    family = {name for name in _NAMES["stress"] if name.startswith("REF_") == key.startswith("REF_")}
    others = [name for name in family & values.keys() - {key} if np.size(values[name]) in (6, 9)]
    if key not in family or key in (keys.stress, keys.virial) or not others or not atoms.pbc.all():
        return
    first, second = (_tensor(atoms, values[name], name, origin, keys) for name in (key, others[0]))
    if np.abs(first - second).max() <= _SAME_STRESS * np.abs(first).max() + _SAME_PRESSURE:
        return
    tensors = {key: first, others[0]: second}
    shown = (f"{tensor[:3].mean() / units.GPa:.4g} GPa from {name!r}" for name, tensor in tensors.items())
    named = (f"keys.{'virial' if is_virial(name, keys) else 'stress'}: {name}" for name in sorted(tensors))
    raise DataError(
        f"expected stress and virial of {origin} to agree (stress = -virial / volume), got a mean normal "
        f"stress of {' and '.join(shown)}; name the right one with {' or '.join(named)}, or set the unit and "
        "the sign of the other (keys.stress_unit, stress_sign, energy_unit, virial_sign)"
    )


def is_virial(key: str, keys: LabelKeys) -> bool:
    """Whether the label under ``key`` is read as a virial."""
    return key == keys.virial or (key != keys.stress and "virial" in key)


def _voigt(stress: Float[Array, "..."], key: str, origin: str, order: str) -> Float[Array, "6"]:
    if stress.shape == (6,):
        return stress[list(STRESS_ORDERS[order])]
    full = stress.reshape(3, 3)
    if np.abs(full - full.T).max() > _ASYMMETRY * np.abs(full).max():  # false for NaN, a fault found later
        raise DataError(
            f"expected a symmetric {key!r} in {origin}, got {full.tolist()}; check the order of its entries"
        )
    return full_3x3_to_voigt_6_stress(full)


def _group(values: Mapping[str, Any], keys: LabelKeys) -> str:
    names = ("group", "config_type") if keys.group is None else (keys.group,)
    return next((str(values[name]) for name in names if name in values and str(values[name])), "")


def _weight(values: Mapping[str, Any], names: tuple[str, ...], origin: str) -> float:
    weight = 1.0
    for name in names:
        if name not in values:
            continue
        factor = float(_numbers(values[name], [()], name, origin))
        if not 0 <= factor < np.inf:
            raise DataError(f"expected a weight of at least 0 as {name!r} in {origin}, got {factor}; mend it")
        weight *= factor
    return weight
