r"""Whether the stress labels have the sign and the unit that the energies imply.

Of two frames of the same atoms that differ by a small strain ε and small displacements u,

.. math:: E_b - E_a = \tfrac12 (V_a σ_a + V_b σ_b) : ε - \tfrac12 \sum_i (F_{ai} + F_{bi}) · u_i

to second order.  The work of the stress labels over many such pairs, set against what the energies
and the forces leave for it, tells sign and unit.  A constant isotropic error of the stress, as real
data have (some published DFT sets have 3 GPa), is fitted beside and reported.

Where no pairs tell, the stress must rise with the volume, but in condensed matter alone: that of a slab
under tension falls as the vacuum beside it grows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

import numpy as np
from ase import Atoms
from ase.stress import voigt_6_to_full_3x3_stress
from jaxtyping import Float

Array = np.ndarray

_BOND = 2.5  # Å: a strain ε moves neighbors by about ε times this
_LARGEST_STRAIN = 0.12
_SMALLEST_STRAIN = 2e-4
_LARGEST_DISPLACEMENT = 0.3  # Å, root mean square
_ANHARMONIC = 0.3  # eV/Å³ an atom: error of the second-order formula over the cube of the distance
_NOISE = 2e-5  # eV an atom: convergence of the reference method
_NEAREST = 4  # pairs that a frame enters with frames close to it
_PER_CELL, _PER_SERIES, _IN_ALL = 3, 300, 4000  # frames kept, so that memory does not grow with the data
_MIN_PAIRS = 5
_TELLING = 0.9  # correlation
_MIN_VOLUMES, _MIN_SPREAD = 8, 0.005  # of ln V
_GAP = 5.0  # Å between planes of atoms: more is vacuum; bcc cesium has 4.3
_DENSE = 1.3  # times the volume of the densest tenth: beyond it matter may have come apart


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
        offset: Isotropic stress that the labels have too much (eV/Å³), or None.
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
    offset: float | None
    volume_correlation: float | None
    bulk_modulus: float | None
    typical: float
    num_atoms: int
    volume: float


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
            series.frames.append(_Frame.of(atoms))
        elif (place := self._random.randrange(series.candidates)) < len(series.frames):
            series.frames[place] = _Frame.of(atoms)

    def checks(self) -> Iterator[StressCheck]:
        """One check for each group of each file."""
        groups: dict[tuple[str, str], list[_Series]] = {}
        for (file, group, _), series in self._series.items():
            groups.setdefault((file, group), []).append(series)
        for (file, group), members in groups.items():
            yield _check(file, group, members)


class _Frame(NamedTuple):
    cell: Float[Array, "3 3"]
    scaled: Float[Array, "N 3"]
    energy: float
    stress: Float[Array, "3 3"]
    forces: Float[Array, "N 3"]  # NaN where there is no label

    @classmethod
    def of(cls, atoms: Atoms) -> _Frame:
        results = atoms.calc.results
        return cls(
            cell=atoms.cell.array,
            scaled=atoms.positions @ np.linalg.inv(atoms.cell.array),
            energy=results["energy"],
            stress=voigt_6_to_full_3x3_stress(results["stress"]),
            forces=results.get("forces", np.full((len(atoms), 3), np.nan)),
        )


class _Series:
    """Frames of the same atoms in one group."""

    def __init__(self, key: str, num_atoms: int) -> None:
        self.key = key
        self.num_atoms = num_atoms
        self.frames: list[_Frame] = []
        self.candidates = 0
        self.cells: Counter[bytes] = Counter()
        self.volumes: list[float] = []
        self.normal_stresses: list[float] = []
        self.filled: list[bool] = []


class _Pairs(NamedTuple):
    """Columns over the pairs P of a series.

    Attributes:
        work: ½ (V_a σ_a + V_b σ_b) : ε of the labels.
        dilation: ½ (V_a + V_b) tr ε, the work of a unit isotropic stress.
        rest: Difference of energies without the work of forces (eV).
        distance: Distance between the two frames (Å).
        error: Expected error of ``rest`` (eV).
    """

    work: Float[Array, "P"]
    dilation: Float[Array, "P"]
    rest: Float[Array, "P"]
    distance: Float[Array, "P"]
    error: Float[Array, "P"]


def _check(file: str, group: str, members: list[_Series]) -> StressCheck:
    pairs = _Pairs(
        *map(np.concatenate, zip(*(_near_pairs(series.frames) for series in members), strict=True))
    )
    ratio, correlation, offset = _regress(pairs)
    largest = max(members, key=lambda series: len(series.volumes))
    volume_correlation, bulk_modulus = _compression(max(members, key=lambda series: sum(series.filled)))
    return StressCheck(
        file=file,
        group=group,
        key=largest.key,
        pairs=len(pairs.work),
        ratio=ratio,
        correlation=correlation,
        offset=offset,
        volume_correlation=volume_correlation,
        bulk_modulus=bulk_modulus,
        typical=float(np.median(np.abs(np.concatenate([series.normal_stresses for series in members])))),
        num_atoms=largest.num_atoms,
        volume=float(np.median(largest.volumes)),
    )


def _near_pairs(frames: list[_Frame]) -> _Pairs:
    """The pairs in which one frame is among the nearest of the other."""
    count = len(frames)
    distance = np.full((count, count), np.inf)
    columns = np.zeros((4, count, count))
    for a in range(count - 1):
        for column, values in zip(columns, _compare(frames[a], frames[a + 1 :]), strict=True):
            column[a, a + 1 :] = values
    work, dilation, rest, apart = columns
    distance = np.where(apart > 0, apart, np.inf)
    distance = np.minimum(distance, distance.T)
    near = np.sort(distance, axis=1)[:, :_NEAREST][:, -1:] if count else distance
    chosen = np.triu((distance <= np.maximum(near, near.T)) & np.isfinite(distance), k=1)
    size = len(frames[0].scaled) if frames else 0
    error = size * (_ANHARMONIC * distance**3 + _NOISE)
    return _Pairs(work[chosen], dilation[chosen], rest[chosen], distance[chosen], error[chosen])


def _compare(a: _Frame, others: list[_Frame]) -> tuple[Float[Array, "M"], ...]:
    """Work of the labels, dilation, energy left for it, and distance (0: not comparable)."""
    cells = np.array([frame.cell for frame in others])
    stretch, turned = _log_strain(np.linalg.inv(a.cell) @ cells)
    stresses = turned @ np.array([frame.stress for frame in others]) @ turned.transpose(0, 2, 1)
    volume, volumes = abs(np.linalg.det(a.cell)), abs(np.linalg.det(cells))
    mean_stress = 0.5 * (volume * a.stress + volumes[:, None, None] * stresses)
    work = np.einsum("mij,mij->m", mean_stress, stretch)
    dilation = 0.5 * (volume + volumes) * np.trace(stretch, axis1=1, axis2=2)

    moved = np.array([frame.scaled for frame in others]) - a.scaled
    moved -= moved[:, :1]  # a common shift first, lest images of some atoms are taken and of some not
    moved -= np.rint(moved)
    moved -= moved.mean(axis=1, keepdims=True)
    displacements, forces = moved @ a.cell, np.array([frame.forces for frame in others])
    displacement = np.sqrt(np.einsum("mix,mix->m", displacements, displacements) / len(a.scaled))
    gain = np.array([frame.energy for frame in others]) - a.energy
    # Each force in the frame of its own cell, for cells may be turned.
    pull = np.einsum("ix,mix->m", a.forces, displacements) + np.einsum("mix,mix->m", forces, moved @ cells)
    rest = gain + 0.5 * pull

    size = np.abs(np.linalg.eigvalsh(stretch)).max(axis=1)
    comparable = (size > _SMALLEST_STRAIN) & (size < _LARGEST_STRAIN)
    comparable &= displacement < np.minimum(2 * _BOND * size, _LARGEST_DISPLACEMENT)
    comparable &= np.isfinite(rest) | (displacement < 0.02 * _BOND * size)
    rest = np.where(np.isfinite(rest), rest, gain)
    return work, dilation, rest, np.where(comparable, displacement + _BOND * size, 0.0)


def _log_strain(gradient: Float[Array, "M 3 3"]) -> tuple[Float[Array, "M 3 3"], Float[Array, "M 3 3"]]:
    """Logarithm of U and R of the polar decomposition r' = r U R of a deformation of row vectors."""
    squares, axes = np.linalg.eigh(gradient @ gradient.transpose(0, 2, 1))
    back = axes.transpose(0, 2, 1)
    logarithm = (axes * (0.5 * np.log(squares))[:, None, :]) @ back
    return logarithm, (axes * squares[:, None, :] ** -0.5) @ back @ gradient


def _regress(pairs: _Pairs) -> tuple[float | None, float | None, float | None]:
    """Ratio of labels to energies, their correlation, and the offset of the labels."""
    if len(pairs.work) < _MIN_PAIRS:
        return None, None, None
    work, dilation, rest = (column / pairs.error for column in (pairs.work, pairs.dilation, pairs.rest))
    along = dilation / np.linalg.norm(dilation) if dilation.any() else dilation
    correlation, ratio = _relation(work - along * (along @ work), rest - along * (along @ rest))
    if abs(correlation) >= _TELLING and dilation.any():
        return ratio, correlation, float(dilation @ (work / ratio - rest) / (dilation @ dilation))
    correlation, ratio = _relation(work, rest)  # too few pairs to tell an offset from the rest
    return (ratio, correlation, None) if abs(correlation) >= _TELLING else (None, correlation, None)


def _relation(work: Float[Array, "P"], rest: Float[Array, "P"]) -> tuple[float, float]:
    """Correlation and slope of two columns through the origin.

    The slope is the geometric mean of the two regressions, because both columns have errors.
    """
    work_norm, rest_norm = np.linalg.norm(work), np.linalg.norm(rest)
    if not work_norm * rest_norm > 0:
        return 0.0, 0.0
    correlation = work @ rest / (work_norm * rest_norm)
    return float(correlation), float(np.sign(correlation) * work_norm / rest_norm)


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
