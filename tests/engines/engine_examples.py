"""What tests of engines share."""

from __future__ import annotations

from pathlib import Path

from ase import Atoms
from ase.build import bulk

from gnnpot.engines import EngineConfig, calculator_from

SILICON = {"kind": "stillinger-weber", "preset": "Si-1985"}


ESPRESSO = {
    "kind": "espresso",
    "pseudopotentials": {"Si": "Si.pbe-rrkj.UPF"},
    "ecutwfc": 12.0,
    "kpoints": (1, 1, 1),
    "smearing": "gaussian",
    "degauss": 0.02,
}


def labeled(config: EngineConfig, atoms: Atoms, folder: Path = Path()) -> Atoms:
    copy = atoms.copy()
    copy.calc = calculator_from(config, folder)
    return copy


def silicon() -> Atoms:
    atoms = bulk("Si", "diamond", a=5.43, cubic=True)
    atoms.set_cell(atoms.cell.array @ [[1.02, 0.03, 0], [0, 0.97, 0.01], [0, 0, 1.01]], scale_atoms=True)
    atoms.rattle(0.1, seed=2)
    return atoms
