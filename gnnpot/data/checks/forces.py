r"""Whether the forces are the derivatives of the energies, in sign and unit.

Energies of close frames of the same atoms are held against the work that the forces and the stress do on
the way from one to the other (:mod:`gnnpot.data.checks.near_frames`).  Pairs are frames that follow each
other, as in trajectories, and the nearest of a sample of each series, as of rattled and strained copies.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

import numpy as np
from ase import Atoms
from jaxtyping import Float

from gnnpot.data.checks.near_frames import (
    LARGEST_DISPLACEMENT,
    LARGEST_STRAIN,
    SAME_CELL,
    Frame,
    Stack,
    Steps,
    joined,
    near_pairs,
    steps,
)
from gnnpot.data.checks.regression import Relation, relation

Array = np.ndarray

_PER_SERIES, _SUCCESSIVE = (
    150,
    300,
)  # frames and pairs kept, so that memory does not grow
_MOST_ATOMS = 500_000  # of all frames that are kept
_MIN_PAIRS = 6
_SMALLEST = 1e-3  # Å: displacements that are more than rounding
_NOTHING = Relation(None, 0.0, np.inf, 0.0, 0)


@dataclass(frozen=True)
class ForcesCheck:
    """What energies say of the forces of one group.

    Attributes:
        file: File of the group.
        group: Name of the group.
        frames: Number of frames with energies and forces.
        pairs: Number of pairs of close frames.
        ratio: Forces over those that the energies imply; None where nothing tells.
        ratio_per_atom: The same if each energy were one of an atom.
        correlation: Correlation of the two works over the pairs.
        uncertainty: Of the logarithm of the ratio; None without pairs.
        signal: Typical work over the error that is to be expected of it.
        same_cells: Whether the pairs have the same cell, so that the stress plays no part.
        num_atoms: Typical number of atoms.
    """

    file: str
    group: str
    frames: int
    pairs: int
    ratio: float | None
    ratio_per_atom: float | None
    correlation: float
    uncertainty: float | None
    signal: float
    same_cells: bool
    num_atoms: int


class ForcesCollector:
    """Takes frames one by one and keeps the few that can tell."""

    def __init__(self) -> None:
        self._series: dict[tuple[str, str, bytes], _Series] = {}
        self._counts: dict[tuple[str, str], int] = {}
        self._atoms = 0
        self._random = Random(0)

    def add(self, atoms: Atoms, *, file: str) -> None:
        """Consider a frame that has an energy and forces."""
        group = (file, atoms.info["group"])
        self._counts[group] = self._counts.get(group, 0) + 1
        key = (*group, atoms.numbers.tobytes())
        if key not in self._series and self._atoms > _MOST_ATOMS:
            return
        series = self._series.setdefault(key, _Series(len(atoms)))
        self._atoms += series.add(atoms, self._random, room=self._atoms < _MOST_ATOMS)

    def checks(self) -> Iterator[ForcesCheck]:
        """One check for each group of each file."""
        groups: dict[tuple[str, str], list[_Series]] = {group: [] for group in self._counts}
        for (file, group, _), series in self._series.items():
            groups[file, group].append(series)
        for (file, group), members in groups.items():
            yield _check(file, group, self._counts[file, group], members)


class _Series:
    """Frames of the same atoms in one group."""

    def __init__(self, num_atoms: int) -> None:
        self.num_atoms = num_atoms
        self.frames: list[Frame] = []
        self.successive: list[Steps] = []
        self._last: Frame | None = None
        self._seen = self._close = 0

    def add(self, atoms: Atoms, random: Random, *, room: bool) -> int:
        """Keep what is needed of a frame; gives how many atoms more are kept."""
        frame, last = Frame.of(atoms), self._last
        self._last = frame
        self._seen += 1
        if last is not None and (place := self._place(random)) is not None:
            step = steps(Stack.of([last]), Stack.of([frame]))
            if step.strain[0] < LARGEST_STRAIN and step.displacement[0] < LARGEST_DISPLACEMENT:
                self.successive[place : place + 1] = [step]
                self._close += 1
        if len(self.frames) < _PER_SERIES and room:
            self.frames.append(frame)
            return len(atoms)
        if (chosen := random.randrange(self._seen)) < len(self.frames):
            self.frames[chosen] = frame
        return 0

    def steps(self) -> Steps | None:
        """All steps between close frames."""
        parts = list(self.successive)
        if len(self.frames) > 1:
            stack = Stack.of(self.frames)
            first, second = near_pairs(stack)
            if len(first):
                parts.append(steps(stack.rows(first), stack.rows(second)))
        return joined(parts) if parts else None

    def _place(self, random: Random) -> int | None:
        """Where a step to the next frame is kept: each stays with the same probability."""
        if len(self.successive) < _SUCCESSIVE:
            return len(self.successive)
        place = random.randrange(self._close + 1)
        return place if place < _SUCCESSIVE else None


def _check(file: str, group: str, frames: int, members: list[_Series]) -> ForcesCheck:
    found = [(series, part) for series in members if (part := series.steps()) is not None]
    size = max(members, key=lambda series: len(series.frames)).num_atoms if members else 0
    told, per_atom, same = _NOTHING, _NOTHING, False
    if found:
        table = joined([part for _, part in found])
        sizes = np.concatenate([np.full(len(part.gain), series.num_atoms) for series, part in found])
        table, sizes, same = _usable(table, sizes)
        told, per_atom = _told(table, table.gain, same), _told(table, table.gain * sizes, same)
    return ForcesCheck(
        file=file,
        group=group,
        frames=frames,
        pairs=told.points,
        ratio=told.ratio,
        ratio_per_atom=per_atom.ratio,
        correlation=told.correlation,
        uncertainty=told.uncertainty if np.isfinite(told.uncertainty) else None,
        signal=told.signal,
        same_cells=same,
        num_atoms=size,
    )


def _usable(table: Steps, sizes: Float[Array, "P"]) -> tuple[Steps, Float[Array, "P"], bool]:
    """Steps with forces, those of one cell alone if they are enough."""
    usable = np.isfinite(table.push) & (table.displacement > _SMALLEST)
    same = usable & (table.strain < SAME_CELL)
    if same.sum() >= _MIN_PAIRS:
        return table.rows(same), sizes[same], True
    usable &= np.isfinite(table.work)
    return table.rows(usable), sizes[usable], False


def _told(table: Steps, gain: Float[Array, "P"], same_cells: bool) -> Relation:
    """Forces over those that the differences of energies imply."""
    if same_cells:
        return relation(table.push, gain, table.push_error)
    works = table.work, table.shear_work, table.dilation
    return relation(table.push, gain, np.hypot(table.push_error, table.work_error), works)
