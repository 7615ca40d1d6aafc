"""A comparison of models on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gnnpot.cli.tables import print_whole
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gnnpot.benchmark.models.report import measured_cells, spread_cells, verdict
from gnnpot.benchmark.trials import UNITS
from gnnpot.commands.display import print_prose

if TYPE_CHECKING:
    from gnnpot.benchmark.trials import Comparison


def print_comparison(comparison: Comparison) -> None:
    """Print errors of each model and size; speed, drift and jump of each model at its largest."""
    rows = [(model, size) for model in comparison.models for size in comparison.sizes]
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("model", overflow="fold", max_width=24, vertical="bottom")
    names = comparison.quantities
    titles = ["frames", *(f"{name}\n{UNITS[name]}" for name in names)]
    for title in (*titles, "µs/atom\n/step", "drift\nmeV/atom\n/ps", "jump\nmeV/Å"):
        table.add_column(title, justify="right", no_wrap=True, vertical="bottom")
    spreads = [[comparison.spread(model, size, name) for model, size in rows] for name in names]
    cells = [[str(size) for _, size in rows], *map(spread_cells, spreads), *measured_cells(comparison)]
    for (model, size), row in zip(rows, zip(*cells, strict=True), strict=True):
        star = " *" if size == comparison.sizes[-1] and model in comparison.front else ""
        table.add_row(Text(model + star), *row)
    print_whole(table)
    console = Console()
    print_prose(console, "test RMSE; * Pareto front of error and speed", style="dim")
    for warning in comparison.warnings:
        print_prose(console, f"warning: {warning}")
    print_prose(console, verdict(comparison))
