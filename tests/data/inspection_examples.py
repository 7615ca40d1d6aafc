"""What tests of the data report share."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT

from gnnpot.data.keys import LabelKeys
from gnnpot.data.labels import labeled


def frame(atoms: Atoms, number: int = 1, file: str = "a.xyz", **values: object) -> Atoms:
    return labeled(atoms, {**atoms.info, **values}, f"{file}:{number}", LabelKeys())


def copper(
    count: int, *, strain: float, rattle: float, factor: float = 1.0, energies: bool = True
) -> Iterator[Atoms]:
    """Strained and rattled copper of four atoms with labels of the EMT, stress times ``factor``."""
    rng = np.random.default_rng(0)
    for number in range(1, count + 1):
        atoms = bulk("Cu", cubic=True)
        change = rng.uniform(-strain, strain, (3, 3))
        atoms.set_cell(atoms.cell @ (np.eye(3) + (change + change.T) / 2), scale_atoms=True)
        atoms.rattle(rattle, rng=rng)
        atoms.calc = EMT()
        labels = {"energy": atoms.get_potential_energy()} if energies else {}
        yield frame(
            atoms, number, **labels, forces=atoms.get_forces(), stress=factor * atoms.get_stress(voigt=False)
        )
