"""How many times as much as another column one is, where both have errors."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

Array = np.ndarray

TELLING = 0.9  # correlation
_MIN_POINTS = 6
_FLOOR = 0.03  # least error, as a share of what is typical
_OUTLIER = 6.0  # times the median deviation
_MOST_OUTLIERS = 0.25  # share of the points
_SYSTEMATIC = 0.25  # share of the expected errors that may have one sign


class Relation(NamedTuple):
    """One column as a multiple of another.

    Attributes:
        ratio: The multiple; None where nothing tells.
        correlation: Correlation through the origin.
        uncertainty: Of the logarithm of the ratio, systematic errors included.
        signal: Typical size over the error to be expected.
        points: Number of points.
    """

    ratio: float | None
    correlation: float
    uncertainty: float
    signal: float
    points: int


def relation(
    labels: Float[Array, "P"],
    truth: Float[Array, "P"],
    error: Float[Array, "P"],
    nuisance: tuple[Float[Array, "P"], ...] = (),
) -> Relation:
    """How many times ``truth`` the ``labels`` are.

    The ratio is the geometric mean of the two regressions through the origin, because both columns have
    errors.  Single points far from all others are left out.

    Args:
        labels: Values to be judged.
        truth: What they should be.
        error: Expected errors of ``labels`` in their own scale.
        nuisance: Columns of what either may hold besides, in unknown amounts.
    """
    if len(labels) < _MIN_POINTS + 2 * len(nuisance) or not np.any(labels):
        return Relation(None, 0.0, np.inf, 0.0, len(labels))
    error = np.maximum(error, _FLOOR * np.sqrt(np.mean(np.square(labels))))
    columns = np.stack([labels, truth, *nuisance], axis=1) / error[:, None]
    kept = _without_outliers(columns)
    x, y, signal = _apart(columns[kept])
    x_norm, y_norm = np.linalg.norm(x), np.linalg.norm(y)
    if not x_norm * y_norm > 0:
        return Relation(None, 0.0, np.inf, signal, len(labels))
    correlation = float(x @ y / (x_norm * y_norm))
    uncertainty = float(np.sqrt(max(1 - correlation**2, 0.0)) + _SYSTEMATIC / signal) if signal else np.inf
    ratio = float(np.sign(correlation) * x_norm / y_norm) if abs(correlation) >= TELLING else None
    return Relation(ratio, correlation, uncertainty, signal, int(kept.sum()))


def _apart(columns: Float[Array, "P C"]) -> tuple[Float[Array, "P"], Float[Array, "P"], float]:
    """The first two columns without their parts along the others, and the typical size of the first."""
    others = columns[:, 2:]
    scale = np.linalg.norm(others, axis=0)
    basis, _ = np.linalg.qr(others[:, scale > 0] / scale[scale > 0])
    x, y = (column - basis @ (basis.T @ column) for column in (columns[:, 0], columns[:, 1]))
    return x, y, float(np.sqrt(np.mean(np.square(x))))


def _without_outliers(columns: Float[Array, "P C"]) -> Bool[Array, "P"]:
    """Points that are no single ones far away from the line of most."""
    x, y, _ = _apart(columns)
    weights, used = np.square(x), x != 0
    if not used.any():
        return np.ones(len(x), dtype=bool)
    slopes = y[used] / x[used]
    order = np.argsort(slopes)
    summed = np.cumsum(weights[used][order])
    slope = slopes[order][np.searchsorted(summed, 0.5 * summed[-1])]
    off = np.abs(y - slope * x)
    limit = _OUTLIER * np.median(off) + _OUTLIER * _FLOOR * abs(slope) * np.abs(x) + abs(slope)
    kept = off <= limit
    return kept if kept.mean() >= 1 - _MOST_OUTLIERS else np.ones(len(x), dtype=bool)
