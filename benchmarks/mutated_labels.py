"""Spoil the labels of right sets in known ways and see what the checks of data say.

Sets with exact labels are made with ASE's EMT and Lennard-Jones potentials; files of one's own may be added.
Signs, units, the order of the stress and the like are changed, one at a time.  A mutation is named rightly if
the setting that undoes it is in a fault, and wrongly if faults name others only; "unnamed" is a fault that
says that a unit is wrong, but not which is right.  On right sets any fault is a false alarm.

    python benchmarks/mutated_labels.py train.xyz --json mutated_labels.json
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.calculator import Calculator
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from options import Parser

from gnnpot import units
from gnnpot.data.checks.inspection import inspect
from gnnpot.data.keys import LabelKeys
from gnnpot.data.labels import labeled
from gnnpot.data.reading import read_frames

_NAMED = re.compile(r"keys\.\w+[:=] ?\w")  # a setting with its value
_WORDS = ("right", "unnamed", "silent", "wrong")
_ATOMIC = units.Bohr / units.Hartree
_SHEAR = ([0, 1, 2, 4, 5, 3], [0, 1, 2, 5, 4, 3])  # VASP's and LAMMPS's order read as that of Voigt


class Mutation:
    """A known mistake.

    Args:
        label: What is changed.
        change: How, given the structure.
        cure: Words that one finding must hold.
    """

    def __init__(self, label: str, change: Callable[[np.ndarray, Atoms], object], cure: str) -> None:
        self.label, self.change, self.cure = label, change, cure

    def applied(self, atoms: Atoms) -> Atoms:
        """The same structure with the label changed."""
        results = dict(atoms.calc.results)
        if self.label in results:
            results[self.label] = self.change(np.asarray(results[self.label]), atoms)
        return _labeled(atoms, results)


def _times(factor: float) -> Callable[[np.ndarray, Atoms], object]:
    return lambda value, _: factor * value


def _pressure(value: np.ndarray, atoms: Atoms) -> np.ndarray:
    """A pressure of -3 GPa, as dense as the atoms are in bulk."""
    return value + 0.2 * len(atoms) / atoms.get_volume() * np.array([1, 1, 1, 0, 0, 0])


MUTATIONS = {
    "gradients": Mutation("forces", _times(-1), "keys.forces_sign: gradient"),
    "forces in Hartree/Bohr": Mutation(
        "forces", _times(units.Bohr / units.Hartree), "forces_unit: Hartree/Bohr"
    ),
    "forces in kcal/mol/A": Mutation("forces", _times(1 / units.kcal_per_mol), "forces_unit: kcal/mol/A"),
    "energies in Hartree": Mutation("energy", _times(1 / units.Hartree), "keys.energy_unit: Hartree"),
    "energies in kcal/mol": Mutation("energy", _times(1 / units.kcal_per_mol), "energy_unit: kcal/mol"),
    "energies per atom": Mutation("energy", lambda value, atoms: value / len(atoms), "energy_per: atom"),
    "pressure as stress": Mutation("stress", _times(-1), "keys.stress_sign: pressure"),
    "stress in kBar": Mutation("stress", _times(1 / units.kBar), "keys.stress_unit: kBar"),
    "stress in GPa": Mutation("stress", _times(1 / units.GPa), "keys.stress_unit: GPa"),
    "order of VASP": Mutation("stress", lambda value, _: value[np.argsort(_SHEAR[0])], "stress_order: vasp"),
    "order of LAMMPS": Mutation(
        "stress", lambda value, _: value[np.argsort(_SHEAR[1])], "stress_order: lammps"
    ),
    "stress of zero": Mutation("stress", _times(0), "keys.stress=none"),
    "constant pressure": Mutation("stress", _pressure, "GPa off what the energies say"),
}


def made() -> Iterator[tuple[str, list[Atoms]]]:
    """Sets with exact labels: strained and rattled crystals, rattled molecules."""
    argon = bulk("Ar", a=5.3, cubic=True).repeat((2, 1, 1))
    pair = bulk("Cu", a=3.75, cubic=True)
    pair.symbols[:2] = "Au"
    lennard_jones = LennardJones(sigma=3.4, epsilon=0.0104)
    for strain, rattle in ((0.01, 0.08), (0.03, 0.02), (0.05, 0.05), (0.0, 0.05)):
        words = f"{100 * strain:.0f} % strain, {rattle} Å rattle"
        yield f"Cu, EMT, {words}", _copies(bulk("Cu", cubic=True), EMT(), strain, rattle)
        yield f"CuAu, EMT, {words}", _copies(pair, EMT(), strain, rattle)
        yield f"Ar, Lennard-Jones, {words}", _copies(argon, lennard_jones, strain, rattle)
    yield "ethanol, EMT, 0.05 Å rattle", _copies(molecule("CH3CH2OH"), EMT(), 0.0, 0.05)


def _copies(parent: Atoms, calculator: Calculator, strain: float, rattle: float) -> list[Atoms]:
    rng, frames = np.random.default_rng(0), []
    for _ in range(60):
        atoms = parent.copy()
        tensor = rng.uniform(-strain, strain, (3, 3))
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + (tensor + tensor.T) / 2), scale_atoms=True)
        atoms.rattle(rattle, rng=rng)
        atoms.calc = calculator
        results = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
        if atoms.pbc.all():
            results["stress"] = atoms.get_stress()
        atoms.info["origin"] = f"made:{len(frames) + 1}"
        frames.append(_labeled(atoms, results))
    return frames


def _labeled(atoms: Atoms, results: dict[str, object]) -> Atoms:
    bare = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    bare.info = {name: atoms.info[name] for name in ("group", "config_type") if atoms.info.get(name)}
    return labeled(bare, {**bare.info, **results}, atoms.info["origin"], LabelKeys())


def judged(frames: list[Atoms], mutation: Mutation) -> str:
    """What the checks say of a set with a mutation."""
    report = inspect(mutation.applied(atoms) for atoms in frames)
    if any(mutation.cure in sentence for sentence in (*report.faults, *report.warnings)):
        return "right"
    if any(_NAMED.search(fault) for fault in report.faults):
        return "wrong"
    return "unnamed" if report.faults else "silent"


def main() -> None:
    """Mutate all sets and print the table."""
    parser = Parser(description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, help="files of right labels")
    parser.add_argument("--json", type=Path, help="file for the figures")
    arguments = parser.parse_args()
    if arguments.json:
        parser.make_room(arguments.json)
    sets = dict(made()) | {path.name: list(read_frames([path])) for path in arguments.files}
    alarms = {name: inspect(frames).faults for name, frames in sets.items()}
    table: dict[str, Counter[str]] = {}
    details = []
    for mistake, mutation in MUTATIONS.items():
        for name, frames in sets.items():
            if any(mutation.label in atoms.calc.results for atoms in frames):
                outcome = judged(frames, mutation)
                table.setdefault(mistake, Counter())[outcome] += 1
                details.append((mistake, name, outcome))
                print(f"{mistake:24s}{name:45s}{outcome}", flush=True)
    print(f"\n{'':24s}" + "".join(f"{word:>8s}" for word in _WORDS))
    for mistake, counts in table.items():
        print(f"{mistake:24s}" + "".join(f"{counts[word]:8d}" for word in _WORDS))
    print(f"false alarms on {len(sets)} right sets: {sum(map(len, alarms.values()))}")
    if arguments.json:
        arguments.json.write_text(json.dumps({"outcomes": details, "alarms": alarms}, indent=1))


if __name__ == "__main__":
    main()
