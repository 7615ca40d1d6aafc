"""Energies, forces and stress of a set, held against each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from ase import Atoms

from gnnpot.data.checks.findings import Finding
from gnnpot.data.checks.forces import ForcesCheck, ForcesCollector
from gnnpot.data.checks.forces_diagnosis import diagnose_forces, trusted_ratio
from gnnpot.data.checks.shear import ShearCheck, ShearCollector
from gnnpot.data.checks.stress import StressCheck, StressCollector, trusted_stress_ratio
from gnnpot.data.checks.stress_diagnosis import diagnose, diagnose_order, diagnose_scale
from gnnpot.data.keys import LabelKeys
from gnnpot.graph.neighbors import Pairs

_NO_KEYS: Mapping[str, LabelKeys] = MappingProxyType({})


class Consistency:
    """Takes frames one by one; only the few that can tell stay in memory."""

    def __init__(self) -> None:
        self._forces, self._stresses, self._shears = ForcesCollector(), StressCollector(), ShearCollector()

    def add(self, atoms: Atoms, pairs: Pairs) -> None:
        """Take a frame into account whose numbers are finite, with its neighbor pairs."""
        labels, file = atoms.info["label_keys"], file_of(atoms)
        if len(atoms) > 1 and "energy" in labels and "forces" in labels:
            self._forces.add(atoms, file=file)
        if atoms.pbc.all() and "stress" in labels:
            self._stresses.add(atoms, file=file)
            if "forces" in labels:
                self._shears.add(atoms, pairs, file=file)

    def report(self, keys: LabelKeys, own: Mapping[str, LabelKeys] = _NO_KEYS) -> ConsistencyReport:
        """What was found; to be called once, after the last frame.

        Args:
            keys: Names, units and signs with which the structures were read.
            own: The same of files that have keys of their own.
        """
        orders = defaultdict(lambda: keys.stress_order, {file: own[file].stress_order for file in own})
        forces = tuple(self._forces.checks())
        ratios = {
            file: trusted_ratio([check for check in forces if check.file == file])
            for file in dict.fromkeys(check.file for check in forces)
        }
        stresses = tuple(self._stresses.checks(orders, ratios))
        # Evidence first: of the faults, the first one is told.
        stresses = tuple(sorted(stresses, key=lambda check: check.ratio is None))
        shears = list(self._shears.checks(orders))
        return ConsistencyReport(forces, stresses, shears, ratios, FileKeys(keys, own))


class FileKeys(NamedTuple):
    """Names, units and signs with which files were read.

    Attributes:
        keys: Those of all files but the following.
        own: Those of files that have keys of their own.
    """

    keys: LabelKeys
    own: Mapping[str, LabelKeys]

    def of(self, file: str) -> LabelKeys:
        """Those of one file."""
        return self.own.get(file, self.keys)

    def told(self, finding: Finding, file: str, *, count: bool) -> Finding:
        """A finding on a file that says where its keys are set, and is a fault if it counts."""
        sentence = finding.sentence
        if file in self.own and "set keys." in sentence:
            sentence += f"; this file has keys of its own: set it there, {{path: {file}, keys: {{...}}}}"
        return Finding(sentence, finding.fault and count)


class ConsistencyReport:
    """What energies, forces and stress of a set say of each other.

    Args:
        forces: Forces held against energies, a group each.
        stresses: Stress held against energies and volumes, a group each.
        shears: Entries of the stress off the diagonal held against forces, a group each.
        ratios: Forces over those that the energies imply, by file.
        keys: Names, units and signs with which each file was read.
    """

    def __init__(
        self,
        forces: tuple[ForcesCheck, ...],
        stresses: tuple[StressCheck, ...],
        shears: Sequence[ShearCheck],
        ratios: dict[str, float | None],
        keys: FileKeys,
    ) -> None:
        self.forces, self.stresses = forces, stresses
        self._shears, self._ratios, self._keys = shears, ratios, keys

    def findings(self, trained: Collection[str]) -> Iterator[Finding]:
        """What is wrong; what labels say that are not trained is no fault."""
        for file in self._ratios:
            checks = [check for check in self.forces if check.file == file]
            stress_ratio = trusted_stress_ratio([check for check in self.stresses if check.file == file])
            both = {"energy", "forces"} <= set(trained)
            for finding in diagnose_forces(checks, stress_ratio, self._keys.of(file)):
                yield self._keys.told(finding, file, count=both)
        trains = "stress" in trained
        for check in self.stresses:
            for finding in self._of_stress(check):
                yield self._keys.told(finding, check.file, count=trains)

    def _of_stress(self, check: StressCheck) -> Iterator[Finding]:
        """What is wrong with the stress of one group, by energies, forces, or volumes at last."""
        keys, ratio = self._keys.of(check.file), self._ratios.get(check.file)
        shears = [one for one in self._shears if (one.file, one.group) == (check.file, check.group)]
        told = trusted_stress_ratio([one for one in self.stresses if one.file == check.file])
        orders = [diagnose_order(shear, check) for shear in shears]
        scales = [diagnose_scale(shear, check, told=told, forces_ratio=ratio, keys=keys) for shear in shears]
        yield from (finding for finding in (*orders, *scales) if finding)
        if not any(scales):
            yield from diagnose(check, ratio, keys)

    def notes(self) -> Iterator[str]:
        """Which forces nothing can be said of."""
        for file, ratio in self._ratios.items():
            frames = sum(check.frames for check in self.forces if check.file == file)
            if ratio is None and frames > 1:
                yield (
                    f"{file}: nothing tells whether the forces have the sign and the unit that the energies "
                    "imply, as no frames of the same atoms are close enough to each other"
                )


def file_of(atoms: Atoms) -> str:
    """The file that a frame is from."""
    return str(atoms.info["origin"]).rpartition(":")[0]
