"""Tables of properties for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gnnpot.cli.tables import print_notes
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gnnpot.commands.display import print_prose
from gnnpot.properties.table import deviation, number, problems, rows

_COLUMNS = 3  # models side by side in 80 columns


def print_properties(summary: Mapping[str, Any], output: Path) -> None:
    """Print all numbers, a few models at a time, what failed with the reason, and where the page is."""
    names, console = list(summary["models"]), Console()
    found = rows(summary)
    for first in range(0, len(names), _COLUMNS):
        table = Table(box=None, header_style="bold", pad_edge=False)
        table.add_column(Text(summary["structure"]), overflow="fold")
        for name in names[first : first + _COLUMNS]:
            table.add_column(Text(name), justify="right", overflow="fold")
        if summary["reference"]:
            table.add_column("reference", justify="right", no_wrap=True)
        last = ""
        for row in found:
            if row.property != last:
                table.add_row(Text(row.property, style="bold"))
            last = row.property
            cells = [
                Text(f"{number(value)} {deviation(row, value)}".rstrip())
                for value in row.values[first : first + _COLUMNS]
            ]
            known = [Text(number(row.reference))] if summary["reference"] else []
            table.add_row(Text(f"  {row.quantity}"), *cells, *known)
        console.print(table)
    for problem in problems(summary):
        print_prose(console, f"{problem.model}: {problem.property}: {problem.reason}")
    print_notes({"page": output / "report.html", "numbers": output / "properties.json"})
