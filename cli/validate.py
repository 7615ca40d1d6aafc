"""Look at data before anyone trains on them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ase import Atoms


def validate(
    data: Annotated[list[Path], typer.Argument(help="Files of labeled structures.")],
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--keys",
            "-k",
            metavar="NAME=VALUE",
            help="Where labels are, e.g. energy=dft_energy or stress_unit=kBar; may be repeated.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Report what is in labeled structures, and fail if training on them would go wrong."""
    from gnnpot.data.checks.inspection import inspect
    from gnnpot.data.keys import label_keys
    from gnnpot.data.reading import read_as_found

    keys = label_keys(settings or [])
    report = inspect(_watched(read_as_found(data, keys)), keys)
    if as_json:
        typer.echo(json.dumps(report.as_dict(), allow_nan=False))
    else:
        from gnnpot.cli.data_tables import print_report

        print_report(report)
    report.check()
    if not as_json:
        keys_again = "".join(f" --keys {setting}" for setting in settings or [])
        typer.echo(f"next: gnnpot init {' '.join(map(str, data))}{keys_again} > run.yaml")


def _watched(frames: Iterable[Atoms]) -> Iterator[Atoms]:
    """Show how many frames were read, on a terminal only."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = SpinnerColumn(), TextColumn("{task.completed:,.0f} frames"), TimeElapsedColumn()
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=None)
        for atoms in frames:
            yield atoms
            progress.advance(task)
