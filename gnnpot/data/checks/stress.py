r"""Whether the stress labels have the sign, the unit and the order that the energies imply.

The work of the stress labels on the way between close strained frames, set against what the energies and
the forces leave for it (:mod:`gnnpot.data.checks.near_frames`), tells sign and unit; that of the entries off
the diagonal alone tells their order.  A constant isotropic error of the stress, as real data have (some
published DFT sets have 3 GPa), is fitted beside and reported.

Where no pairs tell, the stress must rise with the volume, but in condensed matter alone: that of a slab
under tension falls as the vacuum beside it grows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

import numpy as np
from ase import Atoms
from jaxtyping import Float

from gnnpot.data.checks.near_frames import BOND, Frame, Stack, Steps, joined, near_pairs, steps
from gnnpot.data.checks.regression import Relation, relation
from gnnpot.data.checks.stress_offset import constant_offset
from gnnpot.data.keys import STRESS_ORDERS

Array = np.ndarray

_SMALLEST_STRAIN = 2e-4
_PER_CELL, _PER_SERIES, _IN_ALL = 3, 300, 4000  # frames kept, so that memory does not grow with the data
_MIN_VOLUMES, _MIN_SPREAD = 8, 0.005  # of ln V
_GAP = 5.0  # Å between planes of atoms: more is vacuum; bcc cesium has 4.3
_DENSE = 1.3  # times the volume of the densest tenth: beyond it matter may have come apart
_MIN_PAIRS = 10
_STILL = 0.02  # displacement over that of the strain up to which forces do not matter
_WRONG_ORDER = 0.75  # correlation of shear works up to which another order is looked for
_PLACES = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))  # of xx yy zz yz xz xy


@dataclass(frozen=True)
class StressCheck:
    """What energies and volumes say of the stress labels of one group.

    Attributes:
        file: File of the group.
        group: Name of the group.
        key: Name that the labels have in the file.
        pairs: Number of pairs of strained frames.
        ratio: Stress labels over stress from energies; None where the pairs do not tell.
        correlation: Correlation of the two works over the pairs, without a constant isotropic stress.
        signal: Typical work of the labels over the error that is to be expected of it.
        shear_ratio: The same as ``ratio`` of the entries off the diagonal alone.
        shear_correlation: The same as ``correlation`` of them.
        order: Order of six numbers in which the labels agree with the energies, where they do not as read.
        offset: Isotropic stress that the labels have too much at the typical volume (eV/Å³), or None.
        offset_error: Its standard error (eV/Å³).
        volume_correlation: Of the mean normal stress with the volume where atoms fill it, or None;
            positive in matter.
        bulk_modulus: Change of the mean normal stress with ln V (eV/Å³), or None; of frames of mixed
            temperature only a magnitude.
        typical: Median size of the mean normal stress (eV/Å³).
        num_atoms: Typical number of atoms.
        volume: Typical volume (Å³).
    """

    file: str
    group: str
    key: str
    pairs: int
    ratio: float | None
    correlation: float | None
    signal: float
    shear_ratio: float | None
    shear_correlation: float | None
    order: str | None
    offset: float | None
    offset_error: float | None
    volume_correlation: float | None
    bulk_modulus: float | None
    typical: float
    num_atoms: int
    volume: float


def trusted_stress_ratio(checks: Sequence[StressCheck]) -> float | None:
    """Stress labels over those that energies imply, of the group with most pairs; None where none tells."""
    told = [check for check in checks if check.ratio is not None]
    return max(told, key=lambda check: check.pairs).ratio if told else None


class StressCollector:
    """Takes frames one by one and keeps the few that can tell."""

    def __init__(self) -> None:
        self._series: dict[tuple[str, str, bytes], _Series] = {}
        self._kept = 0
        self._random = Random(0)

    def add(self, atoms: Atoms, *, file: str) -> None:
        """Consider a frame that has a stress, a volume and finite labels."""
        results = atoms.calc.results
        key = (file, atoms.info["group"], atoms.numbers.tobytes())
        series = self._series.setdefault(key, _Series(atoms.info["label_keys"]["stress"], len(atoms)))
        series.volumes.append(atoms.get_volume())
        series.normal_stresses.append(float(results["stress"][:3].mean()))
        series.filled.append(_largest_gap(atoms) < _GAP)
        cell = np.round(atoms.cell.array, 3).tobytes()
        series.cells[cell] += 1
        if "energy" in results and series.cells[cell] <= _PER_CELL:
            self._keep(series, atoms)

    def _keep(self, series: _Series, atoms: Atoms) -> None:
        """Reservoir sampling: each frame of a series stays with the same probability."""
        series.candidates += 1
        if len(series.frames) < _PER_SERIES and self._kept < _IN_ALL:
            self._kept += 1
            series.frames.append(Frame.of(atoms))
        elif (place := self._random.randrange(series.candidates)) < len(series.frames):
            series.frames[place] = Frame.of(atoms)

    def checks(
        self, orders: Mapping[str, str], forces_ratios: Mapping[str, float | None]
    ) -> Iterator[StressCheck]:
        """One check for each group of each file.

        Args:
            orders: Order of six numbers with which the labels of each file were read.
            forces_ratios: Forces over those that the energies imply by file, where it is known.
        """
        groups: dict[tuple[str, str], list[_Series]] = {}
        for (file, group, _), series in self._series.items():
            groups.setdefault((file, group), []).append(series)
        for (file, group), members in groups.items():
            yield _check((file, group), members, orders[file], forces_ratios.get(file) or 1.0)


class _Series:
    """Frames of the same atoms in one group."""

    def __init__(self, key: str, num_atoms: int) -> None:
        self.key = key
        self.num_atoms = num_atoms
        self.frames: list[Frame] = []
        self.candidates = 0
        self.cells: Counter[bytes] = Counter()
        self.volumes: list[float] = []
        self.normal_stresses: list[float] = []
        self.filled: list[bool] = []


class _Works(NamedTuple):
    """What the steps between strained frames say.

    Attributes:
        steps: The steps.
        rest: What the forces leave of the difference of energies to the stress (eV).
        error: Error that is to be expected of the work of the stress, in its own scale.
    """

    steps: Steps
    rest: Float[Array, "P"]
    error: Float[Array, "P"]

    def relation(self) -> Relation:
        """Stress labels over those that the energies imply, whatever constant they have too much."""
        return relation(self.steps.work, self.rest, self.error, (self.steps.dilation,))

    def without_offset(self) -> Relation:
        """The same of labels without such a constant, where pairs are too few to fit one."""
        return relation(self.steps.work, self.rest, self.error)

    def shear(self) -> Relation:
        """The same of the entries off the diagonal alone."""
        table = self.steps
        normal = table.work - table.shear_work
        return relation(table.shear_work, self.rest, self.error, (normal, table.dilation))


def _check(name: tuple[str, str], members: list[_Series], order: str, forces_ratio: float) -> StressCheck:
    stacks = _strained(members)
    works = {new: _works(stacks, (order, new), forces_ratio) for new in STRESS_ORDERS}
    shears = {new: work.shear() for new, work in works.items()}
    right = _right_order(shears, works, order)
    best = works[right or order]
    told = best.relation()
    largest = max(members, key=lambda series: len(series.volumes))
    volume, offset = float(np.median(largest.volumes)), None
    if told.ratio is None:
        told = best.without_offset()
    else:
        per_atom = volume / largest.num_atoms
        offset = constant_offset(best.steps, best.rest, best.error, ratio=told.ratio, atom_volume=per_atom)
    volume_correlation, bulk_modulus = _compression(max(members, key=lambda series: sum(series.filled)))
    stresses = np.concatenate([series.normal_stresses for series in members])
    return StressCheck(
        file=name[0],
        group=name[1],
        key=largest.key,
        pairs=told.points,
        ratio=told.ratio,
        correlation=told.correlation,
        signal=told.signal,
        shear_ratio=shears[right or order].ratio,
        shear_correlation=shears[right or order].correlation,
        order=right,
        offset=offset.value if offset else None,
        offset_error=offset.error if offset else None,
        volume_correlation=volume_correlation,
        bulk_modulus=bulk_modulus,
        typical=float(np.median(np.abs(stresses))),
        num_atoms=largest.num_atoms,
        volume=volume,
    )


def _right_order(shears: Mapping[str, Relation], works: Mapping[str, _Works], read: str) -> str | None:
    """The order in which the entries off the diagonal go with the energies, if they do not as read."""
    if abs(shears[read].correlation) > _WRONG_ORDER or shears[read].points < _MIN_PAIRS:
        return None
    known = [order for order, shear in shears.items() if shear.ratio is not None]
    if not known:
        return None
    return max(known, key=lambda order: abs(works[order].relation().correlation))


def _strained(members: list[_Series]) -> list[tuple[Stack, Stack]]:
    """Both ends of the steps between close strained frames of each series."""
    pairs = []
    for series in members:
        if len(series.frames) > 1:
            stack = Stack.of(series.frames)
            first, second = near_pairs(stack, smallest_strain=_SMALLEST_STRAIN)
            pairs.append((stack.rows(first), stack.rows(second)))
    return pairs


def _works(pairs: list[tuple[Stack, Stack]], orders: tuple[str, str], forces_ratio: float) -> _Works:
    """What the steps say with the stress in another order than it was read."""
    parts = [steps(_reordered(first, *orders), _reordered(second, *orders)) for first, second in pairs]
    if not parts:
        return _Works(Steps(*[np.empty(0)] * len(Steps._fields)), np.empty(0), np.empty(0))
    table = joined(parts)
    still = np.isnan(table.push) & (table.displacement < _STILL * BOND * table.strain)
    push = np.where(still, 0.0, table.push / forces_ratio)
    push_error = np.where(still, 0.0, table.push_error / abs(forces_ratio))
    rest, known = table.gain - push, np.isfinite(push) & np.isfinite(table.work)
    table, rest, push_error = table.rows(known), rest[known], push_error[known]
    scale = np.linalg.norm(table.work) / (np.linalg.norm(rest) or 1.0)
    return _Works(table, rest, np.hypot(table.work_error, scale * push_error))


def _reordered(frames: Stack, read: str, new: str) -> Stack:
    """The same frames with the six numbers of the stress taken in another order."""
    if read == new:
        return frames
    rows, columns = zip(*_PLACES, strict=True)
    six = frames.stress[:, rows, columns]
    raw = np.empty_like(six)
    raw[:, list(STRESS_ORDERS[read])] = six
    six = raw[:, list(STRESS_ORDERS[new])]
    stress = np.empty_like(frames.stress)
    stress[:, rows, columns] = stress[:, columns, rows] = six
    return frames._replace(stress=stress)


def _compression(series: _Series) -> tuple[float | None, float | None]:
    """Correlation and slope of the mean normal stress of dense frames over the logarithm of the volume."""
    filled = np.array(series.filled)
    if not filled.any():
        return None, None
    volumes, stresses = np.log(series.volumes)[filled], np.array(series.normal_stresses)[filled]
    dense = volumes < np.quantile(volumes, 0.1) + np.log(_DENSE)
    volumes, stresses = volumes[dense], stresses[dense]
    if len(volumes) < _MIN_VOLUMES or volumes.std() < _MIN_SPREAD or not stresses.std() > 0:
        return None, None
    correlation = float(np.corrcoef(volumes, stresses)[0, 1])
    return correlation, float(correlation * stresses.std() / volumes.std())


def _largest_gap(atoms: Atoms) -> float:
    """Widest layer without atoms between two lattice planes (Å)."""
    inverse = np.linalg.inv(atoms.cell.array)
    places = np.sort(atoms.positions @ inverse % 1.0, axis=0)
    gaps = np.diff(places, axis=0, append=places[:1] + 1.0).max(axis=0)
    return float((gaps / np.linalg.norm(inverse, axis=0)).max())
