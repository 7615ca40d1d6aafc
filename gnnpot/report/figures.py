"""Figures as inline SVG; dense point clouds are drawn as pixels inside it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from io import StringIO

import matplotlib as mpl
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from gnnpot.evaluation import Evaluation
from gnnpot.units import GPa, meV

Array = np.ndarray

# Okabe and Ito's palette, told apart with any color vision
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#6b7280"
_STYLE = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.labelcolor": "#111827",
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "xtick.color": GREY,
    "ytick.color": GREY,
    "svg.fonttype": "path",
    "svg.hashsalt": "gnnpot",
}
_MANY = 400  # points: more are drawn as density


def parity_figure(evaluation: Evaluation) -> str:
    """Prediction against label of energy, forces and stress, and how their errors are spread."""
    panels = [
        ("energy", "eV/atom", "meV/atom", evaluation.energy, 1.0, meV),
        ("force components", "eV/Å", "meV/Å", evaluation.forces, 1.0, meV),
        ("stress components", "GPa", "MPa", evaluation.stress, GPa, GPa / 1000),
    ]
    there = [panel for panel in panels if not np.isnan(panel[3][0]).all()]
    figure = _figure(3.35 * len(there), 4.6)
    grid = figure.subplots(2, len(there), squeeze=False, height_ratios=(3, 1))
    for column, (name, unit, error_unit, pair, scale, error_scale) in enumerate(there):
        label, predicted = (values.ravel() for values in pair)
        labeled = ~np.isnan(label)
        label, predicted = label[labeled], predicted[labeled]
        _parity(grid[0, column], label / scale, predicted / scale)
        grid[0, column].set(title=name, xlabel=f"reference ({unit})", ylabel=f"predicted ({unit})")
        _errors(grid[1, column], (predicted - label) / error_scale)
        grid[1, column].set_xlabel(f"error ({error_unit})")
    return _svg(figure)


def history_figure(history: Sequence[dict[str, float]], best_epoch: float) -> str:
    """Loss, errors and learning rate over the epochs."""
    epochs = [row["epoch"] for row in history]
    panels = [("loss", "loss", ""), ("energy", "energy RMSE", "meV/atom"), ("forces", "force RMSE", "meV/Å")]
    panels += [("stress", "stress RMSE", "MPa")]
    keys = {name: name if name == "loss" else f"{name}_rmse" for name, _, _ in panels}
    there = [panel for panel in panels if f"validation_{keys[panel[0]]}" in history[0]]
    figure = _figure(2.6 * (len(there) + 1), 2.5)
    axes = figure.subplots(1, len(there) + 1, squeeze=False)[0]
    for axis, (name, title, unit) in zip(axes, there, strict=False):
        for part, color in (("train", GREY), ("validation", BLUE)):
            values = [row.get(f"{part}_{keys[name]}", np.nan) for row in history]
            axis.plot(epochs, values, color=color, lw=1.4, label=part)
        axis.set(title=title, ylabel=unit, yscale="log")
        axis.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.yaxis.set_minor_formatter(NullFormatter())
    axes[-1].plot(epochs, [row["learning_rate"] for row in history], color=GREEN, lw=1.4)
    axes[-1].set(title="learning rate", yscale="log")
    for axis in axes:
        axis.axvline(best_epoch, color=ORANGE, lw=0.9, ls="--")
        axis.set_xlabel("epoch")
        axis.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes[0].legend(frameon=False, loc="upper right")
    return _svg(figure)


def _parity(axis: Axes, label: Float[Array, "V"], predicted: Float[Array, "V"]) -> None:
    both = np.concatenate([label, predicted])
    margin = 0.04 * (np.ptp(both) or 1.0)
    limits = (both.min() - margin, both.max() + margin)
    axis.plot(limits, limits, color=GREY, lw=0.8, zorder=0)
    if len(label) > _MANY:
        axis.hexbin(
            label, predicted, gridsize=70, extent=(*limits, *limits), bins="log", cmap="viridis", mincnt=1,
            linewidths=0.1, rasterized=True,
        )  # fmt: skip
    else:
        axis.plot(label, predicted, "o", color=BLUE, ms=3.5, alpha=0.7, mec="none")
    axis.set(xlim=limits, ylim=limits, aspect="equal")
    for one in (axis.xaxis, axis.yaxis):
        one.set_major_locator(MaxNLocator(4))
    if len(label) > 1 and label.std() > 0:
        r2 = 1 - np.square(predicted - label).sum() / np.square(label - label.mean()).sum()
        axis.text(0.04, 0.95, f"R² {r2:.4f}", transform=axis.transAxes, va="top", color=GREY)


def _errors(axis: Axes, errors: Float[Array, "V"]) -> None:
    reach = float(np.quantile(np.abs(errors), 0.995)) * 1.2 or 1.0
    bins = np.linspace(-reach, reach, 41).tolist()
    axis.hist(np.clip(errors, -reach, reach), bins=bins, color=BLUE, alpha=0.85)
    axis.axvline(0.0, color=GREY, lw=0.8)
    axis.set_yticks([])
    axis.spines["left"].set_visible(False)
    axis.xaxis.set_major_locator(MaxNLocator(5))


def _figure(width: float, height: float) -> Figure:
    with mpl.rc_context(_STYLE):
        return Figure(figsize=(width, height), layout="constrained", dpi=130)


def _svg(figure: Figure) -> str:
    """The figure as an SVG element that takes the width it is given."""
    with mpl.rc_context(_STYLE):
        for axis in figure.axes:
            for side in ("top", "right"):
                axis.spines[side].set_visible(False)
        buffer = StringIO()
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r'<svg ([^>]*?)height="[^"]*"([^>]*?)width="[^"]*"', r"<svg \1\2", text, count=1)
    return re.sub(r'(<svg [^>]*?)width="[^"]*"([^>]*?)height="[^"]*"', r"\1\2", text, count=1)
