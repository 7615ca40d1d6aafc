"""List the models."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def models(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the models with their sizes at default settings for one element."""
    from gnnpot.models import MODELS, build_model

    rows = []
    for kind in MODELS:
        model = build_model(MODELS[kind].Config(kind=kind), ("Si",))
        summary = (MODELS[kind].__doc__ or "").splitlines()[0]
        rows.append(
            {"kind": kind, "parameters": model.num_parameters, "cutoff": model.cutoff, "summary": summary}
        )
    if as_json:
        typer.echo(json.dumps(rows))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("model", "parameters", "cutoff (Å)", "", box=None)
    for row in rows:
        table.add_row(str(row["kind"]), f"{row['parameters']:,}", f"{row['cutoff']:g}", str(row["summary"]))
    Console().print(table)
