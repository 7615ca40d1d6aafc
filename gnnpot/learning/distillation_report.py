"""The report of a distillation: errors on the whole pool against the share of it that was used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

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
}


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
    parts = [
        f"<h1>Distillation of {result['structures']:,} structures</h1>",
        f'<p class="lead">{escape(_sentence(result))}</p>',
        panels(_figures(curves)),
        *(f"<h2>{escape(rule)}</h2>{_table(curve)}" for rule, curve in curves.items()),
        f"<h2>Settings</h2>{facts_table(_settings(config))}",
    ]
    write_text(path, page("Distillation", parts))


def _sentence(result: Facts) -> str:
    last = result["curves"][result["rule"]][-1]
    errors = [
        f"{name.partition(' (')[0]} {number(last[key])} {name.partition('(')[2].rstrip(')')}"
        for key, name in _QUANTITIES.items()
        if last[key] is not None
    ]
    return f"With {last['size']:,} structures ({last['share']:.1%}): {', '.join(errors)} on the whole pool."


def _figures(curves: Mapping[str, Sequence[Facts]]) -> list[Image]:
    images = []
    for key, title in _QUANTITIES.items():
        if any(point[key] is None for curve in curves.values() for point in curve):
            continue
        with mpl.rc_context(FIGURE_STYLE):
            figure = Figure(figsize=(3.4, 2.6), layout="constrained")
            axis = figure.subplots()
            for color, (rule, curve) in zip(COLORS, curves.items(), strict=False):
                shares = [100 * point["share"] for point in curve]
                axis.semilogy(shares, [point[key] for point in curve], "o-", color=color, ms=3, label=rule)
            axis.set(title=title, xlabel="share of the pool (%)")
            axis.legend(frameon=False)
            told = "; ".join(f"{rule} {curve[-1][key]:.3g}" for rule, curve in curves.items())
            images.append(Image(data_uri(figure), f"{title} against the share of the pool, at last {told}"))
    return images


def _table(curve: Sequence[Facts]) -> str:
    titles = ["structures", "share", *_QUANTITIES.values()]
    head = "".join(f'<th scope="col">{title}</th>' for title in ("round", *titles))
    body = []
    for place, point in enumerate(curve):
        values = ["–" if point[key] is None else number(point[key]) for key in _QUANTITIES]
        body.append(table_row(str(place), [f"{point['size']:,}", f"{point['share']:.1%}", *values]))
    return scrolled(f'<tr class="only">{head}</tr>', body)


def _settings(config: DistillConfig) -> dict[str, str]:
    return {
        "pool": ", ".join(map(str, config.pool)),
        "committee": f"{config.members.count} {config.potential.model.kind}",
        "score": f"{config.score.of}, {config.score.atoms} atoms",
        "seed": str(config.seed),
        "gnnpot": __version__,
    }
