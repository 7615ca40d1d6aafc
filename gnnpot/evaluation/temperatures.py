"""Errors by the temperature of the structures: how far a potential carries to heat that it has not seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from ase import Atoms
from jaxtyping import Float
from matplotlib.figure import Figure

from gnnpot.report.figures import COLORS, FIGURE_STYLE, Image, data_uri
from gnnpot.units import meV

if TYPE_CHECKING:
    from gnnpot.evaluation.evaluation import Evaluation

Array = np.ndarray

_MOST, _BINS = 12, 8  # different temperatures that are told apart, and bins of more of them


def temperature_of(atoms: Atoms) -> float:
    """The temperature that ``info`` tells of a structure (K), or NaN."""
    value = atoms.info.get("temperature")
    return float(value) if isinstance(value, int | float | np.number) and np.isfinite(value) else np.nan


def temperature_classes(temperatures: Float[Array, "S"]) -> Float[Array, "S"]:
    """The temperatures (K), or where they are many the middle of the bin of each; NaN stays."""
    known = temperatures[np.isfinite(temperatures)]
    if len(np.unique(known)) <= _MOST:
        return temperatures
    edges = np.linspace(known.min(), known.max(), _BINS + 1)
    places = np.clip(np.digitize(temperatures, edges) - 1, 0, _BINS - 1)
    middles = np.round((edges[:-1] + edges[1:]) / 2)
    return np.where(np.isfinite(temperatures), middles[places], np.nan)


def temperature_image(evaluations: Mapping[str, Evaluation]) -> Image | None:
    """Boxes of the force errors of structures at each temperature, one color for each potential.

    A box holds the middle half of the structures, its line the median; whiskers reach 1.5 times its length.

    Args:
        evaluations: Of potentials by name.

    Returns:
        The figure, or None where fewer than two temperatures have force labels.
    """
    found = {name: _boxes(one) for name, one in evaluations.items()}
    known = sorted({temperature for boxes in found.values() for temperature in boxes})
    if len(known) < 2:
        return None
    width, said = 0.8 / len(found), []
    with mpl.rc_context(FIGURE_STYLE):
        figure = Figure(figsize=(3.5, 3.0), layout="constrained")
        axis = figure.subplots()
        for place, (name, boxes) in enumerate(found.items()):
            color = COLORS[place % len(COLORS)]
            middles = [known.index(one) + (place - (len(found) - 1) / 2) * width for one in boxes]
            axis.boxplot(
                list(boxes.values()), positions=middles, widths=0.85 * width, manage_ticks=False,
                patch_artist=True, boxprops={"facecolor": color, "alpha": 0.35, "edgecolor": color},
                medianprops={"color": color, "lw": 1.6}, whiskerprops={"color": color},
                capprops={"color": color}, flierprops={"marker": ".", "ms": 3, "mec": color},
            )  # fmt: skip
            axis.plot([], [], color=color, lw=5, alpha=0.5, label=name)
            medians = ", ".join(f"{np.median(boxes[one]):.3g} at {one:g} K" for one in boxes)
            said.append(f"{name}: {medians}")
        axis.set_xticks(range(len(known)), [f"{one:g}" for one in known])
        axis.set(title="Force RMSE by temperature (meV/Å)", xlabel="Temperature (K)", ylim=(0, None))
        if len(found) > 1:
            axis.legend(frameon=False, fontsize="small")
        return Image(data_uri(figure), f"Force RMSE of structures by temperature, medians: {'; '.join(said)}")


def _boxes(evaluation: Evaluation) -> dict[float, Array]:
    """Force RMSE of the structures at each temperature (meV/Å)."""
    classes = temperature_classes(np.array(evaluation.temperatures, dtype=float))
    errors = evaluation.force_errors / meV
    boxes = {}
    for one in np.unique(classes[np.isfinite(classes)]).tolist():
        own = errors[(classes == one) & np.isfinite(errors)]
        if len(own):
            boxes[one] = own
    return boxes
