"""Tables of errors, and notes, for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from gnnpot.units import ERROR_UNITS

_WIDEST = 1000  # characters of a line


def print_metrics(metrics: Mapping[str, Any], *, title: str) -> None:
    """Print MAE and RMSE of all structures, of each group, and of the forces on each element."""
    table = _errors_table(title)
    _add_row(table, "all", metrics)
    unseen = metrics.get("unseen_groups", [])
    if unseen:
        _add_row(table, "all but †", metrics["without_unseen_groups"])
    groups = metrics["groups"]
    for name, group in groups.items() if len(groups) > 1 or unseen else ():
        _add_row(table, f"{name} †" if name in unseen else name, group)
    for symbol, error in metrics["elements"].items():
        if error is not None:
            _add_row(table, f"on {symbol}", {"forces": error})
    Console().print(table)
    if unseen:
        Console().print(Text("† groups of which no structure was trained on"))


def print_sets(sets: Mapping[str, Mapping[str, Any]], *, title: str) -> None:
    """Print MAE and RMSE, one row for each of several potentials."""
    table = _errors_table(title)
    for name, metrics in sets.items():
        _add_row(table, name, metrics)
    Console().print(table)


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


def _errors_table(title: str) -> Table:
    table = Table(title=Text(title), title_justify="left", box=None, header_style="bold", pad_edge=False)
    table.add_column("", overflow="fold")
    table.add_column("structures", justify="right", no_wrap=True)
    for name, unit in ERROR_UNITS.items():
        table.add_column(f"{name}\nMAE", justify="right", no_wrap=True)
        table.add_column(f"{unit}\nRMSE", justify="right", no_wrap=True)
    return table


def _add_row(table: Table, name: str, errors: Mapping[str, Any]) -> None:
    cells = [str(errors.get("num_structures", ""))]
    for quantity in ERROR_UNITS:
        error = errors.get(quantity)
        cells += ["-", "-"] if error is None else [_number(error["mae"]), _number(error["rmse"])]
    table.add_row(Text(name), *cells)  # a name in brackets is no markup


def _number(value: float) -> str:
    return f"{value:.2f}" if value < 1000 else f"{value:.0f}"
