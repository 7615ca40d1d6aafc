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

from gnnpot.data.keys import ENERGY_UNITS, FORCES_UNITS, QUANTITIES, STRESS_UNITS, LabelKeys
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
    return float(_numbers(value, [()], key, origin)) * ENERGY_UNITS[keys.energy_unit]


def _forces(atoms: Atoms, value: Any, key: str, origin: str, keys: LabelKeys) -> Float[Array, "N 3"]:
    return _numbers(value, [(len(atoms), 3)], key, origin) * FORCES_UNITS[keys.forces_unit]


def _stress(atoms: Atoms, value: Any, key: str, origin: str, keys: LabelKeys) -> Float[Array, "6"]:
    stress = _voigt(_numbers(value, [(6,), (9,), (3, 3)], key, origin), key, origin)
    if key == keys.virial or (key != keys.stress and "virial" in key):
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


def _voigt(stress: Float[Array, "..."], key: str, origin: str) -> Float[Array, "6"]:
    if stress.shape == (6,):
        return stress
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
