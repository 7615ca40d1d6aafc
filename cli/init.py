"""A first configuration from data."""

from __future__ import annotations

from typing import Annotated

import typer


def init(
    data: Annotated[list[str], typer.Argument(help="Files of labeled structures.")],
    model: Annotated[str, typer.Option("--model", "-m", help="ani, schnet, dimenet++ or nequip.")] = "ani",
    test: Annotated[
        list[str] | None, typer.Option("--test", help="Files to test on; else a part is kept apart.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--keys", "-k", metavar="NAME=VALUE", help="Where labels are, e.g. energy=dft_energy."),
    ] = None,
) -> None:
    """Print a commented configuration that suits the data: `gnnpot init data.xyz > run.yaml`."""
    from gnnpot.cli.starting import importing
    from rich.console import Console

    with importing():
        from gnnpot.commands.display import print_prose
        from gnnpot.commands.progress import WorkDisplay
        from gnnpot.data.keys import label_keys
        from gnnpot.training.init.run import first_text

    keys = label_keys(settings) if settings else None
    with WorkDisplay() as display:
        text, facts = first_text(model, data, test=test or [], keys=keys, watch=display.watch)
    print_prose(Console(stderr=True), facts)
    print_prose(Console(stderr=True), "next: gnnpot train run.yaml")
    typer.echo(text, nl=False)
