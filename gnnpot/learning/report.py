"""The report of a loop: a row and a point for each round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gnnpot.learning.config import LearnConfig
from gnnpot.learning.story import Facts, Round
from gnnpot.report.figures import BLUE, COLORS, FIGURE_STYLE, GREY, ORANGE, Image, data_uri
from gnnpot.report.page import page, panels, warnings_list
from gnnpot.report.tables import facts_table, number, scrolled, table_row
from gnnpot.system.files import write_text
from gnnpot.version import __version__

_COLORS = (GREY, "#b9bfc9", *[color for color in COLORS if color != GREY], "#4b5563")
_PHASES = ("initial", "reference", "sample", "score", "select", "label", "train", "property", "judge")


def write_loop_report(path: Path, config: LearnConfig, rounds: Sequence[Round], result: Facts) -> None:
    """Write the report of the rounds so far as one HTML file.

    Args:
        path: File to write.
        config: The loop.
        rounds: All so far.
        result: Content of ``result.json``.

    Raises:
        OutputError: The disk is full, or the folder cannot be written to.
    """
    complaints = [f"round {one.number}, {text}" for one in rounds for text in one.complaints]
    notes = [f"round {one.number}: {one['select']['note']}" for one in rounds if "note" in one["select"]]
    model = f"<pre>GNNPotCalculator({escape(repr(result['model']))})</pre>" if result["model"] else ""
    parts = [
        "<h1>Active learning</h1>",
        f'<p class="lead">{escape(_sentence(result))}</p>',
        model,
        warnings_list([*complaints, *notes], "What went wrong"),
        f"<h2>Rounds</h2>{_table(rounds, config)}",
        f"<h2>Over the rounds</h2>{panels(_figures(rounds, config, result))}",
        f"<h2>What was selected</h2>{_selection(rounds)}",
        f"<h2>Settings</h2>{facts_table(_settings(config))}",
    ]
    write_text(path, page("Active learning", parts))


def _sentence(result: Facts) -> str:
    work = f" Work: {result['property']:.3f} eV." if result["property"] is not None else ""
    if result["reference"] is not None:
        work += f" Reference method: {result['reference']:.3f} eV."
    if (pairs := result.get("difference")) is not None:
        error = "" if pairs["error"] is None else f" ± {pairs['error']:.3f}"
        work += f" Difference, seed by seed: {pairs['mean']:+.3f}{error} eV over {pairs['seeds']}."
    minutes = result["seconds"] / 60
    return (
        f"Round {result['rounds']}, {result['labels']} labels, {minutes:.1f} min: {result['stopped']}.{work}"
    )


def _table(rounds: Sequence[Round], config: LearnConfig) -> str:
    titles = ["frames", "selected", "labeled", "failed", f"largest spread<br>{config.score.unit}",
              "training set", "energy<br>meV/atom", "forces<br>meV/Å", "work<br>eV", "time<br>s"]  # fmt: skip
    if config.converge is None:
        titles.remove("work<br>eV")
    head = "".join(f'<th scope="col">{title}</th>' for title in ("round", *titles))
    return scrolled(
        f'<tr class="only">{head}</tr>',
        [table_row(str(one.number), _cells(one, with_work=config.converge is not None)) for one in rounds],
    )


def _cells(one: Round, *, with_work: bool) -> list[str]:
    frames = one["sample"].get("frames", one["initial"].get("frames"))
    selected = one["select"].get("selected", one["initial"].get("selected"))
    errors = one["train"].get("errors", {})
    cells = [_count(frames), _count(selected)]
    cells += [_count(one["label"].get(name)) for name in ("labeled", "failed")]
    cells += [_value(one["score"].get("largest")), _count(one["train"].get("structures"))]
    cells += [_value(errors.get(name)) for name in ("energy", "forces")]
    if with_work:
        cells.append(_value(one["property"].get("mean")))
    return [*cells, f"{one.seconds:.0f}"]


def _count(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def _value(value: float | None) -> str:
    return "–" if value is None else number(value)


def _selection(rounds: Sequence[Round]) -> str:
    rows = {f"round {one.number}": "; ".join(one["select"]["rules"]) for one in rounds if one.has("select")}
    ends = {
        f"round {one.number}, walks ended": "; ".join(one["sample"]["ends"])
        for one in rounds
        if one["sample"].get("ends")
    }
    return facts_table({**rows, **ends}) if rows or ends else "<p>Nothing yet.</p>"


def _figures(rounds: Sequence[Round], config: LearnConfig, result: Facts) -> list[Image]:
    unit = config.score.unit
    errors = [one["train"].get("errors", {}) for one in rounds]
    lines = {
        ("Force error in validation", "RMSE (meV/Å)"): [one.get("forces") for one in errors],
        ("Energy error in validation", "RMSE (meV/atom)"): [one.get("energy") for one in errors],
        ("Largest spread in samples", f"spread ({unit})"): [one["score"].get("largest") for one in rounds],
        ("Deviation of properties", "deviation (%)"): [one["judge"].get("deviation") for one in rounds],
        ("Largest work", "work (eV)"): [one["property"].get("mean") for one in rounds],
    }
    labels = np.cumsum([one["label"].get("structures", 0) for one in rounds]).tolist()
    with mpl.rc_context(FIGURE_STYLE):
        images = [
            _line(titles, labels, values, result["reference"] if "work" in titles[0] else None)
            for titles, values in lines.items()
            if any(value is not None for value in values)
        ]
        return [*images, _times(rounds)]


def _line(
    titles: tuple[str, str], labels: Sequence[int], values: Sequence[float | None], reference: float | None
) -> Image:
    title, unit = titles
    there = [(x, y) for x, y in zip(labels, values, strict=True) if y is not None]
    figure = Figure(figsize=(3.2, 2.4), layout="constrained")
    axis = figure.subplots()
    axis.plot(*zip(*there, strict=True), "o-", color=BLUE, ms=4, lw=1.2)
    if reference is not None:
        axis.axhline(reference, color=ORANGE, lw=1, ls="--")
    axis.set(title=title, xlabel="labels", ylabel=unit)
    axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    told = ", ".join(f"{y:.4g} at {x}" for x, y in there)
    return Image(data_uri(figure), f"{title}, {unit}, against the number of labels: {told}")


def _times(rounds: Sequence[Round]) -> Image:
    figure = Figure(figsize=(3.2, 2.4), layout="constrained")
    axis = figure.subplots()
    below = np.zeros(len(rounds))
    for place, phase in enumerate(_PHASES):
        seconds = np.array([float(one[phase].get("seconds", 0.0)) for one in rounds])
        if seconds.any():
            axis.bar([one.number for one in rounds], seconds, bottom=below, color=_COLORS[place], label=phase)
            below += seconds
    axis.set(title="Where the time went", xlabel="round", ylabel="time (s)")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(frameon=False, fontsize=7, ncols=3, loc="outside lower center")
    return Image(data_uri(figure), f"Time of the phases of {len(rounds)} rounds, {below.sum():.0f} s in all")


def _settings(config: LearnConfig) -> Mapping[str, str]:
    return {
        "reference method": config.labeling.method.kind,
        "sampler": config.sampler.kind,
        "committee": f"{config.members.count} {config.potential.model.kind}, split {config.members.split}",
        **({} if config.source is None else {"started from": f"{config.source} ({config.change})"}),
        "later rounds": "warm" if config.later_start == "warm" else f"from {config.later_start}",
        "seed": str(config.seed),
        "gnnpot": __version__,
    }
