"""The report of a distillation: errors on the whole pool against the share of it that was used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

from gnnpot.learning.distillation_config import DistillConfig
from gnnpot.learning.story import Facts
from gnnpot.report.figures import COLORS, FIGURE_STYLE, Image, data_uri
from gnnpot.report.page import page, panels
from gnnpot.report.tables import facts_table, number, scrolled, table_row
from gnnpot.system.files import write_text
from gnnpot.version import __version__

_QUANTITIES = {
    "energy_mae": "Energy MAE (meV/atom)",
    "energy_largest": "Largest energy error (meV/atom)",
    "forces_mae": "Force MAE (meV/Å)",
    "energy_mae_of_labels": "Energy MAE against the pool's labels (meV/atom)",
    "forces_mae_of_labels": "Force MAE against the pool's labels (meV/Å)",
}
_SPREAD = "largest_spread"
_FEW_DECADES = (2.0, 0.5)  # within which ticks between powers of ten are labeled: all, and some
_NAMES = {"spread": "Highest spread", "farthest": "Farthest points", "grid": "Grid", "random": "Random"}


def write_distillation_report(path: Path, config: DistillConfig, result: Facts) -> None:
    """Write figures and tables as one HTML file.

    Args:
        path: File to write.
        config: The distillation.
        result: Content of ``result.json``.

    Raises:
        OutputError: The disk is full, or the folder cannot be written to.
    """
    curves = result["curves"]
    told = _told(curves, config)
    parts = [
        f"<h1>Distillation of {result['structures']:,} structures</h1>",
        f'<p class="lead">{escape(_sentence(result))}</p>',
        panels(_figures(curves, told)),
        *(f"<h2>{escape(_NAMES[rule])}</h2>{_table(curve, told)}" for rule, curve in curves.items()),
        *([f"<h2>Translated</h2>{_translated(config, result)}"] if "translated" in result else []),
        f"<h2>Settings</h2>{facts_table(_settings(config))}",
    ]
    write_text(path, page("Distillation", parts))


def _told(curves: Mapping[str, Sequence[Facts]], config: DistillConfig) -> dict[str, str]:
    """The quantities that there are, with their titles."""
    titles = {**_QUANTITIES, _SPREAD: f"Largest spread ({config.score.unit})"}
    points = [point for curve in curves.values() for point in curve]
    return {key: title for key, title in titles.items() if any(_there(point, key) for point in points)}


def _there(point: Facts, key: str) -> bool:
    return point.get(key) is not None


def _sentence(result: Facts) -> str:
    last = result["curves"].get(result["rule"], [{}])[-1]
    errors = [
        f"{name[0].lower()}{name[1:].partition(' (')[0]} {number(last[key])} {_unit(name)}"
        for key, name in _QUANTITIES.items()
        if _there(last, key)
    ]
    errors = errors or [f"largest spread {number(last[_SPREAD])} eV"]
    where = result["judged_on"]
    return f"With {last['size']:,} structures ({last['share']:.1%}): {', '.join(errors)} on {where}."


def _unit(title: str) -> str:
    return title.partition("(")[2].rstrip(")")


class _PlainNumbers(LogFormatter):
    """Ticks of a logarithm as 0.7 instead of 7e-01."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        return f"{x:g}" if super().__call__(x, pos) else ""


def _figures(curves: Mapping[str, Sequence[Facts]], told: Mapping[str, str]) -> list[Image]:
    images = []
    for key, title in told.items():
        with mpl.rc_context(FIGURE_STYLE):
            figure = Figure(figsize=(3.4, 2.8), layout="constrained")
            axis = figure.subplots()
            for color, (rule, curve) in zip(COLORS, curves.items(), strict=False):
                there = [(100 * point["share"], point[key]) for point in curve if _there(point, key)]
                axis.semilogy(*zip(*there, strict=True), "o-", color=color, ms=3, label=_NAMES[rule])
            axis.set(title=title.replace(" against", "\nagainst"), xlabel="share of the pool (%)")
            axis.yaxis.set_major_formatter(_PlainNumbers(minor_thresholds=_FEW_DECADES))
            axis.yaxis.set_minor_formatter(_PlainNumbers(minor_thresholds=_FEW_DECADES))
            figure.legend(frameon=False, fontsize=7, ncols=2, loc="outside lower center")
            last = "; ".join(f"{rule} {curve[-1][key]:.3g}" for rule, curve in curves.items())
            images.append(Image(data_uri(figure), f"{title} against the share of the pool, at last {last}"))
    return images


def _table(curve: Sequence[Facts], told: Mapping[str, str]) -> str:
    titles = [
        "structures",
        "share",
        *(title.replace(" (", "<br>(").replace(" against", "<br>against") for title in told.values()),
    ]
    head = "".join(f'<th scope="col">{title}</th>' for title in ("round", *titles))
    body = []
    for place, point in enumerate(curve):
        values = [number(point[key]) if _there(point, key) else "–" for key in told]
        body.append(table_row(str(place), [f"{point['size']:,}", f"{point['share']:.1%}", *values]))
    return scrolled(f'<tr class="only">{head}</tr>', body)


def _translated(config: DistillConfig, result: Facts) -> str:
    facts, change = result["translated"], config.translate
    assert change is not None
    errors = {
        f"{name} MAE, {facts['split']}": f"{number(facts[name]['mae'])} {unit}"
        for name, unit in (("energy", "meV/atom"), ("forces", "meV/Å"))
        if facts[name]
    }
    count = f"{facts['labeled']:,} of {facts['structures']:,} by {change.labeling.method.kind}"
    return facts_table({"change": change.change, "labels": count, **errors})


def _settings(config: DistillConfig) -> dict[str, str]:
    labeling = config.labeling
    return {
        "pool": ", ".join(map(str, config.pool)),
        "model": config.potential.model.kind,
        **({} if config.members is None else {"members": str(config.members.count)}),
        **({} if labeling is None else {"labels by": labeling.method.kind}),
        **({} if config.teacher is None else {"teacher": ", ".join(config.teacher)}),
        "score": f"{config.score.of}, {config.score.atoms} atoms",
        "seed": str(config.seed),
        "gnnpot": __version__,
    }
