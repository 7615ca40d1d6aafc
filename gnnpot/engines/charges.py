"""Charge and spin that a structure says it has, against those that a method is given."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms

from gnnpot.errors import LabelingError

_CHARGES = ("charge", "total_charge")
_MULTIPLICITIES = ("multiplicity", "spin_multiplicity")
_SPIN = "spin"  # 2S + 1, 2S or S, as people write it
_SAME = 0.01  # e: partial charges of a neutral molecule, rounded


def check_charge(atoms: Atoms, charge: float, *, kind: str, origin: str) -> None:
    """Refuse a structure whose charge is not that of the method.

    Args:
        atoms: Structure with ``charge`` or ``total_charge`` in its info, or initial charges of its atoms;
            nothing of these means that it does not say.
        charge: Charge that the method takes every structure to have (e).
        kind: Name of the method, for the message.
        origin: File of the structure, for the message.

    Raises:
        LabelingError: They differ.
    """
    said = {name: atoms.info[name] for name in _CHARGES if name in atoms.info}
    if atoms.has("initial_charges") and atoms.get_initial_charges().any():
        said["the sum of its initial charges"] = float(atoms.get_initial_charges().sum())
    for name, value in said.items():
        if not abs(_number(value) - charge) < _SAME:
            raise LabelingError(
                f"expected a structure of charge {charge:g} for {kind} in {origin}, got {value} as {name}; "
                "set method.charge, label structures of one charge at a time, or remove what is wrong"
            )


def check_multiplicity(atoms: Atoms, multiplicity: int, *, kind: str, origin: str) -> None:
    """Refuse a structure whose spin is not that of the method.

    Args:
        atoms: Structure with ``multiplicity``, ``spin_multiplicity`` or ``spin`` in its info, or without.
        multiplicity: 2S + 1 of the method.
        kind: Name of the method, for the message.
        origin: File of the structure, for the message.

    Raises:
        LabelingError: They differ; ``spin`` may be 2S + 1, 2S or S.
    """
    spins = (multiplicity, multiplicity - 1, 0.5 * (multiplicity - 1))
    for name in (*_MULTIPLICITIES, _SPIN):
        right = spins if name == _SPIN else (multiplicity,)
        if name in atoms.info and _number(atoms.info[name]) not in right:
            raise LabelingError(
                f"expected a structure of multiplicity {multiplicity} for {kind} in {origin}, got {name}="
                f"{atoms.info[name]}; set method.multiplicity, label structures of one spin at a time, or "
                "remove what is wrong"
            )


def lowest_multiplicity(atoms: Atoms, charge: float) -> int:
    """1 for an even number of electrons, 2 for an odd one."""
    return 1 + round(float(atoms.numbers.sum()) - charge) % 2


def _number(value: Any) -> float:
    """The value as a number; NaN if it is none, so that it equals nothing."""
    array = np.asarray(value)
    return float(array.reshape(-1)[0]) if array.size == 1 and array.dtype.kind in "iuf" else float("nan")
