"""Report of a comparison of models: the most accurate, the fastest, and the trade-off between them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from pathlib import Path

from gnnpot.benchmark.models.figures import comparison_images, model_color
from gnnpot.benchmark.trials import PROPERTIES, UNITS, Comparison, Measurement, SeedStatistics, score_words
from gnnpot.report.page import page, panels, warnings_list
from gnnpot.report.tables import facts_table, number, scrolled, table_row
from gnnpot.system.files import write_text

_MEASURED = ("dynamics<br>µs/atom/step", "drift<br>meV/atom/ps", "jump at cutoff<br>meV/Å")


def write_comparison(path: Path, comparison: Comparison) -> None:
    """Write ``comparison`` as one self-contained HTML file.

    Raises:
        OutputError: The disk is full, or the folder cannot be written to.
    """
    parts = [
        f"<h1>{escape(comparison.title)}</h1>",
        f'<p class="lead">{escape(verdict(comparison))}</p>',
        _cards(comparison),
        warnings_list(comparison.warnings, "What to know"),
        f"<h2>Errors on the test, speed, conservation</h2>{_table(comparison)}{_table_note(comparison)}",
        f'<h2>What data, training and speed buy</h2><p class="note">{_key(comparison)}</p>',
        panels(comparison_images(comparison)),
        '<p class="note">Left: test errors against the number of frames; small points are single seeds. '
        "Middle: validation errors of the model kept so far, on the largest number of frames. Right: test "
        "errors against the time of dynamics; rings mark the Pareto front.</p>",
        f"<h2>How it was done</h2>{facts_table(comparison.facts)}",
    ]
    write_text(path, page(comparison.title, parts))


def verdict(comparison: Comparison) -> str:
    """Summarize the result in a sentence or two."""
    size, name = comparison.sizes[-1], comparison.headline
    errors = {model: comparison.spread(model, size, name).mean for model in comparison.models}
    trained = {model: error for model, error in errors.items() if not math.isnan(error)}
    if not trained:
        return "No model could be trained on the largest number of frames."
    best = min(trained, key=trained.__getitem__)
    smallest = {"forces": "force error", PROPERTIES: score_words(PROPERTIES)}.get(name, f"{name} error")
    said = f"On {size} frames {best} has the smallest {smallest}, {number(trained[best])} {UNITS[name]}."
    speeds = {model: _value(comparison.measurement(model), "microseconds") for model in comparison.models}
    front = sorted(comparison.front, key=speeds.__getitem__)  # the fastest first, the best last
    if math.isnan(speeds[best]):
        said += " Its dynamics failed."
        if front:
            least = f"{number(trained[front[-1]])} {UNITS[name]}"
            said += f" Of the models whose dynamics last, {front[-1]} has the smallest, {least}."
    elif front != [best]:
        ratio = speeds[best] / speeds[front[0]]
        said += f" {front[0]} is {ratio:.1f} times as fast, with {number(trained[front[0]])} {UNITS[name]}."
    elif any(model != best and not math.isnan(speeds[model]) for model in trained):
        said += " None of the others is faster."
    return said


def measured_cells(comparison: Comparison) -> list[list[str]]:
    """Columns of speed, drift and jump at the cutoff, filled in each model's row of the largest size."""
    ones = [
        comparison.measurement(model) if size == comparison.sizes[-1] else None
        for model in comparison.models
        for size in comparison.sizes
    ]
    speeds = [_value(one, "microseconds") for one in ones]
    return [
        ["" if one is None else number(speed, *speeds) for one, speed in zip(ones, speeds, strict=True)],
        *(
            ["" if one is None else small(getattr(one, name)) for one in ones]
            for name in ("drift", "forces_jump")
        ),
    ]


def small(value: float) -> str:
    """Format a number of unknown magnitude with two significant digits; NaN becomes a dash."""
    return "–" if math.isnan(value) else f"{value:.2g}".replace("-", "−")


def _cards(comparison: Comparison) -> str:
    name, size, cards = comparison.headline, comparison.sizes[-1], []
    for model in comparison.models:
        error = comparison.spread(model, size, name).mean
        one = comparison.measurement(model)
        star = " · Pareto front" if model in comparison.front else ""
        cards.append(
            f'<section class="card"><h2>{escape(model)}{star}</h2><dl>'
            f'<dt>{score_words(name)}</dt><dd class="main">{number(error)} <span class="unit">{UNITS[name]}</span></dd>'
            f'<dt>dynamics</dt><dd>{number(_value(one, "microseconds"))} <span class="unit">µs/atom/step</span></dd>'
            f'<dt>drift</dt><dd>{small(_value(one, "drift"))} <span class="unit">meV/atom/ps</span></dd></dl></section>'
        )
    return f'<div class="cards">{"".join(cards)}</div>'


def _table(comparison: Comparison) -> str:
    rows = [(model, size) for model in comparison.models for size in comparison.sizes]
    epochs = [max(t.epochs for t in comparison.trials if (t.model, t.size) == row) for row in rows]
    titles = [
        "model",
        "frames",
        "epochs",
        *(f"{score_words(name)}<br>{UNITS[name]}" for name in comparison.quantities),
    ]
    spreads = [
        [comparison.spread(model, size, name) for model, size in rows] for name in comparison.quantities
    ]
    counts = [[f"{size:,}" for _, size in rows], [f"{count:,}" for count in epochs]]
    cells = [*counts, *map(spread_cells, spreads), *measured_cells(comparison)]
    head = "".join(f'<th scope="col">{title}</th>' for title in (*titles, *_MEASURED))
    names = [f"{model} ★" if size == comparison.sizes[-1] and model in comparison.front else model
             for model, size in rows]  # fmt: skip
    body = [table_row(name, row) for name, row in zip(names, zip(*cells, strict=True), strict=True)]
    return scrolled(f'<tr class="only">{head}</tr>', body)


def _table_note(comparison: Comparison) -> str:
    return (
        f'<p class="note">★ Pareto front: no other model has both a smaller {score_words(comparison.headline)} and less '
        "time for a step. ± is the standard deviation over the seeds. Dynamics: median time of a step. Drift: slope of the total energy in "
        "dynamics at constant energy. Jump: largest change of a force component between two steps of 0.001 Å "
        "while an atom passes the cutoff; next to nothing for a smooth potential.</p>"
    )


def spread_cells(spreads: Sequence[SeedStatistics]) -> list[str]:
    """Means with the decimals of their column, and the deviation over the seeds if there is one."""
    means = [spread.mean for spread in spreads]
    return [
        number(mean, *means)
        + ("" if math.isnan(mean) or math.isnan(deviation) else f" ± {number(deviation, *means)}")
        for mean, deviation in spreads
    ]


def _key(comparison: Comparison) -> str:
    return "".join(
        f'<span class="key" style="--color:{model_color(comparison, model)}">{escape(model)}</span>'
        for model in comparison.models
    )


def _value(one: Measurement | None, name: str) -> float:
    return math.nan if one is None else float(getattr(one, name))
