"""ASE databases, with the units that their metadata name as SchNetPack writes them.

SchNetPack keeps labels in ``data`` of a row, energies as arrays of one number, and in the metadata
``_distance_unit`` (``Ang``, ``Bohr``) and ``_property_unit_dict`` (``{"energy": "kcal/mol", …}``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import ase.db
import numpy as np
from ase import Atoms

from gnnpot import units
from gnnpot.data.labels import OWN_UNITS

_FACTORS = {
    "ev": 1.0, "mev": units.meV, "hartree": units.Hartree, "ha": units.Hartree, "eh": units.Hartree,
    "kcal": units.kcal_per_mol, "kj": units.kcal_per_mol / 4.184, "mol": 1.0,  # kcal stands for kcal/mol
    "ang": 1.0, "angstrom": 1.0, "a": 1.0, "å": 1.0, "bohr": units.Bohr, "a0": units.Bohr, "nm": 10.0,
    "gpa": units.GPa, "mpa": units.MPa, "kbar": units.kBar, "bar": units.kBar / 1000, "pa": units.GPa * 1e-9,
}  # fmt: skip
_FACTOR = re.compile(r"\s*([*/]?)\s*([A-Za-zÅ\u212b]\w*|[\d.]+(?:e[-+]?\d+)?)(?:\s*(?:\^|\*\*)\s*(-?\d))?\s*")
_LABELS = re.compile("energy|force|stress|virial", re.IGNORECASE)


def read_database(path: Path) -> Iterator[Atoms]:
    """The structures of an ASE database in the order of their rows; ``info`` holds their keys and data.

    Raises:
        ValueError: A unit in the metadata is none that we know.
    """
    with ase.db.connect(path, serial=True) as database:
        distance, factors, said = _units(database.metadata)
        for row in database.select():
            atoms = row.toatoms()
            atoms.info.update({**row.data, **row.key_value_pairs})
            if distance != 1.0:
                atoms.set_cell(atoms.cell.array * distance, scale_atoms=False)
                atoms.positions *= distance
            for name in factors.keys() & atoms.info.keys():
                atoms.info[name] = np.asarray(atoms.info[name], dtype=float) * factors[name]
            if said:
                atoms.info[OWN_UNITS] = said
            yield atoms


def unit_factor(text: str) -> float:
    """A unit as products and quotients of those we know, in eV and Å: ``kcal/mol/Ang`` is 0.0434.

    Raises:
        ValueError: The unit is not known.
    """
    value, place = 1.0, 0
    while place < len(text) or place == 0:
        found = _FACTOR.match(text, place)
        word = found[2].replace("\u212b", "Å").lower() if found else ""
        if found is None or not (word in _FACTORS or re.fullmatch(r"[\d.e+-]+", word)):
            raise ValueError(f"a unit {text!r} in its metadata; where e.g. kcal/mol/Ang belongs")
        factor = (_FACTORS[word] if word in _FACTORS else float(word)) ** int(found[3] or 1)
        value = value / factor if found[1] == "/" else value * factor
        place = found.end()
    return value


def _units(metadata: Mapping[str, Any]) -> tuple[float, dict[str, float], dict[str, str]]:
    """Factor of lengths, factors of labels by name, and what the metadata call them."""
    length = metadata.get("_distance_unit")
    properties = metadata.get("_property_unit_dict") or {}
    said = {name: str(unit) for name, unit in properties.items() if unit is not None and _LABELS.search(name)}
    factors = {name: unit_factor(unit) for name, unit in said.items()}
    return 1.0 if length is None else unit_factor(str(length)), factors, said
