"""Carry a trained potential to another element or level of theory."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def transfer(
    config: Annotated[Path, typer.Argument(help="YAML file; `gnnpot template transfer-ge` prints one.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="E.g. training.max_epochs=10.")
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option("--from", help="Model file, or folder of a run, to start from."),
    ] = None,
    element_map: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="TARGET=SOURCE,...",
            help="E.g. Ge=Si, Ge=0.5*Si+0.5*Sn, Ge=nearest, Ge=fresh.",
        ),
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="New folder for the results.")] = Path(
        "transfer"
    ),
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the transfer in the folder.")] = False,
    compare_scratch: Annotated[
        bool, typer.Option("--compare-scratch", help="Also train the same model from scratch.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
) -> None:
    """Carry a trained potential to other elements or another level of theory, and fine-tune it."""
    from gnnpot.transferring.config import TransferConfig

    settings = TransferConfig.read(
        config, overrides or [], source=source, element_map=",".join(element_map or [])
    )

    from gnnpot.cli.starting import importing
    from gnnpot.cli.stopping import RESUME, TRAINED, stoppable
    from gnnpot.cli.tables import print_notes, print_sets
    from rich.console import Console

    with importing():
        from gnnpot.commands.display import print_prose
        from gnnpot.commands.functions import transfer as run

    with stoppable(output, TRAINED, RESUME):
        result = run(settings, output, resume=resume, compare_scratch=compare_scratch).comparison
    if not result:
        return  # not the first of several processes
    if as_json:
        import json

        typer.echo(json.dumps(result))
        return
    names = {"baseline": "before training", "transferred": "transferred", "scratch": "from scratch"}
    sets = {words: result[name] for name, words in names.items() if result[name]}
    print_sets(sets, title=f"Errors on the {result['transferred']['split']} structures")
    if result["gain"]:
        print_prose(Console(), result["gain"])
    for text in result["verdict"]:
        print_prose(Console(), f"warning: {text}", indent=9)
    print_notes({"model": output / "model.safetensors", "report": output / "report.html"})
