"""List the models."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def models(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the models with their default cutoff; `gnnpot info` tells the size of a trained one."""
    from gnnpot.models import MODELS

    rows = [
        {
            "kind": kind,
            "cutoff": MODELS[kind].Config(kind=kind).cutoff,
            "summary": (MODELS[kind].__doc__ or "").splitlines()[0],
        }
        for kind in MODELS
    ]
    if as_json:
        typer.echo(json.dumps(rows))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("model", "cutoff (Å)", "", box=None)
    for row in rows:
        table.add_row(str(row["kind"]), f"{row['cutoff']:g}", str(row["summary"]))
    Console().print(table)
