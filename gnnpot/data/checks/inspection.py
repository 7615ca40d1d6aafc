"""What is in a labeled set, and what is wrong with it, before anyone trains on it."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from types import MappingProxyType

from ase import Atoms

from gnnpot.data.checks.consistency import Consistency, file_of
from gnnpot.data.checks.data_report import Coverage, DataReport
from gnnpot.data.checks.frames import (
    Duplicates,
    Findings,
    IsolatedAtoms,
    Typical,
    check_cell,
    check_contact,
    check_net_force,
    check_reading,
    check_zero_stress,
    closest_contact,
    contact_pairs,
    largest_force,
)
from gnnpot.data.keys import QUANTITIES, LabelKeys
from gnnpot.data.labels import UNUSABLE, cure_for
from gnnpot.data.reading import nonfinite
from gnnpot.data.reference_energies import composition, cure_for_open
from gnnpot.graph.neighbors import Pairs

_AS_READ = LabelKeys()


class _Counts:
    """Coverage of files, groups and elements."""

    def __init__(self) -> None:
        self.files: dict[str, Coverage] = {}
        self.groups: dict[tuple[str, str], Coverage] = {}
        self.elements: dict[tuple[str, str], Coverage] = {}

    def add(self, atoms: Atoms, extent: dict[str, float]) -> None:
        file, group = file_of(atoms), atoms.info["group"]
        self.files.setdefault(file, Coverage(file, "")).add(atoms, extent, counted=len(atoms))
        self.groups.setdefault((file, group), Coverage(file, group)).add(atoms, extent, counted=len(atoms))
        for symbol, count in composition(atoms.symbols).items():
            self.elements.setdefault((file, symbol), Coverage(file, symbol)).add(atoms, extent, counted=count)


class Inspection:
    """Looks through labeled structures one by one; only a few numbers of each stay in memory.

    Args:
        keys: Names, units and signs with which the structures were read, for the advice.
        own: The same of files that have keys of their own, by path.
        trained: Labels that will be trained on; faults of others are only warnings.
    """

    def __init__(
        self,
        keys: LabelKeys = _AS_READ,
        *,
        own: Mapping[str, LabelKeys] = MappingProxyType({}),
        trained: Collection[str] = QUANTITIES,
    ) -> None:
        self._keys, self._own, self._trained = keys, own, trained
        self._faults, self._warnings = Findings(), Findings()
        self._counts, self._typical, self._consistency = _Counts(), Typical(), Consistency()
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
        check_zero_stress(atoms, self._faults, self._warnings, trained="stress" in self._trained)
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
        self._consistency.add(atoms, pairs)

    def report(self) -> DataReport:
        """What was found; to be called once, after the last frame."""
        self._typical.check(self._warnings)
        unfit = self._faults if "energy" in self._trained else self._warnings
        self._typical.check_isolated(self._isolated, unfit, self._warnings)
        consistency = self._consistency.report(self._keys, self._own)
        told = list(consistency.findings(self._trained))
        files = tuple(self._counts.files.values())
        return DataReport(
            files=files,
            groups=tuple(self._counts.groups.values()),
            elements=tuple(self._counts.elements.values()),
            forces_checks=consistency.forces,
            stress_checks=consistency.stresses,
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
            notes=(*self._open_references(), *consistency.notes()),
        )

    def _open_references(self) -> Iterator[str]:
        """What to do where compositions and isolated atoms leave reference energies open."""
        if "energy" in self._trained and (elements := self._typical.open_elements(self._isolated.energies)):
            yield (
                f"the compositions leave reference energies of {', '.join(elements)} open: only sums of them "
                f"are found, those of other compositions are not; {cure_for_open(elements)}"
            )


def inspect(
    frames: Iterable[Atoms], keys: LabelKeys = _AS_READ, *, trained: Collection[str] = QUANTITIES
) -> DataReport:
    """Look through labeled structures in one pass.

    Args:
        frames: Structures as :func:`gnnpot.data.reading.read_as_found` yields them.
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
