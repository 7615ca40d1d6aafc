"""What is in a labeled set, and what is wrong with it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from ase import Atoms
from pydantic import TypeAdapter

from gnnpot.data.checks.agreement import AGREEMENT, agreement
from gnnpot.data.checks.forces import ForcesCheck
from gnnpot.data.checks.stress import StressCheck
from gnnpot.data.keys import QUANTITIES
from gnnpot.data.labels import UNUSABLE
from gnnpot.data.reading import is_isolated_atom
from gnnpot.errors import DataError


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
        self.unlabeled += is_unlabeled(atoms)
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
    """What :func:`gnnpot.data.checks.inspection.inspect` found.

    Attributes:
        files: Counts by file.
        groups: Counts by file and group.
        elements: Counts by file and element.
        forces_checks: Forces compared with energies.
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
    forces_checks: tuple[ForcesCheck, ...] = ()

    @property
    def num_frames(self) -> int:
        """Number of structures."""
        return sum(file.frames for file in self.files)

    def agreement(self) -> list[str]:
        """Lines on whether forces and stress are the derivatives of the energies."""
        return list(agreement(self.forces_checks, self.stress_checks))

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

    def __str__(self) -> str:
        files = [f"{file.file or 'structures'}: {file.frames:,} frames" for file in self.files]
        found = [f"{kind}: {text}" for kind, texts in self._findings().items() for text in texts]
        return "\n".join([*files, *found, *([] if self.faults else ["no faults found"])])

    def _findings(self) -> dict[str, tuple[str, ...]]:
        return {"fault": self.faults, "warning": self.warnings, "note": self.notes}

    def _repr_html_(self) -> str:
        from gnnpot.report.page import warnings_list  # with matplotlib, which takes time to import
        from gnnpot.report.tables import scrolled, table_row

        head = "".join(f"<th>{name}</th>" for name in ("", "structures", "atoms", *QUANTITIES))
        rows = []
        for part in (*self.files, *(self.groups if len(self.groups) > len(self.files) else ())):
            counts = (part.frames, part.atoms, *map(part.labeled, QUANTITIES))
            rows.append(table_row(part.name or part.file, [f"{count:,}" for count in counts]))
        found = {"Faults": self.faults, "Warnings": self.warnings, "Notes": self.notes}
        lists = {AGREEMENT.capitalize(): self.agreement(), **found}
        verdict = "" if self.faults else "<p>no faults found</p>"
        shown = [warnings_list(sentences, title) for title, sentences in lists.items()]
        return "".join([scrolled(f"<tr>{head}</tr>", rows), *shown, verdict])


def is_unlabeled(atoms: Atoms) -> bool:
    """Whether a frame has no label, although one would count; those that cannot be used are told apart."""
    info = atoms.info
    counts = any(info[f"{quantity}_weight"] > 0 for quantity in QUANTITIES)
    return counts and not is_isolated_atom(atoms) and not info["label_keys"] and UNUSABLE not in info
