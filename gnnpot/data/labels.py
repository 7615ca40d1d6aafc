"""Labels of a frame: under which key, in which unit, with which sign.

Whatever a file calls its labels, what leaves this module is a calculator that holds energy (eV),
forces (eV/Å) and stress (eV/Å³, positive under tension), each only if the file has it, it can be used,
and its weight is not zero: nothing behind this module looks at a label that does not count.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from gnnpot.data.conversions import (
    UnusableError,
    energy_of,
    forces_of,
    is_virial,
    numbers,
    stress_of,
    volume_of,
)
from gnnpot.data.forces_mask import MASK, forces_mask
from gnnpot.data.keys import NONE, QUANTITIES, STRESS_NAMES, LabelKeys
from gnnpot.errors import DataError

Array = np.ndarray

UNUSABLE = "unusable"  # in info: what is wrong with a label, by quantity
MASKED_BY = "forces_masked_by"  # in info: what says that some forces do not count
OWN_UNITS = "property_units"  # in info: units by name, where the file says them and they were converted

_NAMES = {
    "energy": ("REF_energy", "energy", "Energy", "free_energy"),
    "forces": ("REF_forces", "forces", "force", "Forces"),
    "stress": STRESS_NAMES,
}
_WEIGHTS = {
    "energy": ("config_weight", "config_energy_weight", "energy_weight"),
    "forces": ("config_weight", "config_forces_weight", "forces_weight"),
    "stress": ("config_weight", "config_stress_weight", "config_virials_weight", "stress_weight"),
}
_KEPT = {"masses": ("masses", "mass"), "initial_charges": ("initial_charges",)}  # of an atom, by our name
_CONSUMED = {name for table in (_NAMES, _WEIGHTS) for names in table.values() for name in names}
_CONSUMED |= {MASK, UNUSABLE, MASKED_BY, OWN_UNITS}
_CONVERSIONS = {"energy": energy_of, "forces": forces_of, "stress": stress_of}


def labeled(atoms: Atoms, values: Mapping[str, Any], origin: str, keys: LabelKeys) -> Atoms:
    """A copy of ``atoms`` with its labels in the library's units and signs.

    Labels with a weight of zero are left out.  So are those that cannot be used (NaN, the wrong shape, no
    symmetry, a virial without a volume); ``info["unusable"]`` then says why.  Forces that do not count are
    NaN, and the array ``forces_mask`` says which do.

    Args:
        atoms: Structure as read; its ``info`` is kept where it says nothing of labels, and so are masses
            and initial charges.
        values: All that the file holds by name: info, arrays, results.
        origin: File and number of the frame, for messages.
        keys: Names, units and signs of the labels.

    Raises:
        DataError: A weight is negative, a mask is none, a mass is not positive, or a unit is not the one
            that the file says.
    """
    structure = _bare(atoms, origin)
    ours = {*_CONSUMED, *keys.named.values()}
    structure.info = {name: value for name, value in atoms.info.items() if name not in ours}
    weights = {quantity: _weight(values, names, origin) for quantity, names in _WEIGHTS.items()}
    sources = {name: key for name, key in _sources(atoms, values, keys).items() if weights[name] > 0}
    results, unusable = _converted(structure, values, sources, origin, keys)
    if "forces" in results and (mask := forces_mask(atoms, values, results["forces"], origin, keys)):
        structure.info[MASKED_BY] = mask.source
        structure.set_array(MASK, mask.counts)
        results["forces"] = np.where(mask.counts, results["forces"], np.nan)
        if not mask.counts.any():
            weights["forces"] = 0.0
            del results["forces"]
    for quantity in nonfinite_labels(structure, results):
        del results[quantity]
        unusable[quantity] = f"NaN or infinity in {quantity}"
    if results:
        structure.calc = SinglePointCalculator(structure, **results)
    if unusable:
        structure.info[UNUSABLE] = unusable
    structure.info |= {
        "origin": origin,
        "group": _group(values, keys),
        "label_keys": {quantity: sources[quantity] for quantity in results},
        **{f"{quantity}_weight": weight for quantity, weight in weights.items()},
    }
    return structure


def cure_for(quantity: str) -> str:
    """What to do with a frame whose label cannot be used."""
    return (
        f"mend the frame, set config_{quantity}_weight=0 on it, or drop the label with keys.{quantity}=none"
    )


def nonfinite_labels(atoms: Atoms, labels: Mapping[str, Any]) -> list[str]:
    """Which labels hold NaN or infinity, but for the forces that ``forces_mask`` says not to count."""
    uncounted = {"forces": ~atoms.arrays[MASK]} if MASK in atoms.arrays else {}
    return [
        name
        for name, value in labels.items()
        if not (np.isfinite(value) | uncounted.get(name, np.False_)).all()
    ]


def _bare(atoms: Atoms, origin: str) -> Atoms:
    """The structure alone, with the masses and initial charges that it carries."""
    structure = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    for name, spellings in _KEPT.items():
        key = next((key for key in spellings if key in atoms.arrays), None)
        if key is None:
            continue
        array = atoms.arrays[key]
        valid = array.shape == (len(atoms),) and array.dtype.kind in "iuf" and np.isfinite(array).all()
        if not valid or (name == "masses" and not (array > 0).all()):
            raise DataError(
                f"expected {name.replace('_', ' ')} of the atoms as {key!r} in {origin}, got "
                f"{str(array.tolist())[:40]}; mend or remove them"
            )
        structure.set_array(name, array.astype(float))
    return structure


def _sources(atoms: Atoms, values: Mapping[str, Any], keys: LabelKeys) -> dict[str, str]:
    """The key of each label that the file has."""
    found = {quantity: _find(quantity, values, keys) for quantity in QUANTITIES}
    if len(atoms) == 1 and not volume_of(atoms) > 0:
        found["stress"] = None  # of a free atom
    return {quantity: key for quantity, key in found.items() if key is not None}


def _find(quantity: str, values: Mapping[str, Any], keys: LabelKeys) -> str | None:
    named = (keys.stress, keys.virial) if quantity == "stress" else (getattr(keys, quantity),)
    names = _NAMES[quantity]
    if quantity == "energy" and _find("forces", values, keys) in ("forces", "force"):
        # VASP's "energy" is extrapolated to zero smearing; its forces are derivatives of the free energy.
        names = ("REF_energy", "free_energy", *names)
    if named[0] == NONE:
        names = ()
    elif NONE in named:
        names = tuple(name for name in names if "virial" not in name)
    return next((name for name in (*named, *names) if name not in (None, NONE) and name in values), None)


def _converted(
    atoms: Atoms, values: Mapping[str, Any], sources: Mapping[str, str], origin: str, keys: LabelKeys
) -> tuple[dict[str, Any], dict[str, str]]:
    """Labels in the library's units and signs, and what is wrong with those that are none."""
    results, unusable = dict[str, Any](), dict[str, str]()
    for quantity, key in sources.items():
        _check_unit(quantity, key, values, origin, keys)
        try:
            results[quantity] = _CONVERSIONS[quantity](atoms, values, key, keys)
        except UnusableError as fault:
            unusable[quantity] = str(fault)
    return results, unusable


def _check_unit(quantity: str, key: str, values: Mapping[str, Any], origin: str, keys: LabelKeys) -> None:
    """Refuse a unit for a label that its file has converted by the unit that it says itself."""
    field = f"{'energy' if is_virial(key, keys) else quantity}_unit"
    said = values.get(OWN_UNITS, {}).get(key)
    if said is not None and getattr(keys, field) != LabelKeys.model_fields[field].default:
        raise DataError(
            f"expected no keys.{field} for {key!r} in {origin}, as its file says it is in {said}, got "
            f"{getattr(keys, field)}; remove the key, or mend the metadata"
        )


def _group(values: Mapping[str, Any], keys: LabelKeys) -> str:
    names = ("group", "config_type") if keys.group is None else (keys.group,)
    return next((str(values[name]) for name in names if name in values and str(values[name])), "")


def _weight(values: Mapping[str, Any], names: tuple[str, ...], origin: str) -> float:
    weight = 1.0
    for name in names:
        if name not in values:
            continue
        try:
            factor = float(numbers(values[name], [()], name))
        except UnusableError as fault:
            raise DataError(f"{fault} in {origin}; mend the weight") from fault
        if not 0 <= factor < np.inf:
            raise DataError(f"expected a weight of at least 0 as {name!r} in {origin}, got {factor}; mend it")
        weight *= factor
    return weight
