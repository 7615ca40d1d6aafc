"""Tables of errors, and notes, for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

_COLUMNS = (("energy", "meV/atom"), ("forces", "meV/Å"), ("stress", "MPa"))


def print_metrics(metrics: Mapping[str, Any], *, title: str) -> None:
    """Print MAE and RMSE of all structures, of each group, and of the forces on each element."""
    table = Table(title=Text(title), title_justify="left", box=None, header_style="bold", pad_edge=False)
    table.add_column("", overflow="fold")
    table.add_column("structures", justify="right", no_wrap=True)
    for name, unit in _COLUMNS:
        table.add_column(f"{name}\nMAE", justify="right", no_wrap=True)
        table.add_column(f"{unit}\nRMSE", justify="right", no_wrap=True)
    _add_row(table, "all", metrics)
    for name, group in metrics["groups"].items():
        _add_row(table, name, group)
    for symbol, error in metrics["elements"].items():
        if error is not None:
            _add_row(table, f"on {symbol}", {"forces": error})
    Console().print(table)


def print_notes(notes: Mapping[str, object]) -> None:
    """Print what is where."""
    width = max(map(len, notes))
    for name, value in notes.items():
        Console().print(Text(f"{name:{width}s}  {value}"), soft_wrap=True)


def _add_row(table: Table, name: str, errors: Mapping[str, Any]) -> None:
    cells = [str(errors.get("num_structures", ""))]
    for quantity, _ in _COLUMNS:
        error = errors.get(quantity)
        cells += ["-", "-"] if error is None else [_number(error["mae"]), _number(error["rmse"])]
    table.add_row(Text(name), *cells)  # a name in brackets is no markup


def _number(value: float) -> str:
    return f"{value:.2f}" if value < 1000 else f"{value:.0f}"
