"""A study of data efficiency on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gnnpot.cli.tables import print_whole
from rich.console import Console
from rich.table import Table

from gnnpot.benchmark.models.report import spread_cells
from gnnpot.benchmark.transfer.report import SIDES, verdict
from gnnpot.commands.display import print_prose
from gnnpot.units import ERROR_UNITS

if TYPE_CHECKING:
    from gnnpot.benchmark.transfer.report import Efficiency


def print_efficiency(study: Efficiency) -> None:
    """Print the errors of all sides by size, and what the transfer saves."""
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0))
    for title in ("MAE", "structures", *SIDES.values(), "saved"):
        table.add_column(title, justify="left" if title == "MAE" else "right", no_wrap=True)
    for name in study.quantities:
        spreads = [[study.spread(side, size, name) for size in study.sizes] for side in SIDES]
        for size, *cells in zip(study.sizes, *map(spread_cells, spreads), strict=True):
            saved = f"{study.saved(size, name):.0f} %"
            table.add_row(f"{name} ({ERROR_UNITS[name]})", str(size), *cells, saved)
    print_whole(table)
    console = Console()
    for warning in study.warnings:
        print_prose(console, f"warning: {warning}")
    print_prose(console, verdict(study))
