"""Figures of errors: predictions against labels, and errors over the epochs of a training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gnnpot.evaluation.calibration import Calibration, has_spread
from gnnpot.evaluation.evaluation import Evaluation
from gnnpot.report.figures import (
    BLUE,
    FIGURE_STYLE,
    GREEN,
    GREY,
    ORANGE,
    Drawing,
    Image,
    data_uri,
    scale_by_range,
)
from gnnpot.report.tables import number
from gnnpot.units import GPa, MPa, meV

Array = np.ndarray

_MANY = 400  # points: more are drawn as density
_LINES = {"train": GREY, "validation": BLUE}


class _Quantity(NamedTuple):
    title: str
    unit: str
    scale: float
    error_unit: str
    error_scale: float


_QUANTITIES = {
    "energy": _Quantity("Energy", "eV/atom", 1.0, "meV/atom", meV),
    "forces": _Quantity("Force components", "eV/Å", 1.0, "meV/Å", meV),
    "stress": _Quantity("Stress components", "GPa", GPa, "MPa", MPa),
}
_HISTORY = (
    ("loss", "Loss", ""),
    ("energy_rmse", "Energy RMSE", "meV/atom"),
    ("forces_rmse", "Force RMSE", "meV/Å"),
    ("stress_rmse", "Stress RMSE", "MPa"),
)


class _Drawn(NamedTuple):
    """A figure, and what it shows in words."""

    figure: Figure
    alt: str


def parity_figures(evaluation: Evaluation) -> dict[str, Figure]:
    """Predictions against labels and the distribution of errors, by labeled quantity."""
    return {name: drawn.figure for name, drawn in _parity(evaluation)}


def parity_images(evaluation: Evaluation) -> list[Image]:
    """The same as images of a page."""
    return [_image(drawn) for _, drawn in _parity(evaluation)]


def history_figures(
    history: Sequence[dict[str, float]], best_epoch: float | None = None
) -> dict[str, Figure]:
    """Loss, errors and learning rate over the epochs; a dashed line marks the best model."""
    return {name: drawn.figure for name, drawn in _histories(history, best_epoch)}


def history_images(history: Sequence[dict[str, float]], best_epoch: float) -> list[Image]:
    """The same as images of a page."""
    return [_image(drawn) for _, drawn in _histories(history, best_epoch)]


def _image(drawn: _Drawn) -> Image:
    with mpl.rc_context(FIGURE_STYLE):
        return Image(data_uri(drawn.figure), drawn.alt)


def _parity(evaluation: Evaluation) -> Iterator[tuple[str, _Drawn]]:
    for name, quantity in _QUANTITIES.items():
        label, predicted = getattr(evaluation, name).reshape(2, -1)
        labeled = ~np.isnan(label)
        if labeled.any():
            with mpl.rc_context(FIGURE_STYLE):
                drawn = _draw(label[labeled], predicted[labeled], quantity)
            yield name, drawn


def _histories(history: Sequence[dict[str, float]], best_epoch: float | None) -> Iterator[tuple[str, _Drawn]]:
    epochs = [row["epoch"] for row in history]
    for key, title, unit in (*_HISTORY, ("learning_rate", "Learning rate", "")):
        if key == "learning_rate":
            lines = {"rate": [row[key] for row in history]}
        else:
            lines = {part: [row.get(f"{part}_{key}", np.nan) for row in history] for part in _LINES}
        if not np.isnan(list(lines.values())[-1]).all():
            with mpl.rc_context(FIGURE_STYLE):
                drawn = _draw_history(epochs, lines, best_epoch, title=title, unit=unit)
            yield key, drawn


def calibration_images(evaluation: Evaluation) -> list[Image]:
    """Draw errors against the spread of a committee, with the factor that makes it honest."""
    images = []
    for name, found in evaluation.calibration().items():
        quantity, pair = _QUANTITIES[name], getattr(evaluation, name)
        errors, spreads = np.abs(pair[1] - pair[0]).ravel(), getattr(evaluation, f"{name}_spread").ravel()
        there = has_spread(errors, spreads) & (errors > 0)
        errors, spreads = (values[there] / quantity.error_scale for values in (errors, spreads))
        with mpl.rc_context(FIGURE_STYLE):
            images.append(_calibration_image(errors, spreads, found, quantity))
    return images


def _calibration_image(
    errors: Float[Array, "D"], spreads: Float[Array, "D"], found: Calibration, quantity: _Quantity
) -> Image:
    if found.width == 2:
        factor, (one, two) = found.factor, found.scaled_coverage
        said = f"factor {factor:.2f} ± {found.factor_error:.2f}\n"
    else:  # intervals that held-out errors have scaled
        factor, (one, two), said = 1.0, found.coverage, ""
    said += (
        f"within 1σ {one:.0%}, within {found.width:.3g}σ {two:.0%}\n"
        f"rank correlation {found.rank_correlation:.2f}"
    )
    figure = Drawing(figsize=(3.5, 3.2), layout="constrained")
    axis = figure.subplots()
    if len(errors) > _MANY:
        axis.hexbin(
            spreads, errors, gridsize=60, xscale="log", yscale="log", bins="log", cmap="viridis", mincnt=1,
            linewidths=0.1, rasterized=True,
        )  # fmt: skip
    else:
        axis.loglog(spreads, errors, "o", color=BLUE, ms=3.8, alpha=0.7, mec="none")
    ends = np.array([spreads.min(), spreads.max()])
    for width, style in ((1, "-"), (found.width, "--")):
        axis.plot(ends, width * factor * ends, color=ORANGE, lw=1, ls=style)
    axis.text(0.04, 0.97, said, transform=axis.transAxes, va="top", color="#374151", linespacing=1.4)
    unit = quantity.error_unit
    axis.set(title=quantity.title, xlabel=f"spread ({unit})", ylabel=f"size of the error ({unit})")
    return Image(data_uri(figure), f"{quantity.title}, errors against spread: {said.replace(chr(10), ', ')}")


def _draw(label: Float[Array, "V"], predicted: Float[Array, "V"], quantity: _Quantity) -> _Drawn:
    errors = (predicted - label) / quantity.error_scale
    rmse = np.sqrt(np.square(errors).mean())
    said = f"RMSE {number(float(rmse))} {quantity.error_unit}"
    if label.std() > 0:
        said += f"\nR² {1 - np.square(predicted - label).mean() / label.var():.4f}"
    figure = Drawing(figsize=(3.5, 4.6), layout="compressed")
    parity, spread = figure.subplots(2, 1, height_ratios=(3.4, 1))
    _draw_parity(parity, label / quantity.scale, predicted / quantity.scale)
    parity.text(
        0.04, 0.97, said, transform=parity.transAxes, va="top", color="#374151", linespacing=1.4,
        bbox={"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 1.5},
    )  # fmt: skip
    parity.set(
        title=quantity.title, xlabel=f"reference ({quantity.unit})", ylabel=f"predicted ({quantity.unit})"
    )
    _draw_spread(spread, errors)
    spread.set_xlabel(f"error ({quantity.error_unit})")
    values = f"{len(label):,} {'value' if len(label) == 1 else 'values'}"
    return _Drawn(
        figure,
        f"{quantity.title}, predicted against reference: {values}, {said.replace(chr(10), ', ')}",
    )


def _draw_parity(axis: Axes, label: Float[Array, "V"], predicted: Float[Array, "V"]) -> None:
    both = np.concatenate([label, predicted])
    margin = 0.04 * (np.ptp(both) or 1.0)
    limits = (both.min() - margin, both.max() + margin)
    axis.plot(limits, limits, color=GREY, lw=0.8, zorder=0)
    if len(label) > _MANY:
        axis.hexbin(
            label, predicted, gridsize=80, extent=(*limits, *limits), bins="log", cmap="viridis", mincnt=1,
            linewidths=0.1, rasterized=True,
        )  # fmt: skip
    else:
        axis.plot(label, predicted, "o", color=BLUE, ms=3.8, alpha=0.7, mec="none")
    axis.set(xlim=limits, ylim=limits, aspect="equal")
    count = 3 if np.abs(both).max() > 1000 else 4  # energies of all electrons have long labels
    for one in (axis.xaxis, axis.yaxis):
        one.set_major_locator(MaxNLocator(count))
    axis.ticklabel_format(useOffset=False, style="plain")


def _draw_spread(axis: Axes, errors: Float[Array, "V"]) -> None:
    reach = float(np.quantile(np.abs(errors), 0.995)) * 1.2 or 1.0
    bins = np.linspace(-reach, reach, 41).tolist()
    axis.hist(np.clip(errors, -reach, reach), bins=bins, color=BLUE, alpha=0.85)
    axis.axvline(0.0, color=GREY, lw=0.8)
    axis.set_yticks([])
    axis.spines["left"].set_visible(False)
    axis.xaxis.set_major_locator(MaxNLocator(4, symmetric=True))


def _draw_history(
    epochs: Sequence[float], lines: dict[str, list[float]], best_epoch: float | None, *, title: str, unit: str
) -> _Drawn:
    figure = Drawing(figsize=(2.9, 2.2), layout="constrained")
    axis = figure.subplots()
    marker = "o" if len(epochs) < 3 else None
    for name, values in lines.items():
        axis.plot(epochs, values, color=_LINES.get(name, GREEN), lw=1.4, marker=marker, ms=3)
    if best_epoch is not None:
        axis.axvline(best_epoch, color=ORANGE, lw=0.9, ls="--", zorder=0)
    axis.set(title=f"{title} ({unit})" if unit else title, xlabel="epoch")
    axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    everything = np.concatenate(list(lines.values()))
    scale_by_range(axis, everything[everything > 0])
    shown = ", ".join(f"{name} {values[-1]:.3g}" for name, values in lines.items())
    return _Drawn(figure, f"{title} over {len(epochs)} epochs; in the last one {shown} {unit}".rstrip())
