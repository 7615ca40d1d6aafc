"""What is in a labeled set, and what is wrong with it, before anyone trains on it."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ase import Atoms
from pydantic import TypeAdapter

from gnnpot.data.checks.frames import (
    Duplicates,
    Findings,
    IsolatedAtoms,
    Typical,
    check_cell,
    check_contact,
    check_net_force,
    check_reading,
    closest_contact,
    contact_pairs,
    largest_force,
)
from gnnpot.data.checks.stress import StressCheck, StressCollector
from gnnpot.data.checks.stress_diagnosis import diagnose
from gnnpot.data.keys import QUANTITIES, LabelKeys
from gnnpot.data.labels import UNUSABLE, cure_for
from gnnpot.data.reading import is_isolated_atom, nonfinite
from gnnpot.data.reference_energies import composition, cure_for_open
from gnnpot.errors import DataError
from gnnpot.graph.neighbors import Pairs

_AS_READ = LabelKeys()


@dataclass
class Coverage:
    """How many frames have which labels: of a file, of one of its groups, or of those with an element.

    Attributes:
        file: The file.
        name: Group or element, "" for the whole file.
        frames: Number of structures.
        atoms: Number of atoms, of the element alone if it is one.
        periodic: Number of structures with three periodic directions.
        isolated: Number of free atoms that give reference energies.
        unlabeled: Number of frames without any label that could count; free atoms left out.
        labels: For each quantity the keys that it came from, each with its number of frames; free
            atoms left out.
        smallest: Smallest energy per atom (eV), largest force (eV/Å), mean normal stress (eV/Å³), shortest
            distance (Å) of a frame.
        largest: The largest of the same.
    """

    file: str
    name: str
    frames: int = 0
    atoms: int = 0
    periodic: int = 0
    isolated: int = 0
    unlabeled: int = 0
    labels: dict[str, dict[str, int]] = field(default_factory=lambda: {name: {} for name in QUANTITIES})
    smallest: dict[str, float] = field(default_factory=dict)
    largest: dict[str, float] = field(default_factory=dict)

    def add(self, atoms: Atoms, extent: dict[str, float], *, counted: int) -> None:
        """Count a frame, and ``counted`` of its atoms."""
        self.frames += 1
        self.atoms += counted
        self.periodic += bool(atoms.pbc.all())
        self.isolated += is_isolated_atom(atoms)
        keys = {} if is_isolated_atom(atoms) else atoms.info["label_keys"]
        self.unlabeled += _is_unlabeled(atoms)
        for quantity, key in keys.items():
            self.labels[quantity][key] = self.labels[quantity].get(key, 0) + 1
        for name, value in extent.items():
            self.smallest[name] = min(value, self.smallest.get(name, value))
            self.largest[name] = max(value, self.largest.get(name, value))

    def labeled(self, quantity: str) -> int:
        """Number of frames with a label."""
        return sum(self.labels[quantity].values())


@dataclass(frozen=True)
class DataReport:
    """What :func:`inspect` found.

    Attributes:
        files: Counts by file.
        groups: Counts by file and group.
        elements: Counts by file and element.
        stress_checks: Stress labels compared with energies and volumes.
        faults: Faults that must be mended before training, one sentence each.
        warnings: Findings that do not prevent training, one sentence each.
        notes: Facts that may be wanted so, one sentence each.
    """

    files: tuple[Coverage, ...]
    groups: tuple[Coverage, ...]
    elements: tuple[Coverage, ...]
    stress_checks: tuple[StressCheck, ...]
    faults: tuple[str, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def num_frames(self) -> int:
        """Number of structures."""
        return sum(file.frames for file in self.files)

    def check(self) -> None:
        """Refuse data with a fault.

        Raises:
            DataError: The first fault, and how many more there are.
        """
        if self.faults:
            more = f" (and {len(self.faults) - 1} more; `gnnpot validate` lists them)"
            raise DataError(self.faults[0] + (more if len(self.faults) > 1 else ""))

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> DataReport:
        """The report that :meth:`as_dict` gave.

        Raises:
            ValidationError: It was another's.
        """
        known = {name: value for name, value in values.items() if name in cls.__dataclass_fields__}
        return TypeAdapter(cls).validate_python(known)

    def as_dict(self) -> dict[str, Any]:
        """The report as plain JSON."""
        return {"num_frames": self.num_frames, **asdict(self)}


class _Counts:
    """Coverage of files, groups and elements."""

    def __init__(self) -> None:
        self.files: dict[str, Coverage] = {}
        self.groups: dict[tuple[str, str], Coverage] = {}
        self.elements: dict[tuple[str, str], Coverage] = {}

    def add(self, atoms: Atoms, extent: dict[str, float]) -> None:
        file, group = _file(atoms), atoms.info["group"]
        self.files.setdefault(file, Coverage(file, "")).add(atoms, extent, counted=len(atoms))
        self.groups.setdefault((file, group), Coverage(file, group)).add(atoms, extent, counted=len(atoms))
        for symbol, count in composition(atoms.symbols).items():
            self.elements.setdefault((file, symbol), Coverage(file, symbol)).add(atoms, extent, counted=count)


class Inspection:
    """Looks through labeled structures one by one; only a few numbers of each stay in memory.

    Args:
        keys: Names, units and signs with which the structures were read, for the advice.
        trained: Labels that will be trained on; faults of others are only warnings.
    """

    def __init__(self, keys: LabelKeys = _AS_READ, *, trained: Collection[str] = QUANTITIES) -> None:
        self._keys, self._trained = keys, trained
        self._faults, self._warnings = Findings(), Findings()
        self._counts, self._typical, self._stresses = _Counts(), Typical(), StressCollector()
        self._duplicates, self._isolated = Duplicates(), IsolatedAtoms()

    def admits(self, atoms: Atoms) -> bool:
        """Whether the numbers of a frame can be used further; notes its own faults."""
        origin = atoms.info["origin"]
        if len(atoms) == 0:
            self._faults.add("no atoms", origin)
            return False
        if names := nonfinite(atoms):
            for name in names:
                self._faults.add(f"NaN or infinity in {name}", origin)
            return False
        for quantity, fault in atoms.info.get(UNUSABLE, {}).items():
            if quantity in self._trained:
                self._faults.add(f"{fault}; {cure_for(quantity)}", origin)
            else:
                self._warnings.add(f"{fault}; it is left out, as {quantity} is not trained", origin)
        check_reading(atoms, self._warnings)
        check_net_force(atoms, self._warnings)
        return check_cell(atoms, self._faults, self._warnings, trained=self._trained)

    def add(self, atoms: Atoms, pairs: Pairs | None) -> None:
        """Take a frame into account.

        Args:
            atoms: The frame, about which :meth:`admits` was asked.
            pairs: Its neighbor pairs, at least those of :func:`contact_reach`; None for a frame that was not
                admitted.
        """
        extent = _extent(atoms)
        contact = None if pairs is None else closest_contact(atoms, pairs)
        if contact is not None:
            extent["distance"] = contact.distance
            check_contact(contact, atoms.info["origin"], self._faults)
        self._counts.add(atoms, extent)
        if pairs is None:
            return
        self._duplicates.check(atoms, self._faults, self._warnings)
        self._isolated.check(atoms, self._faults)
        self._typical.add(atoms)
        if atoms.pbc.all() and "stress" in atoms.info["label_keys"]:
            self._stresses.add(atoms, file=_file(atoms))

    def report(self) -> DataReport:
        """What was found; to be called once, after the last frame."""
        self._typical.check(self._warnings)
        checks = tuple(
            sorted(self._stresses.checks(), key=lambda check: check.ratio is None)
        )  # evidence first
        told = [finding for check in checks for finding in diagnose(check, self._keys)]
        if "stress" not in self._trained:
            told = [replace(finding, fault=False) for finding in told]
        files = tuple(self._counts.files.values())
        return DataReport(
            files=files,
            groups=tuple(self._counts.groups.values()),
            elements=tuple(self._counts.elements.values()),
            stress_checks=checks,
            faults=(
                *self._faults.sentences(),
                *(finding.sentence for finding in told if finding.fault),
                *(sentence for file in files for sentence in _without_labels(file)),
            ),
            warnings=(
                *self._warnings.sentences(),
                *(finding.sentence for finding in told if not finding.fault),
                *(sentence for file in files for sentence in _uneven(file)),
            ),
            notes=tuple(self._open_references()),
        )

    def _open_references(self) -> Iterator[str]:
        """What to do where compositions and isolated atoms leave reference energies open."""
        if "energy" in self._trained and (elements := self._typical.open_elements(self._isolated.elements)):
            yield (
                f"the compositions leave reference energies of {', '.join(elements)} open: only sums of them "
                f"are found, those of other compositions are not; {cure_for_open(elements)}"
            )


def inspect(
    frames: Iterable[Atoms], keys: LabelKeys = _AS_READ, *, trained: Collection[str] = QUANTITIES
) -> DataReport:
    """Look through labeled structures in one pass.

    Args:
        frames: As :func:`gnnpot.data.reading.read_as_found` yields them.
        keys: Names, units and signs with which they were read, for the advice.
        trained: Labels that will be trained on; faults of others are only warnings.
    """
    inspection = Inspection(keys, trained=trained)
    for atoms in frames:
        inspection.add(atoms, contact_pairs(atoms) if inspection.admits(atoms) else None)
    return inspection.report()


def _extent(atoms: Atoms) -> dict[str, float]:
    """What of a frame is compared with the others, where it is finite."""
    results, extent = {} if atoms.calc is None or not len(atoms) else atoms.calc.results, {}
    if "energy" in results:
        extent["energy"] = float(results["energy"]) / len(atoms)
    if "forces" in results:
        extent["forces"] = largest_force(atoms)
    if "stress" in results:
        extent["stress"] = float(results["stress"][:3].mean())
    return {name: value for name, value in extent.items() if math.isfinite(value)}


def _is_unlabeled(atoms: Atoms) -> bool:
    """Whether a frame has no label, although one would count; those that cannot be used are told apart."""
    info = atoms.info
    counts = any(info[f"{quantity}_weight"] > 0 for quantity in QUANTITIES)
    return counts and not is_isolated_atom(atoms) and not info["label_keys"] and UNUSABLE not in info


def _without_labels(file: Coverage) -> Iterator[str]:
    """That a file has no labels."""
    if file.unlabeled and not any(file.labels.values()):
        yield (
            f"{file.file}: none of {file.unlabeled} frames has a label; name their keys with keys.energy, "
            "keys.forces and keys.stress, or label them with `gnnpot label`; energies or forces are needed"
        )


def _uneven(file: Coverage) -> Iterable[str]:
    """Labels and cells that only a part of a file has."""
    rest = file.frames - file.isolated
    for quantity in QUANTITIES:
        labeled, keys = file.labeled(quantity), file.labels[quantity]
        if 0 < labeled < rest:
            yield f"{file.file}: only {labeled} of {rest} frames have {quantity}"
        if len(keys) > 1:
            parts = ", ".join(f"{key} ({count})" for key, count in sorted(keys.items()))
            yield f"{file.file}: {quantity} comes from several keys: {parts}"
    levels = {key.startswith("REF_"): key for names in file.labels.values() for key in names}
    if len(levels) == 2:
        yield f"{file.file}: labels of two methods? {levels[True]} and {levels[False]} are there"
    if 0 < file.periodic < rest:
        yield f"{file.file}: {rest - file.periodic} of {rest} frames lack a cell or a periodic direction"


def _file(atoms: Atoms) -> str:
    return str(atoms.info["origin"]).rpartition(":")[0]
