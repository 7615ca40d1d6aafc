"""Rules that choose structures, as plain functions: (scores, features, size) → indices, ascending.

Scores say how little is known of a structure; features place it among the others.  Rules that need no
scores or no features ignore them, so that all can be exchanged and chained.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from jaxtyping import Float, Int
from scipy.cluster.vq import kmeans2
from scipy.spatial.distance import cdist

Array = np.ndarray
_AT_A_TIME = 128


class Selector(Protocol):
    """Interface of selection rules; a plain function will do."""

    def __call__(
        self, scores: Float[Array, "S"], features: Float[Array, "S F"], size: int
    ) -> Int[Array, "K"]:
        """At most ``size`` indices of structures, ascending and without repeats."""


def means(features: Sequence[Float[Array, "N F"]]) -> Float[Array, "S F"]:
    """Features of structures: the mean over the atoms of each."""
    return np.stack([one.mean(axis=0) for one in features])


def highest(scores: Float[Array, "S"], features: Float[Array, "S F"], size: int) -> Int[Array, "K"]:
    """The structures with the highest scores; of equal ones the first."""
    return np.sort(np.argsort(-np.asarray(scores), kind="stable")[:size])


def evenly(scores: Float[Array, "S"], features: Float[Array, "S F"], size: int) -> Int[Array, "K"]:
    """Structures evenly spaced along their order, from the first to the last."""
    count = len(scores)
    if size >= count:
        return np.arange(count)
    return np.unique(np.rint(np.linspace(0, count - 1, size)).astype(int)) if size > 1 else np.arange(size)


def at_random(
    scores: Float[Array, "S"], features: Float[Array, "S F"], size: int, *, seed: int = 0
) -> Int[Array, "K"]:
    """Structures drawn with equal probability; the control of every other rule."""
    count = len(scores)
    return np.sort(np.random.default_rng(seed).choice(count, min(size, count), replace=False))


def farthest(
    scores: Float[Array, "S"],
    features: Float[Array, "S F"],
    size: int,
    *,
    known: Float[Array, "L F"] | None = None,
) -> Int[Array, "K"]:
    """Farthest-point sampling: again and again the structure farthest from all that are chosen or known.

    Args:
        scores: The first structure is the one with the highest, where nothing is known.
        features: Of each structure; distances are Euclidean.
        size: Number of structures.
        known: Features of structures that are labeled already.
    """
    points = np.asarray(features, dtype=float)
    return farthest_by_atoms(
        scores, list(points[:, None]), size, known=None if known is None else np.asarray(known, dtype=float)
    )


def farthest_by_atoms(
    scores: Float[Array, "S"],
    features: Sequence[Float[Array, "N F"]],
    size: int,
    *,
    known: Float[Array, "A F"] | None = None,
) -> Int[Array, "K"]:
    """Farthest-point sampling in which a structure is as far as the most unusual of its atoms.

    Args:
        scores: The first structure is the one with the highest, where nothing is known.
        features: Of all atoms of each structure.
        size: Number of structures.
        known: Features of atoms in structures that are labeled already.
    """
    count = len(features)
    if size >= count:
        return np.arange(count)
    atoms = np.concatenate(list(features))
    ends = np.cumsum([len(one) for one in features])
    starts = ends - [len(one) for one in features]
    nearest = np.full(len(atoms), np.inf)
    if known is not None and len(known):
        nearest = _to_nearest(atoms, known)
    chosen: list[int] = []
    while len(chosen) < size:
        distances = np.maximum.reduceat(nearest, starts)
        distances[chosen] = -1.0
        place = int(np.argmax(scores)) if np.isinf(distances).all() else int(distances.argmax())
        chosen.append(place)
        nearest = np.minimum(nearest, _to_nearest(atoms, atoms[starts[place] : ends[place]]))
    return np.sort(np.array(chosen, dtype=int))


def clustered(
    scores: Float[Array, "S"], features: Float[Array, "S F"], size: int, *, seed: int = 0
) -> Int[Array, "K"]:
    """The structure with the highest score in each of ``size`` clusters of the features (k-means)."""
    points = np.asarray(features, dtype=float)
    if size >= len(points):
        return np.arange(len(points))
    if size < 1:
        return np.arange(0)
    deviation = points.std(axis=0)
    scaled = (points - points.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)
    labels = kmeans2(scaled, size, minit="++", rng=np.random.default_rng(seed), missing="warn")[1]
    order = np.argsort(-np.asarray(scores), kind="stable")
    return np.sort(order[np.unique(labels[order], return_index=True)[1]])


def gridded(
    scores: Float[Array, "S"],
    features: Float[Array, "S F"],
    size: int,
    *,
    known: Float[Array, "L F"] | None = None,
    seed: int = 0,
) -> Int[Array, "K"]:
    """Structures evenly over the cells of a grid, at random within a cell.

    The grid has about as many cells as there will be structures, so that rare regions count as much as
    crowded ones.

    Args:
        scores: Ignored.
        features: Two or three coordinates of each structure, e.g. energy and volume per atom.
        size: Number of structures.
        known: The same of structures that are chosen already.
        seed: Of the choice within a cell.
    """
    points = np.asarray(features, dtype=float)
    others = np.empty((0, points.shape[1])) if known is None else np.asarray(known, dtype=float)
    everything = np.concatenate([points, others])
    low, width = everything.min(axis=0), np.ptp(everything, axis=0)
    wide = width > 0
    side = int(np.ceil((size + len(others)) ** (1 / max(wide.sum(), 1))))
    scaled = (everything[:, wide] - low[wide]) / width[wide]
    places = np.minimum((scaled * side).astype(int), side - 1)
    cells = places @ side ** np.arange(wide.sum())
    taken = np.bincount(cells[len(points) :], minlength=side ** wide.sum())
    order = np.random.default_rng(seed).permutation(len(points))
    ranks = np.empty(len(points), dtype=int)
    for place in order:
        ranks[place] = taken[cells[place]]
        taken[cells[place]] += 1
    return np.sort(order[np.argsort(ranks[order], kind="stable")[:size]])


def above(scores: Float[Array, "S"], bound: float) -> Int[Array, "K"]:
    """The structures with a score over ``bound``."""
    return np.flatnonzero(np.asarray(scores) > bound)


def distinct(features: Float[Array, "S F"], distance: float) -> Int[Array, "K"]:
    """The structures, in their order, that are at least ``distance`` from each one kept before."""
    points = np.asarray(features, dtype=float)
    nearest, kept = np.full(len(points), np.inf), list[int]()
    for place in range(len(points)):
        if nearest[place] >= distance:
            kept.append(place)
            nearest = np.minimum(nearest, np.linalg.norm(points - points[place], axis=1))
    return np.array(kept, dtype=int)


def screened(
    coordinates: Float[Array, "S"], energies: Float[Array, "S"], *, coordinate: float, energy: float
) -> Int[Array, "K"]:
    """Frames of a trajectory that differ from the last kept one in both coordinate and energy.

    Source: Jung, Choi, Lee, Digital Discovery 3, 514 (2024): 0.01 Å along the spring and 1 kcal/mol.

    Args:
        coordinates: Coordinate of each frame along the path, e.g. a distance (Å).
        energies: Energy of each frame (eV).
        coordinate: Least change of the coordinate against the last kept frame.
        energy: Least change of the energy against the last kept frame (eV).
    """
    kept: list[int] = []
    for place in range(len(coordinates)):
        last = kept[-1] if kept else None
        if last is None or (
            abs(coordinates[place] - coordinates[last]) > coordinate
            and abs(energies[place] - energies[last]) > energy
        ):
            kept.append(place)
    return np.array(kept, dtype=int)


def _to_nearest(points: Float[Array, "A F"], others: Float[Array, "L F"]) -> Float[Array, "A"]:
    """Distance of each point to the nearest of ``others``; memory for a few of them at a time."""
    nearest = np.full(len(points), np.inf)
    for first in range(0, len(others), _AT_A_TIME):
        distances = cdist(points, others[first : first + _AT_A_TIME])
        nearest = np.minimum(nearest, distances.min(axis=1))
    return nearest
