"""Tables of errors, for reports."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from gnnpot.evaluation.evaluation import StructureError
from gnnpot.report.tables import number, scrolled, table_row
from gnnpot.units import ERROR_UNITS, meV


def metrics_table(rows: Mapping[str, Mapping[str, Any]], noun: str) -> str:
    """MAE and RMSE by quantity, one row a set; columns without any number are left out."""
    there = [name for name in ERROR_UNITS if any(row.get(name) for row in rows.values())]
    counted = all("num_structures" in row for row in rows.values())
    units = "".join(f'<th scope="colgroup" colspan="2">{name}<br>{ERROR_UNITS[name]}</th>' for name in there)
    kinds = '<th scope="col">MAE</th><th scope="col">RMSE</th>' * len(there)
    count = '<th scope="col" rowspan="2">structures</th>' if counted else ""
    head = f'<tr><th scope="col" rowspan="2">{noun}</th>{count}{units}</tr><tr>{kinds}</tr>'
    columns = [column for name in there for column in _columns([row.get(name) for row in rows.values()])]
    if counted:
        columns.insert(0, [f"{row['num_structures']:,}" for row in rows.values()])
    labels = ["structures"] * counted + [
        f"{name} {kind} ({ERROR_UNITS[name]})" for name in there for kind in ("MAE", "RMSE")
    ]
    body = [
        table_row(name, cells, labels) for name, cells in zip(rows, zip(*columns, strict=True), strict=True)
    ]
    return scrolled(head, body, kind="stack" if counted else "stack slim")


def worst_table(rows: Sequence[StructureError]) -> str:
    """A table of the structures with the largest errors."""
    titles = ("group", "atoms", "energy<br>meV/atom", "force RMSE<br>meV/Å", "largest<br>meV/Å")
    energy, forces, largest = (
        [getattr(row, name) / meV for row in rows] for name in ("energy", "forces", "largest_force")
    )
    columns = [
        [escape(row.group) or "–" for row in rows],
        [f"{row.num_atoms:,}" for row in rows],
        *([number(value, *values) for value in values] for values in (energy, forces, largest)),
    ]
    head = "".join(f'<th scope="col">{title}</th>' for title in ("structure", *titles))
    cells = zip(*columns, strict=True)
    labels = [title.replace("<br>", " ") for title in titles]
    return scrolled(
        f'<tr class="only">{head}</tr>',
        [table_row(row.origin, cell, labels) for row, cell in zip(rows, cells, strict=True)],
        kind="stack",
    )


def _columns(errors: Sequence[Mapping[str, float] | None]) -> list[list[str]]:
    """Columns of MAE and RMSE of one quantity, with common decimals."""
    pairs = [(math.nan, math.nan) if error is None else (error["mae"], error["rmse"]) for error in errors]
    every = [value for pair in pairs for value in pair]
    return [[number(value, *every) for value in values] for values in zip(*pairs, strict=True)]
