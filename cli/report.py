"""Several runs, transfers and folders of properties on one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    folders: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Folders of runs, benchmarks, properties."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The page, a new HTML file.")] = Path(
        "overview.html"
    ),
    data: Annotated[
        list[str] | None, typer.Option(help="Labeled structures on which every model is judged.")
    ] = None,
    keys: Annotated[
        list[str] | None,
        typer.Option("--keys", "-k", metavar="NAME=VALUE", help="Where labels are, e.g. energy=dft_energy."),
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, …; auto takes a GPU if there is one.")] = "auto",
) -> None:
    """Compare runs, transfers and properties on one self-contained page."""
    from gnnpot.cli.starting import importing
    from gnnpot.cli.tables import print_notes

    with importing():
        from gnnpot.commands.display import counting
        from gnnpot.data.keys import label_keys
        from gnnpot.overview.run import overview

    with counting("evaluating") as advance:
        overview(
            folders, output, data=data or (), keys=label_keys(keys or []), device=device, advance=advance
        )
    print_notes({"page": output})
