"""Tables of errors, and notes, for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from gnnpot.units import ERROR_UNITS

_WIDEST = 1000  # characters of a line


def print_metrics(metrics: Mapping[str, Any], *, title: str) -> None:
    """Print MAE and RMSE of all structures, of each group, and of the forces on each element."""
    rows: list[tuple[str, Mapping[str, Any]]] = [("all", metrics)]
    unseen, groups = metrics.get("unseen_groups", []), metrics["groups"]
    if unseen:
        rows.append(("all but †", metrics["without_unseen_groups"]))
    if len(groups) > 1 or unseen:  # one group would repeat the first row
        rows += [(f"{name} †" if name in unseen else name, group) for name, group in groups.items()]
    elements = {symbol: error for symbol, error in metrics["elements"].items() if error is not None}
    if len(elements) > 1:
        rows += [(f"on {symbol}", {"forces": error}) for symbol, error in elements.items()]
    _print_errors(rows, title)
    if unseen:
        Console().print(Text("† groups of which no structure was trained on"))


def print_sets(sets: Mapping[str, Mapping[str, Any]], *, title: str) -> None:
    """Print MAE and RMSE, one row for each of several potentials."""
    _print_errors(list(sets.items()), title)


def print_whole(table: Table) -> None:
    """Print a table wider than the screen rather than cut a figure, which misleads."""
    console = Console()
    wide = console.options.update(max_width=_WIDEST)
    console.width = max(console.width, Measurement.get(console, wide, table).maximum)
    console.print(table)


def print_notes(notes: Mapping[str, object]) -> None:
    """Print what is where; values of several lines stand below each other."""
    width = max(map(len, notes))
    for name, value in notes.items():
        shown = str(value).replace("\n", "\n" + " " * (width + 2))
        Console().print(Text(f"{name:{width}s}  {shown}"), soft_wrap=True)


def _print_errors(rows: Sequence[tuple[str, Mapping[str, Any]]], title: str) -> None:
    """Print a row for each set of errors, with columns for the quantities that some have."""
    Console().print(Text(title), style="bold", soft_wrap=True)
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("", overflow="fold")
    table.add_column("structures", justify="right", no_wrap=True)
    shown = {name: unit for name, unit in ERROR_UNITS.items() if any(row.get(name) for _, row in rows)}
    for name, unit in shown.items():
        table.add_column(f"{name}\nMAE", justify="right", no_wrap=True)
        table.add_column(f"{unit}\nRMSE", justify="right", no_wrap=True)
    for name, errors in rows:
        cells = [str(errors.get("num_structures", ""))]
        for error in map(errors.get, shown):
            cells += ["-", "-"] if error is None else [_number(error["mae"]), _number(error["rmse"])]
        table.add_row(Text(name), *cells)  # a name in brackets is no markup
    Console().print(table)


def _number(value: float) -> str:
    return f"{value:.2f}" if value < 1000 else f"{value:.0f}"
