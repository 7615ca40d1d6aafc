"""What is in a labeled set, and what is wrong with it, before anyone trains on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols, covalent_radii

from gnnpot.data.labels import QUANTITIES
from gnnpot.data.neighbors import neighbor_pairs
from gnnpot.data.reading import content_hash, is_isolated_atom, nonfinite
from gnnpot.data.stress_check import StressCheck, StressCollector
from gnnpot.data.stress_diagnosis import diagnose
from gnnpot.errors import DataError

_CLOSEST = 0.5  # of the sum of two covalent radii; compressed melts and H₂ stay above 0.7
_NET_FORCE = 5e-3  # eV/Å an atom
_OUTLIER = 20.0  # times the typical largest force of a frame
_LARGE_FORCE = 10.0  # eV/Å: below it nothing is an outlier


@dataclass
class GroupSummary:
    """One group of one file.

    Attributes:
        file: File of the group.
        group: Its name, "" if it has none.
        frames: Number of structures.
        atoms: Atoms of each element.
        labels: For each quantity the keys it came from, with the number of frames.
        smallest: Smallest energy per atom (eV), largest force (eV/Å), mean normal stress (eV/Å³).
        largest: The largest of the same.
    """

    file: str
    group: str
    frames: int = 0
    atoms: Counter[str] = field(default_factory=Counter)
    labels: dict[str, Counter[str]] = field(default_factory=lambda: {name: Counter() for name in QUANTITIES})
    smallest: dict[str, float] = field(default_factory=dict)
    largest: dict[str, float] = field(default_factory=dict)

    def add(self, atoms: Atoms) -> None:
        """Count a frame."""
        self.frames += 1
        self.atoms.update(Counter(chemical_symbols[number] for number in atoms.numbers.tolist()))
        for name, key in atoms.info["label_keys"].items():
            self.labels[name][key] += 1
        for name, value in _extent(atoms).items():
            self.smallest[name] = min(value, self.smallest.get(name, value))
            self.largest[name] = max(value, self.largest.get(name, value))


@dataclass(frozen=True)
class DataReport:
    """What :func:`inspect` found.

    Attributes:
        groups: Counts by file and group.
        stress_checks: What energies say of the stress labels.
        faults: What must be mended before training, a sentence each.
        warnings: What one should know.
    """

    groups: tuple[GroupSummary, ...]
    stress_checks: tuple[StressCheck, ...]
    faults: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def num_frames(self) -> int:
        """Number of structures."""
        return sum(group.frames for group in self.groups)

    def as_dict(self) -> dict[str, Any]:
        """The report as plain JSON."""
        return {"num_frames": self.num_frames, **asdict(self)}


class _Findings:
    """Findings of one kind, told in one sentence however many there are."""

    def __init__(self) -> None:
        self._first: dict[str, str] = {}
        self._counts: Counter[str] = Counter()

    def add(self, kind: str, first: str) -> None:
        """Note one; the sentence of the first is kept."""
        self._first.setdefault(kind, first)
        self._counts[kind] += 1

    def sentences(self) -> list[str]:
        """One sentence a kind."""
        more = {kind: f" (and {count - 1} more)" if count > 1 else "" for kind, count in self._counts.items()}
        return [f"{sentence}{more[kind]}" for kind, sentence in self._first.items()]


def inspect(frames: Iterable[Atoms]) -> DataReport:
    """Look through labeled structures in one pass; a few numbers a frame are kept.

    Args:
        frames: As :func:`gnnpot.data.reading.read_frames` yields them.
    """
    groups: dict[tuple[str, str], GroupSummary] = {}
    faults, warnings, stresses = _Findings(), _Findings(), StressCollector()
    seen: dict[str, tuple[str, float | None]] = {}
    forces: list[tuple[float, str]] = []
    for atoms in frames:
        file = atoms.info["origin"].rpartition(":")[0]
        if bad := nonfinite(atoms):
            faults.add("finite", f"{atoms.info['origin']} has NaN or infinity in {' and '.join(bad)}")
            continue
        groups.setdefault((file, atoms.info["group"]), GroupSummary(file, atoms.info["group"])).add(atoms)
        _check_duplicate(atoms, seen, faults, warnings)
        _check_forces(atoms, forces, warnings)
        if _check_structure(atoms, faults, warnings) and "stress" in atoms.calc.results:
            stresses.add(atoms, file=file)
    _check_outliers(forces, warnings)
    _check_evenness(groups.values(), warnings)
    checks = tuple(stresses.checks())
    diagnoses = [diagnose(check) for check in checks]
    return DataReport(
        groups=tuple(groups.values()),
        stress_checks=checks,
        faults=(*faults.sentences(), *(text for grave, text in filter(None, diagnoses) if grave)),
        warnings=(*warnings.sentences(), *(text for grave, text in filter(None, diagnoses) if not grave)),
    )


def _extent(atoms: Atoms) -> dict[str, float]:
    results, extent = atoms.calc.results, {}
    if "energy" in results:
        extent["energy"] = float(results["energy"]) / len(atoms)
    if "forces" in results and len(atoms):
        extent["forces"] = float(np.linalg.norm(results["forces"], axis=1).max())
    if "stress" in results:
        extent["stress"] = float(results["stress"][:3].mean())
    return extent


def _check_duplicate(
    atoms: Atoms, seen: dict[str, tuple[str, float | None]], faults: _Findings, warnings: _Findings
) -> None:
    origin, energy = atoms.info["origin"], atoms.calc.results.get("energy")
    content = content_hash(atoms)
    first, other = seen.setdefault(content, (origin, energy))
    if first == origin:
        return
    if energy is not None and other is not None and abs(energy - other) > 1e-3 * len(atoms):
        faults.add("conflict", f"{origin} is the structure of {first} with another energy")
    else:
        warnings.add("duplicate", f"{origin} is the structure of {first} again")


def _check_structure(atoms: Atoms, faults: _Findings, warnings: _Findings) -> bool:
    """Whether the frame has a volume; closeness, cell and periodicity are noted on the way."""
    origin = atoms.info["origin"]
    if len(atoms) == 0:
        faults.add("empty", f"{origin} has no atoms")
        return False
    radii = covalent_radii[atoms.numbers]
    try:
        edges, shifts = neighbor_pairs(
            atoms.positions, atoms.cell.array, atoms.pbc, 2 * _CLOSEST * float(radii.max())
        )
    except DataError:
        faults.add("volume", f"{origin} is periodic but its cell has no volume")
        return False
    source, center = edges
    vectors = atoms.positions[source] + shifts @ atoms.cell.array - atoms.positions[center]
    lengths = np.linalg.norm(vectors, axis=1)
    ratio = lengths / (radii[source] + radii[center])
    if len(ratio) and ratio.min() < _CLOSEST:
        worst = int(ratio.argmin())
        pair = f"{atoms.symbols[source[worst]]}-{atoms.symbols[center[worst]]}"
        faults.add("close", f"{origin} has {pair} atoms {lengths[worst]:.3f} Å apart, closer than physics allows")
    if atoms.pbc.any() and not atoms.pbc.all():
        warnings.add("mixed", f"{origin} is periodic along some directions only: it has no stress")
    elif not atoms.pbc.any() and not is_isolated_atom(atoms):
        warnings.add("open", f"{origin} has no cell")
    if "stress" in atoms.calc.results and not atoms.pbc.all():
        faults.add("open stress", f"{origin} has a stress label but not three periodic directions")
    return bool(atoms.pbc.all())


def _check_forces(atoms: Atoms, forces: list[tuple[float, str]], warnings: _Findings) -> None:
    if "forces" not in atoms.calc.results or not len(atoms):
        return
    values = atoms.calc.results["forces"]
    forces.append((float(np.linalg.norm(values, axis=1).max()), atoms.info["origin"]))
    net = float(np.linalg.norm(values.mean(axis=0)))
    if net > _NET_FORCE:
        warnings.add("net force", f"{atoms.info['origin']} has a net force of {net * 1000:.0f} meV/Å an atom")


def _check_outliers(forces: list[tuple[float, str]], warnings: _Findings) -> None:
    if not forces:
        return
    typical = float(np.median([largest for largest, _ in forces]))
    limit = max(_OUTLIER * typical, _LARGE_FORCE)
    for largest, origin in sorted(forces, reverse=True):
        if largest > limit:
            warnings.add(
                "outlier", f"{origin} has a force of {largest:.1f} eV/Å, where {typical:.2f} eV/Å is typical"
            )


def _check_evenness(groups: Iterable[GroupSummary], warnings: _Findings) -> None:
    groups = list(groups)
    total = sum(group.frames for group in groups)
    for name in QUANTITIES:
        labeled = sum(sum(group.labels[name].values()) for group in groups)
        if 0 < labeled < total:
            warnings.add(f"uneven {name}", f"{total - labeled} of {total} frames have no {name}")
        keys = {key for group in groups for key in group.labels[name]}
        if len(keys) > 1:
            warnings.add(f"keys of {name}", f"{name} comes from different keys: {', '.join(sorted(keys))}")
