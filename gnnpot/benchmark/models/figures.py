"""Figures of a comparison of models: error against training set size, training time and speed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from gnnpot.benchmark.trials import PROPERTIES, UNITS, Comparison, Point
from gnnpot.report.figures import COLORS, FIGURE_STYLE, GREY, Image, data_uri
from gnnpot.report.tables import number

_EMPTY = "no model to draw"
_NAMES = {PROPERTIES: "Deviation of properties", "forces": "Force RMSE", "energy": "Energy RMSE"}
_MARKERS = "osD^vPX*"  # tell models apart where the colors come round again


def model_color(comparison: Comparison, model: str) -> str:
    """The color of a model in all figures."""
    return COLORS[comparison.models.index(model) % len(COLORS)]


def comparison_images(comparison: Comparison) -> list[Image]:
    """Draw panels for properties, forces and energy, as far as models are compared by them."""
    drawn: tuple[tuple[str, Callable[[Axes, Comparison, str], str]], ...] = (
        ("frames", _draw_frames),
        ("training time (s)", _draw_time),
        ("µs per atom and step of dynamics", _draw_speed),
    )
    images = []
    for quantity in (PROPERTIES, "forces", "energy"):
        if quantity not in comparison.quantities:
            continue
        for label, draw in drawn:
            if (quantity, draw) == (PROPERTIES, _draw_time):
                continue
            with mpl.rc_context(FIGURE_STYLE):
                figure = Figure(figsize=(3.5, 3.0), layout="constrained")
                axis = figure.subplots()
                said = draw(axis, comparison, quantity)
                if not said:
                    _leave_empty(axis)
                name = _NAMES[quantity]
                axis.set(title=f"{name} ({UNITS[quantity]})", xlabel=label)
                images.append(Image(data_uri(figure), f"{name} against {label}: {said or _EMPTY}"))
    return images


def _draw_frames(axis: Axes, comparison: Comparison, quantity: str) -> str:
    """Draw the mean over the seeds, and each seed as a small point."""
    sizes, said = comparison.sizes, []
    for model in comparison.models:
        means = [comparison.spread(model, size, quantity).mean for size in sizes]
        if not np.isfinite(means).any():
            continue
        axis.plot(sizes, means, lw=1.4, ms=5, **_look(comparison, model))
        for trial in comparison.trials:
            if trial.model == model:
                axis.plot(trial.size, trial.rmse(quantity), ms=2.5, alpha=0.5, **_look(comparison, model))
        said.append(f"{model} {number(means[-1])} at {sizes[-1]}")
    _log(axis, "xy")
    axis.set_xticks(sizes, [str(size) for size in sizes])
    return ", ".join(said)


def _draw_time(axis: Axes, comparison: Comparison, quantity: str) -> str:
    """Draw validation error against training time for the largest size."""
    said: dict[str, str] = {}
    for model in comparison.models:
        for trial in comparison.trials:
            errors = [_error(point, quantity) for point in trial.history]
            if (trial.model, trial.size) != (model, comparison.sizes[-1]) or not np.isfinite(errors).any():
                continue
            times = [point.seconds for point in trial.history]
            axis.step(
                times, errors, where="post", lw=1.3, alpha=0.4 if model in said else 0.9,
                color=model_color(comparison, model),
            )  # fmt: skip
            axis.plot(times[-1], errors[-1], ms=5, **_look(comparison, model))
            said.setdefault(model, f"{model} {number(errors[-1])} after {times[-1]:.0f} s")
    _log(axis, "xy")
    return f"on validation, {', '.join(said.values())}" if said else ""


def _draw_speed(axis: Axes, comparison: Comparison, quantity: str) -> str:
    """Draw each model as a point, and the Pareto front as rings joined by a line."""
    size, said, best = comparison.sizes[-1], [], []
    for one in comparison.measurements:
        error = comparison.spread(one.model, size, quantity).mean
        if not np.isfinite([one.microseconds, error]).all():
            continue
        axis.plot(one.microseconds, error, ms=6, **_look(comparison, one.model))
        is_best = one.model in comparison.front
        if is_best:
            best.append((one.microseconds, error))
        said.append(
            f"{one.model} {number(error)} at {number(one.microseconds)}{' (front)' if is_best else ''}"
        )
    if best and quantity == comparison.headline:
        costs, errors = zip(*sorted(best), strict=True)
        axis.step(costs, errors, where="post", color=GREY, lw=0.9, ls="--", zorder=0)
        axis.plot(costs, errors, "o", ms=13, mfc="none", mec=GREY, mew=0.9)
    _log(axis, "xy")
    axis.margins(0.18)
    return ", ".join(said)


def _leave_empty(axis: Axes) -> None:
    """Label an empty panel."""
    axis.set(xscale="linear", yscale="linear", xticks=[], yticks=[])
    axis.text(0.5, 0.5, _EMPTY, transform=axis.transAxes, ha="center", va="center", color=GREY)


def _look(comparison: Comparison, model: str) -> dict[str, Any]:
    place = comparison.models.index(model)
    return {"color": model_color(comparison, model), "marker": _MARKERS[place % len(_MARKERS)]}


def _error(point: Point, quantity: str) -> float:
    """Of the validation structures; there are no properties along the way."""
    return {"forces": point.forces, "energy": point.energy}.get(quantity, np.nan)


def _log(axis: Axes, names: str) -> None:
    """Make both axes logarithmic, with readable tick labels."""
    for name in names:
        one = axis.xaxis if name == "x" else axis.yaxis
        (axis.set_xscale if name == "x" else axis.set_yscale)("log")
        low, high = one.get_data_interval()
        decades = np.log10(high / low) if low > 0 and np.isfinite([low, high]).all() else 0.0
        steps = (1.0,) if decades > 2 else (1.0, 2.0, 5.0)
        one.set_major_locator(LogLocator(subs=steps, numticks=7) if decades > 0.5 else MaxNLocator(4))
        one.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        one.set_minor_formatter(NullFormatter())
        one.set_minor_locator(NullLocator())
