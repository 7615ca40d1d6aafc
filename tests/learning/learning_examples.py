"""A loop on copper that takes seconds: EMT labels, tiny networks."""

from __future__ import annotations

from typing import Any

from ase import Atoms
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator

from gnnpot.learning.config import LearnConfig
from gnnpot.learning.story import Round


def emt_labeled(atoms: Atoms) -> Atoms:
    """The structure with energy and forces of ASE's effective-medium theory."""
    atoms.calc = EMT()
    results = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
    atoms.calc = SinglePointCalculator(atoms, **results)
    return atoms


def loop_values(**changes: Any) -> dict[str, Any]:
    return {
        "structures": {"element": "Cu", "crystal": "fcc", "lattice_constant": 3.7, "repeats": 1},
        "sampler": {"kind": "md", "temperatures": 600, "steps": 40, "interval": 4},
        "labeling": {
            "method": {"kind": "ase", "calculator_class": "ase.calculators.emt.EMT"},
            "running": {"kind": "local", "workers": 1},
        },
        "initial": {"sampler": {"kind": "rattle", "deviation": 0.1, "copies": 12}},
        "potential": {
            "model": {"kind": "schnet", "cutoff": 4.0, "channels": 8, "num_filters": 8, "num_basis": 8,
                      "num_interactions": 1},
            "training": {"max_epochs": 3, "batch_size": 4, "dtype": "float64"},
            "validation": {"fraction": 0.25},
        },
        "members": {"count": 2, "split": "inherited"},
        "select": [{"kind": "highest", "size": 3}],
        "rounds": 2,
        **changes,
    }  # fmt: skip


def loop_config(**changes: Any) -> LearnConfig:
    return LearnConfig.from_dict(loop_values(**changes), source="test")


class KilledError(Exception):
    """Stands for the end of a process."""


def die_after_each_phase(monkeypatch) -> set[tuple[int, str]]:
    """End each phase once between its work and its note; gives the phases that were ended."""
    once, killed = Round.once, set()

    def dying(self, phase, work):
        def work_and_die():
            facts = work()
            if (self.number, phase) not in killed:
                killed.add((self.number, phase))
                raise KilledError
            return facts

        return once(self, phase, work_and_die)

    monkeypatch.setattr(Round, "once", dying)
    return killed
