"""Figures of sampling runs."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

import matplotlib as mpl
import numpy as np
from ase import units
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure

from gnnpot.report.figures import COLORS, FIGURE_STYLE, GREY
from gnnpot.sampling.momt.bias import Bias
from gnnpot.sampling.steered import WorkCurve
from gnnpot.system.files import write_bytes

Array = np.ndarray

_NAMED = 8  # runs in the legend


def draw_momt(bias: Bias, path: Path) -> None:
    """Draw the histogram of enthalpy and order, and the free energy at T_0 that the bias implies.

    While the bias grows by constant steps, the surface is uncertain by several kT.
    """
    visited = bias.histogram > 0
    surface = np.where(visited, -bias.nodes, np.nan) / (units.kB * bias.temperature)
    if visited.any():
        surface -= np.nanmin(surface)
    state = "" if bias.is_frozen else ", bias still growing"
    with mpl.rc_context(FIGURE_STYLE):
        figure = Figure(figsize=(9, 3.6), layout="constrained")
        counts, energies = figure.subplots(1, 2, sharey=True)
        visits = np.where(visited, bias.histogram, np.nan)
        _surface(counts, bias, visits, label="Visits", norm=LogNorm(1, max(bias.histogram.max(), 2)))
        counts.set(title="Visits", ylabel="Enthalpy (eV)")
        _surface(energies, bias, surface, label="Free energy (kT)")
        energies.set_title(f"Free energy at {bias.temperature:g} K{state}")
        _save(figure, path)


def draw_steered(curves: Mapping[int, WorkCurve], path: Path) -> None:
    """Draw work and force along the spring for each run, and mark the maximum of the work."""
    energies = [curve.activation_energy for curve in curves.values()]
    spread = f" ± {np.std(energies, ddof=1):.2f}" if len(energies) > 1 else ""
    with mpl.rc_context(FIGURE_STYLE):
        figure = Figure(figsize=(9, 3.6), layout="constrained")
        work, force = figure.subplots(1, 2)
        for place, (number, curve) in enumerate(curves.items()):
            color, top = COLORS[place % len(COLORS)], int(curve.work.argmax())
            name = f"run {number}: {curve.activation_energy:.2f} eV" if place < _NAMED else None
            work.plot(curve.targets, curve.work, color=color, lw=1.2, label=name)
            work.plot(curve.targets[top], curve.work[top], "o", color=color, ms=4)
            force.plot(curve.targets, curve.forces, color=color, lw=0.6)
        work.set(title=f"Work, at most {np.mean(energies):.2f}{spread} eV", ylabel="Work (eV)")
        work.legend(frameon=False, loc="upper left")
        force.set(title="Force of the spring", ylabel="Force (eV/Å)")
        force.axhline(0, color=GREY, lw=0.6, zorder=0)
        for axes in (work, force):
            axes.set_xlabel("Length of the spring (Å)")
        _save(figure, path)


def draw_dynamics(log: Array, timestep: float, path: Path) -> None:
    """Draw temperature, energies and pressure over time, each run in a color of its own.

    Args:
        log: Rows of the log (:func:`gnnpot.sampling.log.read_log`).
        timestep: fs.
        path: The SVG file.
    """
    numbers = np.unique(log["run"]).astype(int)
    with mpl.rc_context(FIGURE_STYLE):
        figure = Figure(figsize=(7, 6), layout="constrained")
        temperature, energy, pressure = figure.subplots(3, 1, sharex=True)
        for place, number in enumerate(numbers):
            rows, color = log[log["run"] == number], COLORS[place % len(COLORS)]
            time = rows["step"] * timestep / 1000
            name = f"run {number}" if len(numbers) > 1 and place < _NAMED else None
            temperature.plot(time, rows["kinetic_temperature"], color=color, lw=1, label=name)
            start = rows["potential_energy"][0]
            energy.plot(time, rows["potential_energy"] - start, color=color, lw=1)
            energy.plot(time, rows["total_energy"] - start, color=color, lw=1, ls="--")
            pressure.plot(time, rows["pressure_GPa"], color=color, lw=1)
        temperature.set(title="Temperature", ylabel="K")
        energy.set(title="Energy: potential (solid) and total (dashed)", ylabel="eV above the first")
        pressure.set(title="Pressure", ylabel="GPa", xlabel="Time (ps)")
        if not np.isfinite(log["pressure_GPa"]).any():
            pressure.text(0.5, 0.5, "no stress", transform=pressure.transAxes, ha="center", color=GREY)
        if len(numbers) > 1:
            temperature.legend(frameon=False, ncols=4, fontsize="small")
        _save(figure, path)


def _surface(
    axes: Axes, bias: Bias, values: Float[Array, "H O"], *, label: str, norm: Normalize | None = None
) -> None:
    mesh = bias.config
    drawn = axes.pcolormesh(mesh.order.values, mesh.enthalpy.values, values, norm=norm, rasterized=True)
    axes.figure.colorbar(drawn, ax=axes, label=label)
    axes.set_xlabel("Order parameter")


def _save(figure: Figure, path: Path) -> None:
    drawn = BytesIO()
    FigureCanvasSVG(figure).print_svg(drawn, metadata={"Date": None})
    write_bytes(path, drawn.getvalue())
