"""Figures of properties: curves of several models and of the reference, from results as plain data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from textwrap import fill
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gnnpot.report.figures import COLORS, FIGURE_STYLE, GREY

_PANEL = (4.4, 3.2)  # inches, of a figure beside others
_BLACK = "#111827"
_LEGEND = 32  # letters in a line of a legend
_WITHIN = 3  # lines whose names have room between curves
_DEEPEST, _HIGHEST = 1.3, 3.0  # of the deepest well of dimers, the part that is shown


class Curves(NamedTuple):
    """A figure by the name of its file, with the words that stand for it."""

    name: str
    alt: str
    figure: Figure

    @property
    def is_wide(self) -> bool:
        """Whether a page shows it alone in its row."""
        return self.figure.get_figwidth() > _PANEL[0]


def figures(summary: Mapping[str, Any]) -> list[Curves]:
    """All figures that the results of :func:`gnnpot.properties.run.properties` allow."""
    drawn = [
        _energy_volume(_with(summary, "equation_of_state")),
        _phonons(_with(summary, "phonons")),
        _expansion(_with(summary, "expansion")),
        _band_figure(_with(summary, "dynamics"), "radial_distribution", _RADIAL),
        _band_figure(_with(summary, "dynamics"), "angular_distribution", _ANGULAR),
        _band_figure(_with(summary, "dynamics"), "displacement", _DISPLACEMENT),
        _melting(_with(summary, "melting")),
        _migration(_with(summary, "migration")),
        *_dimers(_with(summary, "certificate")),
        _compression(_with(summary, "certificate")),
    ]
    return [one for one in drawn if one is not None]


class _Line(NamedTuple):
    """Results of one property by one model, and how its lines look."""

    name: str
    results: Mapping[str, Any]
    style: dict[str, Any]


def _with(summary: Mapping[str, Any], name: str) -> list[_Line]:
    """The models and the reference that have a property with curves; the reference is drawn last."""
    styles = [{"color": COLORS[place % len(COLORS)], "lw": 1.3} for place in range(len(summary["models"]))]
    every = [
        *zip(summary["models"], summary["models"].values(), styles, strict=True),
        ("reference", summary["reference"] or {}, {"color": _BLACK, "lw": 1.1, "ls": "--"}),
    ]
    return [
        _Line(fill(model, _LEGEND), found[name], dict(style))
        for model, found, style in every
        if isinstance(found.get(name), Mapping) and "failure" not in found[name]
    ]


def _simple(
    lines: list[_Line],
    name: str,
    *,
    title: str,
    labels: tuple[str, str],
    draw: Callable[[Axes, _Line], None],
) -> Curves | None:
    """A figure with one pair of axes."""
    if not lines:
        return None
    with _figure(_PANEL) as figure:
        axes = figure.subplots()
        for line in lines:
            draw(axes, line)
        axes.set(title=title, xlabel=labels[0], ylabel=labels[1])
        _named(axes, lines, within=_WITHIN)
    return Curves(name, f"{title} by {', '.join(line.name for line in lines)}", figure)


def _named(axes: Axes, lines: list[_Line], *, within: int) -> None:
    """A legend: between the curves for so many lines, else below, where it covers none."""
    if len(lines) <= within:
        axes.legend(frameon=False, fontsize="small")
        return
    figure = axes.get_figure()
    assert isinstance(figure, Figure)
    columns = int(figure.get_figwidth() // 2)
    height = sum(
        max(line.name.count("\n") + 1 for line in lines[first : first + columns])
        for first in range(0, len(lines), columns)
    )
    figure.set_figheight(figure.get_figheight() + 0.2 * height)
    figure.legend(loc="outside lower center", ncols=columns, frameon=False, fontsize="small")


@contextmanager
def _figure(size: tuple[float, float]) -> Iterator[Figure]:
    with mpl.rc_context(FIGURE_STYLE):
        yield Figure(figsize=size, layout="constrained")


def _energy_volume(lines: list[_Line]) -> Curves | None:
    def draw(axes: Axes, line: _Line) -> None:
        volumes, energies = np.array(line.results["volumes"]), np.array(line.results["energies"])
        above = (energies - line.results["energy"]) * 1000
        axes.plot(volumes, above, label=line.name, marker=".", ms=4, **line.style)

    lines = [line for line in lines if "volumes" in line.results]
    labels = ("Volume (Å³/atom)", "Energy above the minimum (meV/atom)")
    return _simple(lines, "equation_of_state", title="Equation of state", labels=labels, draw=draw)


def _phonons(lines: list[_Line]) -> Curves | None:
    lines = [line for line in lines if "bands" in line.results]
    if not lines:
        return None
    with _figure((6.8, 3.6)) as figure:
        bands, states = figure.subplots(1, 2, sharey=True, width_ratios=(3, 1))
        for line in lines:
            path = np.array(line.results["path"])
            drawn = bands.plot(path / path[-1], np.array(line.results["bands"]), **line.style)
            drawn[0].set_label(line.name)
            states.plot(line.results["density"], line.results["frequencies"], **line.style)
        last, special = lines[0].results["path"][-1], lines[0].results["labels"]
        for place, _ in special:
            bands.axvline(place / last, color=GREY, lw=0.5, zorder=0)
        bands.set_xticks([place / last for place, _ in special], [name for _, name in special])
        for axes in (bands, states):
            axes.axhline(0, color=GREY, lw=0.6, zorder=0)
        bands.set(title="Phonons", ylabel="Frequency (THz)", xlim=(0, 1))
        states.set(title="Density of states", xlabel="1/THz per cell")
        _named(bands, lines, within=1)
    return Curves("phonons", f"Phonons by {', '.join(line.name for line in lines)}", figure)


def _expansion(lines: list[_Line]) -> Curves | None:
    def draw(axes: Axes, line: _Line) -> None:
        axes.plot(line.results["temperatures"], line.results["linear"], label=line.name, **line.style)

    lines = [line for line in lines if "temperatures" in line.results]
    labels = ("Temperature (K)", "Linear expansion (10⁻⁶/K)")
    return _simple(lines, "expansion", title="Thermal expansion", labels=labels, draw=draw)


class _Band(NamedTuple):
    """A function with an error band among the results of dynamics."""

    name: str
    places: str
    values: str
    title: str
    labels: tuple[str, str]


_RADIAL = _Band("radial", "distances", "total", "Radial distribution", ("Distance (Å)", "g(r)"))
_ANGULAR = _Band(
    "angular", "angles", "density", "Angular distribution", ("Angle of bonds (°)", "Density (1/°)")
)
_DISPLACEMENT = _Band("displacement", "times", "squares", "Mean square displacement", ("Time (ps)", "Å²"))


def _band_figure(lines: list[_Line], name: str, band: _Band) -> Curves | None:
    def draw(axes: Axes, line: _Line) -> None:
        found = line.results[band.name]
        _banded(axes, found[band.places], found[band.values], found["band"], line)

    lines = [line for line in lines if band.name in line.results]
    return _simple(lines, name, title=band.title, labels=band.labels, draw=draw)


def _banded(axes: Axes, places: list[float], values: list[float], band: list[float], line: _Line) -> None:
    """A line with its standard deviation over runs."""
    middle, half = np.array(values, dtype=float), np.array(band, dtype=float)
    axes.plot(places, middle, label=line.name, **line.style)
    axes.fill_between(places, middle - half, middle + half, color=line.style["color"], alpha=0.2, lw=0)


def _melting(lines: list[_Line]) -> Curves | None:
    def draw(axes: Axes, line: _Line) -> None:
        color = line.style["color"]
        for trace in line.results["traces"]:
            axes.plot(line.results["times"], trace, color=color, lw=0.6, alpha=0.6)
        point, half = line.results["melting_point"], line.results["uncertainty"]
        axes.axhline(point, label=f"{line.name}: {point:.0f} ± {half:.0f} K", **line.style)

    lines = [line for line in lines if "traces" in line.results]
    labels = ("Time (ps)", "Temperature (K)")
    return _simple(lines, "melting", title="Solid and liquid side by side", labels=labels, draw=draw)


def _migration(lines: list[_Line]) -> Curves | None:
    def draw(axes: Axes, line: _Line) -> None:
        axes.plot(
            line.results["places"], line.results["energies"], label=line.name, marker="o", ms=3, **line.style
        )

    lines = [line for line in lines if "places" in line.results]
    labels = ("Length of the path (Å)", "Energy (eV)")
    return _simple(lines, "migration", title="Jump into a vacancy", labels=labels, draw=draw)


def _dimers(lines: list[_Line]) -> Iterator[Curves | None]:
    pairs = dict.fromkeys(pair for line in lines for pair in line.results["dimers"])
    for pair in pairs:
        there = [line for line in lines if pair in line.results["dimers"]]
        wells = [_values(line.results["dimers"][pair]["values"]) for line in there]
        deepest = max((float(-np.nanmin(well)) for well in wells if np.isfinite(well).any()), default=1.0)

        def draw(axes: Axes, line: _Line, pair: str = pair) -> None:
            curve = line.results["dimers"][pair]
            axes.plot(curve["places"], _values(curve["values"]), label=line.name, **line.style)

        drawn = _simple(
            there, f"dimer_{pair}", title=f"Dimer {pair}", labels=("Distance (Å)", "Energy (eV)"), draw=draw
        )
        if drawn is not None:
            scale = max(deepest, 0.1)
            drawn.figure.axes[0].set_ylim(-_DEEPEST * scale, _HIGHEST * scale)
            drawn.figure.axes[0].axhline(0, color=GREY, lw=0.6, zorder=0)
        yield drawn


def _compression(lines: list[_Line]) -> Curves | None:
    def draw(axes: Axes, line: _Line) -> None:
        curve = line.results["compression"]
        values = _values(curve["values"])
        axes.plot(curve["places"], values - np.nanmin(values), label=line.name, **line.style)

    lines = [line for line in lines if line.results.get("compression")]
    labels = ("Volume over that at rest", "Energy above the least (eV/atom)")
    return _simple(lines, "compression", title="Compressed and stretched", labels=labels, draw=draw)


def _values(values: list[float | None]) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in values])
