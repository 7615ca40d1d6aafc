"""What models predict: lattice, elastic constants, defects, phonons, …, side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def properties(
    models: Annotated[
        list[str],
        typer.Argument(metavar="MODEL...", help="Model files, folders of runs, methods (NAME:key=value,…)."),
    ],
    structure: Annotated[
        str, typer.Option("--structure", "-s", help="A file (cell.xyz@0), or a crystal (Ni, NiAl:B2).")
    ],
    reference: Annotated[
        str | None, typer.Option(help="To compare with: a method, computed once and kept, or a JSON file.")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(help="Such as elastic; all but expansion, melting, stability by default."),
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="E.g. elastic.strain=0.1.")
    ] = None,
    store: Annotated[
        str | None, typer.Option(help="Label store of the reference; without, reference.db in OUTPUT.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, …; auto takes a GPU if there is one.")] = "auto",
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the results.")] = Path(
        "properties"
    ),
    resume: Annotated[bool, typer.Option("--resume", help="Take the results that are there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")] = False,
) -> None:
    """Compute properties of a material by several models, against a reference."""
    from gnnpot.cli.starting import importing
    from gnnpot.cli.stopping import RESUME, stoppable

    with importing():
        from gnnpot.cli.properties_table import print_properties

        from gnnpot.commands.progress import WorkDisplay
        from gnnpot.properties.config import PropertiesConfig
        from gnnpot.properties.run import as_told
        from gnnpot.properties.run import properties as compute

    words = [*(settings or []), *([f"store={store}"] if store else [])]
    config = PropertiesConfig.from_words(
        models, structure, reference=reference, only=only or (), settings=words, device=device
    )
    with stoppable(output, "the properties so far", RESUME), WorkDisplay() as display:
        summary = compute(config, output, resume=resume, observe=display.watch)
    if as_json:
        import json

        typer.echo(json.dumps(as_told(summary)))
    else:
        print_properties(summary, output)
