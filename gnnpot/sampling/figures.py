"""Figures of what was sampled."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

import matplotlib as mpl
import numpy as np
from ase import units
from jaxtyping import Float
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from gnnpot.files import write_bytes
from gnnpot.report.figures import BLUE, FIGURE_STYLE, GREY
from gnnpot.sampling.bias import Bias
from gnnpot.sampling.steered import WorkCurve

Array = np.ndarray


def draw_momt(bias: Bias, path: Path) -> None:
    """Draw how often each enthalpy and order came, and the free energy at T_0 that the bias implies."""
    visited = bias.histogram > 0
    surface = np.where(visited, -bias.nodes, np.nan) / (units.kB * bias.temperature)
    if visited.any():
        surface -= np.nanmin(surface)
    panels = {
        "Visits": np.where(visited, bias.histogram, np.nan),
        f"Free energy at {bias.temperature:g} K (kT)": surface,
    }
    with mpl.rc_context(FIGURE_STYLE):
        figure = Figure(figsize=(9, 3.6), layout="constrained")
        for place, (title, values) in enumerate(panels.items(), start=1):
            _panel(figure, place, bias, title, values)
        _save(figure, path)


def draw_steered(curves: Mapping[int, WorkCurve], path: Path) -> None:
    """Draw work and force along the spring, a line for each run."""
    with mpl.rc_context(FIGURE_STYLE):
        figure = Figure(figsize=(9, 3.4), layout="constrained")
        work, force = figure.subplots(1, 2)
        for number, curve in curves.items():
            color = BLUE if number == 0 else GREY
            work.plot(curve.targets, curve.work, color=color, lw=1.2)
            force.plot(curve.targets, curve.forces, color=color, lw=0.6)
        energies = [curve.activation_energy for curve in curves.values()]
        work.set(title=f"Work, at most {np.mean(energies):.2f} eV", ylabel="Work (eV)")
        force.set(title="Force of the spring", ylabel="Force (eV/Å)")
        for axes in (work, force):
            axes.set_xlabel("Length of the spring (Å)")
        _save(figure, path)


def _panel(figure: Figure, place: int, bias: Bias, title: str, values: Float[Array, "H O"]) -> None:
    axes = figure.add_subplot(1, 2, place)
    mesh = bias.config
    drawn = axes.pcolormesh(mesh.order.values, mesh.enthalpy.values, values, rasterized=True)
    figure.colorbar(drawn, ax=axes)
    axes.set(title=title, xlabel="Order parameter", ylabel="Enthalpy (eV)")


def _save(figure: Figure, path: Path) -> None:
    drawn = BytesIO()
    FigureCanvasSVG(figure).print_svg(drawn, metadata={"Date": None})
    write_bytes(path, drawn.getvalue())
