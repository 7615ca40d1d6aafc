"""Tables of errors, and notes, for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

_COLUMNS = (("energy", "meV/atom"), ("forces", "meV/Å"), ("stress", "MPa"))


def print_metrics(metrics: Mapping[str, Any], *, title: str) -> None:
    """Print MAE and RMSE of all structures, of each group, and of the forces on each element."""
    table = Table(title=title, title_justify="left", box=None, header_style="bold", pad_edge=False)
    table.add_column("")
    table.add_column("structures", justify="right")
    for name, unit in _COLUMNS:
        table.add_column(f"{name} MAE\n({unit})", justify="right")
        table.add_column("RMSE\n", justify="right")
    _add_row(table, "all", metrics)
    for name, group in metrics["groups"].items():
        _add_row(table, name, group)
    for symbol, error in metrics["elements"].items():
        _add_row(
            table, f"on {symbol}", {"energy": None, "forces": error, "stress": None, "num_structures": ""}
        )
    Console().print(table)


def print_notes(notes: Mapping[str, object]) -> None:
    """Print what is where."""
    width = max(map(len, notes))
    for name, value in notes.items():
        Console().print(f"{name:{width}s}  {value}", highlight=False, soft_wrap=True)


def _add_row(table: Table, name: str, errors: Mapping[str, Any]) -> None:
    cells = []
    for quantity, _ in _COLUMNS:
        error = errors[quantity]
        cells += ["-", "-"] if error is None else [f"{error['mae']:.2f}", f"{error['rmse']:.2f}"]
    table.add_row(name, str(errors["num_structures"]), *cells)
