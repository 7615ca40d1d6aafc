"""Results of a study of data efficiency, with its figure and report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from typing import Any, NamedTuple, Self

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from gnnpot.benchmark.models.report import spread_cells
from gnnpot.benchmark.trials import SeedStatistics
from gnnpot.report.figures import BLUE, FIGURE_STYLE, GREY, ORANGE, Image, data_uri
from gnnpot.report.page import page, panels, warnings_list
from gnnpot.report.tables import facts_table, number, scrolled, table_row
from gnnpot.system.files import write_text
from gnnpot.units import ERROR_UNITS

SIDES = {"scratch": "from scratch", "transfer": "transfer", "untuned": "transfer, untuned"}
_LOOKS: dict[str, dict[str, Any]] = {
    "scratch": {"color": GREY, "marker": "o"},
    "transfer": {"color": BLUE, "marker": "s"},
    "untuned": {"color": ORANGE, "marker": "v", "ls": "--"},
}


class Outcome(NamedTuple):
    """Test errors of the transfer or of training from scratch on one subset."""

    side: str
    size: int
    split: int
    mae: Mapping[str, float | None]  # on the test: meV/atom, meV/Å, MPa
    rate: float | None  # learning rate that validation chose


@dataclass(frozen=True)
class Efficiency:
    """Results of a study of data efficiency.

    Attributes:
        title: Title of the report.
        outcomes: Results of both sides on every subset.
        facts: Table of settings for the report.
        warnings: Warnings of the data report.
    """

    title: str
    outcomes: Sequence[Outcome]
    facts: Mapping[str, str]
    warnings: Sequence[str] = ()

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The study that :meth:`as_dict` told."""
        outcomes = [Outcome(**one) for one in values["outcomes"]]
        return cls(values["title"], outcomes, values["facts"], values["warnings"])

    @property
    def sizes(self) -> list[int]:
        """Numbers of structures, ascending."""
        return sorted({one.size for one in self.outcomes})

    @property
    def quantities(self) -> list[str]:
        """Quantities that the test has labels of."""
        return [name for name in ERROR_UNITS if any(one.mae.get(name) is not None for one in self.outcomes)]

    def spread(self, side: str, size: int, quantity: str) -> SeedStatistics:
        """Mean and standard deviation of the test MAE over the splits."""
        ones = [one for one in self.outcomes if (one.side, one.size) == (side, size)]
        values = [math.nan if (mae := one.mae[quantity]) is None else mae for one in ones]
        deviation = float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
        return SeedStatistics(float(np.mean(values)) if values else math.nan, deviation)

    def saved(self, size: int, quantity: str) -> float:
        """Reduction of the mean error by the transfer relative to training from scratch (%)."""
        scratch, transfer = (self.spread(side, size, quantity).mean for side in ("scratch", "transfer"))
        return 100 * (1 - transfer / scratch)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON: outcomes, and means and reductions by size."""
        table = [
            {
                "size": size,
                **{side: {q: self.spread(side, size, q).mean for q in self.quantities} for side in SIDES},
                "reduction_percent": {q: self.saved(size, q) for q in self.quantities},
            }
            for size in self.sizes
        ]
        values = {**asdict(self), "outcomes": [one._asdict() for one in self.outcomes]}
        return {**values, "table": table}


def verdict(study: Efficiency) -> str:
    """Summarize the gain of the transfer at the smallest and at the largest size."""
    said = []
    for size in dict.fromkeys((study.sizes[0], study.sizes[-1])):
        noun = "structure" if size == 1 else "structures"
        changes = {name: study.saved(size, name) for name in study.quantities}
        said.append(f"With {size} {noun} the transfer {_changes_in_words(changes)}.")
    worse = sorted({size for size in study.sizes for name in study.quantities if study.saved(size, name) < 0})
    if worse:
        said.append(
            f"It ends worse than scratch in some quantity at {', '.join(map(str, worse))} structures."
        )
    return " ".join(said)


def _changes_in_words(changes: Mapping[str, float]) -> str:
    """Reductions of errors (%), and increases as such: "cuts the errors by … and raises them by …"."""
    cuts = [f"{name} {change:.0f} %" for name, change in changes.items() if change >= 0]
    raises = [f"{name} {-change:.0f} %" for name, change in changes.items() if change < 0]
    told = [f"cuts the errors by {', '.join(cuts)}"] if cuts else []
    if raises:
        told.append(f"raises {'them' if cuts else 'the errors'} by {', '.join(raises)}")
    return " and ".join(told) if told else "changes no error that is known"


def write_efficiency(path: Path, study: Efficiency) -> None:
    """Write ``study`` as one self-contained HTML file.

    Raises:
        OutputError: The disk is full, or the folder cannot be written to.
    """
    parts = [
        f"<h1>{escape(study.title)}</h1>",
        f'<p class="lead">{escape(verdict(study))}</p>',
        warnings_list(study.warnings, "What to know"),
        "<h2>Errors on the test against structures to train on</h2>",
        panels(efficiency_images(study)),
        efficiency_tables(study),
        '<p class="note">Mean absolute errors, ± standard deviation over the splits. Both sides make '
        "the same number of steps on a size; validation structures beside those counted choose epoch and "
        "learning rate, alike for both sides.</p>",
        f"<h2>How it was done</h2>{facts_table(study.facts)}",
    ]
    write_text(path, page(study.title, parts))


def efficiency_images(study: Efficiency) -> list[Image]:
    """Draw test error against the number of training structures, a logarithmic panel for each quantity."""
    images = []
    for quantity in study.quantities:
        with mpl.rc_context(FIGURE_STYLE):
            figure = Figure(figsize=(3.5, 3.2), layout="constrained")
            axis = figure.subplots()
            said = _draw(axis, study, quantity)
            name = {"forces": "Force"}.get(quantity, quantity.capitalize())
            title = f"{name} MAE ({ERROR_UNITS[quantity]})"
            axis.set(title=title, xlabel="structures to train on")
            images.append(Image(data_uri(figure), f"{title} against structures: {said}"))
    return images


def _draw(axis: Axes, study: Efficiency, quantity: str) -> str:
    said = []
    for side, words in SIDES.items():
        spreads = [study.spread(side, size, quantity) for size in study.sizes]
        means = [spread.mean for spread in spreads]
        deviations = [0.0 if math.isnan(spread.deviation) else spread.deviation for spread in spreads]
        below = [min(deviation, 0.9 * mean) for deviation, mean in zip(deviations, means, strict=True)]
        style = {"lw": 1.4, "ms": 5, "capsize": 2.5, "label": words, **_LOOKS[side]}
        axis.errorbar(study.sizes, means, yerr=[below, deviations], **style)
        said.append(f"{words} {', '.join(number(mean) for mean in means)}")
    for size in study.sizes:
        saved, place = study.saved(size, quantity), study.spread("transfer", size, quantity).mean
        text = f"{-saved:+.0f} %".replace("-", "−")
        axis.annotate(text, (size, place), (0, -13), textcoords="offset points", ha="center", size=7)
    axis.set(xscale="log", yscale="log")
    axis.margins(0.12, 0.16)
    axis.set_xticks(study.sizes, [str(size) for size in study.sizes])
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    for one in (axis.xaxis, axis.yaxis):
        one.set_minor_formatter(NullFormatter())
    axis.legend(frameon=True, framealpha=0.85, edgecolor="none", fontsize=7.5)
    return "; ".join(said)


def efficiency_tables(study: Efficiency) -> str:
    """Errors of both sides by size, a table for each quantity."""
    titles = ["structures", *SIDES.values(), "saved"]
    head = "".join(f'<th scope="col">{title}</th>' for title in titles)
    tables = []
    for name in study.quantities:
        spreads = [[study.spread(side, size, name) for size in study.sizes] for side in SIDES]
        saved = [f"{study.saved(size, name):.0f} %".replace("-", "−") for size in study.sizes]
        rows = zip(*map(spread_cells, spreads), saved, strict=True)
        body = [table_row(str(size), row) for size, row in zip(study.sizes, rows, strict=True)]
        table = scrolled(f'<tr class="only">{head}</tr>', body)
        tables.append(f"<h3>{name.capitalize()} ({ERROR_UNITS[name]})</h3>{table}")
    return "".join(tables)
