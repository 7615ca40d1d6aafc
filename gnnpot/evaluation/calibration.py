"""Errors against the spread that foretold them: is an uncertainty honest?"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from scipy.stats import rankdata

Array = np.ndarray

_ROUNDING = 1e-6  # eV or eV/Å


class Calibration(NamedTuple):
    r"""How errors :math:`e` and spreads :math:`s` of held-out data go together.

    Attributes:
        factor: :math:`\alpha` that makes normal errors of deviation :math:`\alpha s` most likely, the root
            mean square of :math:`e / s`; 1 for an honest spread.
        factor_error: Standard error of the factor over the data.
        coverage: Share of the errors within one spread, and within ``width`` of them, as they are.
        scaled_coverage: The same with spreads times the factor; 0.683 and 0.954 for normal errors.
        width: Number of spreads that should hold 95 %: two, or as many as held-out errors have shown.
        log_likelihood: Mean logarithm of the density of an error, spreads scaled (1/unit of the error).
        rank_correlation: Spearman's, of the size of the error with the spread.
    """

    factor: float
    factor_error: float
    coverage: tuple[float, float]
    scaled_coverage: tuple[float, float]
    log_likelihood: float
    rank_correlation: float
    width: float = 2.0


def calibration(
    errors: Float[Array, "D"], spreads: Float[Array, "D"], width: float = 2.0
) -> Calibration | None:
    """The calibration of spreads on these errors; None with fewer than three that have a spread.

    Values on which all agree to a millionth, as symmetry makes the forces of a perfect crystal, say nothing
    of how sure a committee is, and are left out.

    Args:
        errors: Prediction less label; NaN without a label, which is left out.
        spreads: Standard deviations, of the same unit.
        width: Number of them that should hold 95 % of the errors.
    """
    there = has_spread(errors, spreads)
    errors, spreads = np.asarray(errors, dtype=float)[there], np.asarray(spreads, dtype=float)[there]
    if len(errors) < 3:
        return None
    ratios = np.square(errors / spreads)
    factor = float(np.sqrt(ratios.mean()))
    if not factor > 0:
        return None
    scaled = factor * spreads
    density = -0.5 * np.square(errors / scaled) - np.log(scaled * np.sqrt(2 * np.pi))
    return Calibration(
        factor=factor,
        factor_error=float(ratios.std(ddof=1) / np.sqrt(len(ratios)) / (2 * factor)),
        coverage=_coverage(errors, spreads, width),
        scaled_coverage=_coverage(errors, scaled, width),
        log_likelihood=float(density.mean()),
        rank_correlation=_rank_correlation(np.abs(errors), spreads),
        width=width,
    )


def has_spread(errors: Float[Array, "D"], spreads: Float[Array, "D"]) -> Bool[Array, "D"]:
    """Where there are an error and a spread beyond rounding (eV or eV/Å)."""
    return np.isfinite(errors) & (np.asarray(spreads) > _ROUNDING)


def _coverage(errors: Float[Array, "D"], spreads: Float[Array, "D"], width: float) -> tuple[float, float]:
    one, two = (float((np.abs(errors) <= count * spreads).mean()) for count in (1, width))
    return one, two


def _rank_correlation(ones: Float[Array, "D"], others: Float[Array, "D"]) -> float:
    ranks = np.stack([rankdata(ones), rankdata(others)])
    if not (ranks.std(axis=1) > 0).all():
        return 0.0
    return float(np.corrcoef(ranks)[0, 1])
