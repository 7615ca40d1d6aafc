"""Whether the entries of the stress off the diagonal have the place, the sign and the size that forces imply.

Forces between pairs of atoms, a function of the distance for each pair of elements, are fitted to the
labels.  Their virial, the sum of f(r) r r̂ r̂ over pairs, is no good pressure, but off the diagonal it goes
with the stress of disordered structures, in the right order alone, and is as large within a factor of two.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random

import numpy as np
from ase import Atoms
from jaxtyping import Float

from gnnpot.data.keys import STRESS_ORDERS
from gnnpot.graph.neighbors import Pairs, pairs_of

Array = np.ndarray

_ENOUGH = 3.5  # Å: longest of the pairs that are there, from which no others are looked for
_REACH, _FUNCTIONS = 5.0, 12  # Å, functions of the distance for each pair of elements
_FRAMES, _GROUPS, _MOST_ATOMS = 40, 50, 400  # that are looked at
_MOST_ELEMENTS, _FEWEST_ATOMS, _FEWEST_FRAMES = 3, 3, 8
_FORCE = 0.02  # eV/Å, root mean square: of structures without symmetry
_RIDGE = 1e-6
_EXPLAINED = 0.8  # share of the squares of the forces
_RIGHT, _WRONG = 0.85, 0.5  # correlation of the order that is right, and of the one that was read
_VOIGT = ("voigt", "vasp", "lammps")  # orders that leave the diagonal where it is


@dataclass(frozen=True)
class ShearCheck:
    """What the forces say of the entries off the diagonal of one group.

    Attributes:
        file: File of the group.
        group: Name of the group.
        order: The order in which they go with the forces; None where that is the one that was read.
        correlation: Size of their correlation in that order.
        read: Size of their correlation as they were read.
        ratio: Labels over the virial of the fitted forces, negative where they have opposite signs.
    """

    file: str
    group: str
    order: str | None
    correlation: float
    read: float
    ratio: float


class ShearCollector:
    """Keeps a sample of the frames of each group."""

    def __init__(self) -> None:
        self._frames: dict[tuple[str, str], list[tuple[Atoms, Pairs]]] = {}
        self._seen: dict[tuple[str, str], int] = {}
        self._random = Random(0)

    def add(self, atoms: Atoms, pairs: Pairs, *, file: str) -> None:
        """Consider a periodic frame with forces and a stress, and its neighbor pairs."""
        key = (file, atoms.info["group"])
        if (key not in self._frames and len(self._frames) >= _GROUPS) or not _is_disordered(atoms):
            return
        frames = self._frames.setdefault(key, [])
        self._seen[key] = self._seen.get(key, 0) + 1
        if len(frames) < _FRAMES:
            frames.append((atoms, pairs))
        elif (place := self._random.randrange(self._seen[key])) < _FRAMES:
            frames[place] = atoms, pairs

    def checks(self, orders: Mapping[str, str]) -> Iterator[ShearCheck]:
        """What forces say of each group of which they say something.

        Args:
            orders: Order of six numbers with which the labels of each file were read.
        """
        for (file, group), frames in self._frames.items():
            read = orders[file]
            if len(frames) < _FEWEST_FRAMES or read not in _VOIGT:
                continue
            fitted = _fitted_shears(frames)
            if fitted is None:
                continue
            labels = np.array([atoms.calc.results["stress"] * atoms.get_volume() for atoms, _ in frames])
            scores = {order: _correlation(fitted, _reordered(labels, read, order)) for order in _VOIGT}
            best = max(scores, key=lambda order: abs(scores[order]))
            order = best if abs(scores[read]) < _WRONG else read
            if abs(scores[order]) > _RIGHT:
                size = np.linalg.norm(_reordered(labels, read, order)) / np.linalg.norm(fitted)
                ratio = float(np.sign(scores[order]) * size)
                told = order if order != read else None
                yield ShearCheck(file, group, told, abs(scores[order]), abs(scores[read]), ratio)


def _is_disordered(atoms: Atoms) -> bool:
    """Whether the forces of a frame can tell: large, and not alike by symmetry."""
    forces = atoms.calc.results["forces"]
    if not _FEWEST_ATOMS <= len(atoms) <= _MOST_ATOMS or not np.isfinite(forces).all():
        return False
    different = len(np.unique(np.round(forces, 3), axis=0))
    few = len(np.unique(atoms.numbers)) <= _MOST_ELEMENTS
    return few and 2 * different > len(atoms) and np.square(forces).sum(axis=1).mean() > _FORCE**2


def _fitted_shears(frames: list[tuple[Atoms, Pairs]]) -> Float[Array, "M 3"] | None:
    """Virials yz, xz, xy of forces between pairs that fit the labels, or None if these do not fit."""
    elements = sorted({int(number) for atoms, _ in frames for number in atoms.numbers})
    kinds = {(a, b): row for row, (a, b) in enumerate((a, b) for a in elements for b in elements if a <= b)}
    size = len(kinds) * _FUNCTIONS
    matrix, vector, squares, virials = np.zeros((size, size)), np.zeros(size), 0.0, []
    for atoms, pairs in frames:
        columns, shears = _pair_columns(atoms, pairs, kinds)
        forces = atoms.calc.results["forces"].ravel()
        matrix += columns.T @ columns
        vector += columns.T @ forces
        squares += float(forces @ forces)
        virials.append(shears)
    ridge = _RIDGE * np.trace(matrix) / size
    if not ridge > 0:
        return None
    solution = np.linalg.solve(matrix + ridge * np.eye(size), vector)
    left = squares - 2 * solution @ vector + solution @ matrix @ solution
    return np.array(virials) @ solution if left < (1 - _EXPLAINED) * squares else None


def _pair_columns(
    atoms: Atoms, pairs: Pairs, kinds: dict[tuple[int, int], int]
) -> tuple[Float[Array, "3N C"], Float[Array, "3 C"]]:
    """Forces and virials yz, xz, xy of each function of the distance."""
    lengths = np.linalg.norm(pairs.vectors(atoms), axis=1)
    if not lengths.max(initial=0.0) > _ENOUGH:
        pairs = pairs_of(atoms, _REACH)
    vectors = pairs.vectors(atoms)
    lengths = np.linalg.norm(vectors, axis=1)
    values = _functions(lengths)
    directions = vectors / np.maximum(lengths, np.finfo(float).tiny)[:, None]  # none on one spot
    one, other = atoms.numbers[pairs.source], atoms.numbers[pairs.center]
    named = zip(np.minimum(one, other).tolist(), np.maximum(one, other).tolist(), strict=True)
    row = np.array([kinds[pair] for pair in named], dtype=int)
    by_kind = np.zeros((len(lengths), len(kinds), _FUNCTIONS))
    by_kind[np.arange(len(lengths)), row] = values
    table = by_kind.reshape(len(lengths), -1)
    forces = np.zeros((len(atoms), 3, table.shape[1]))
    parts = directions[:, :, None] * table[:, None, :]
    np.add.at(forces, pairs.center, parts)
    np.add.at(forces, pairs.source, -parts)
    shears = np.stack(
        [np.einsum("p,p,pc->c", vectors[:, a], directions[:, b], table) for a, b in ((1, 2), (0, 2), (0, 1))]
    )
    return forces.reshape(-1, table.shape[1]), shears


def _functions(lengths: Float[Array, "P"]) -> Float[Array, "P K"]:
    """Functions of the distance that end at the reach."""
    centers = np.linspace(1.0, _REACH, _FUNCTIONS)
    values = np.exp(-0.5 * ((lengths[:, None] - centers) / (centers[1] - centers[0])) ** 2)
    ends = 0.5 + 0.5 * np.cos(np.pi * np.minimum(lengths, _REACH) / _REACH)
    return values * ends[:, None]


def _reordered(labels: Float[Array, "M 6"], read: str, new: str) -> Float[Array, "M 3"]:
    """The entries yz, xz, xy of labels taken in another order."""
    raw = np.empty_like(labels)
    raw[:, list(STRESS_ORDERS[read])] = labels
    return raw[:, list(STRESS_ORDERS[new])][:, 3:]


def _correlation(first: Float[Array, "M 3"], second: Float[Array, "M 3"]) -> float:
    norms = np.linalg.norm(first) * np.linalg.norm(second)
    return float((first * second).sum() / norms) if norms > 0 else 0.0
