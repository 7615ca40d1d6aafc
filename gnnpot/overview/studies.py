"""Benchmarks of models and of transfers as parts of a page, from their ``metrics.json``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape
from typing import Any

from gnnpot.benchmark.transfer.report import Efficiency, efficiency_images, efficiency_tables, verdict
from gnnpot.errors import DataError, one_line
from gnnpot.overview.results import Results
from gnnpot.report.page import panels
from gnnpot.report.tables import number, scrolled, table_row
from gnnpot.units import ERROR_UNITS

_SPEED = "µs/atom/step"


def study_section(one: Results) -> str:
    """The outcome of a benchmark of transfers or of models.

    Raises:
        DataError: Its file is damaged.
    """
    try:
        told = _transfers(one.study) if "outcomes" in one.study else _models(one.study)
    except (LookupError, TypeError, ValueError) as error:
        raise DataError(
            f"expected a benchmark in {one.path}, got {one_line(error)}; make it again"
        ) from error
    return f"<h2>Benchmark: {escape(one.name)}</h2>{told}"


def _transfers(values: Mapping[str, Any]) -> str:
    study = Efficiency.from_dict(values)
    said = f'<p class="lead">{escape(verdict(study))}</p>'
    return f"{said}{panels(efficiency_images(study))}{efficiency_tables(study)}"


def _models(values: Mapping[str, Any]) -> str:
    """RMSE of each model on each number of frames, and the speed of its dynamics."""
    speeds = {one["model"]: one["microseconds_per_atom_step"] for one in values["models"]}
    names = [name for name in ERROR_UNITS if any(row[name] for row in values["table"])]
    titles = ["model", "frames", *(f"{name}<br>{ERROR_UNITS[name]}" for name in names), _SPEED]
    head = "".join(f'<th scope="col">{title}</th>' for title in titles)
    body = [
        table_row(
            row["model"],
            [
                f"{row['frames']:,}",
                *(_shown((row[name] or {}).get("rmse")) for name in names),
                _shown(speeds.get(row["model"])),
            ],
        )
        for row in values["table"]
    ]
    note = f"RMSE on the test structures; ranked by {escape(str(values['ranked_by']))}."
    table = scrolled(f'<tr class="only">{head}</tr>', body)
    return f'{table}<p class="note">{note}</p>'


def _shown(value: float | None) -> str:
    return number(math.nan if value is None else value)
