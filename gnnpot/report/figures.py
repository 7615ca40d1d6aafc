"""Figures as images that a page can hold; dense point clouds are drawn as pixels inside them."""

from __future__ import annotations

from base64 import b64encode
from io import BytesIO
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

Array = np.ndarray

# Okabe and Ito's palette, told apart with any color vision
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#6b7280"
COLORS = (BLUE, ORANGE, GREEN, "#CC79A7", "#56B4E9", "#E69F00", GREY)  # the rest of it
FIGURE_STYLE = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.labelcolor": "#111827",
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "xtick.color": GREY,
    "ytick.color": GREY,
    "svg.fonttype": "path",
    "svg.hashsalt": "gnnpot",
}


class Drawing(Figure):
    """A figure that a notebook shows, with or without pyplot."""

    def _repr_png_(self) -> bytes:
        buffer = BytesIO()
        FigureCanvasAgg(self).print_figure(buffer, format="png", dpi=120)
        return buffer.getvalue()


class Image(NamedTuple):
    """A picture with its alternative text."""

    source: str  # data URI
    alt: str


def scale_by_range(axis: Axes, values: Float[Array, "V"]) -> None:
    """Make the y axis logarithmic with readable tick labels; it stays linear within a factor of 3."""
    decades = float(np.log10(values.max() / values.min())) if len(values) else 0.0
    if decades < 0.5:
        axis.yaxis.set_major_locator(MaxNLocator(4))
        return
    axis.set_yscale("log")
    axis.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if decades < 2 else (1.0,), numticks=7))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.yaxis.set_minor_formatter(NullFormatter())


def data_uri(figure: Figure) -> str:
    """Encode the figure as a separate SVG image, so that its ids cannot clash with another figure's."""
    buffer = BytesIO()
    FigureCanvasSVG(figure).print_figure(
        buffer, format="svg", dpi=200, metadata={"Date": None, "Creator": None}
    )
    return f"data:image/svg+xml;base64,{b64encode(buffer.getvalue()).decode()}"
