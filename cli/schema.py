"""Print the schema of configuration files."""

from __future__ import annotations

import json

import typer


def schema() -> None:
    """Print the JSON schema of configuration files, for editors."""
    from gnnpot.config import json_schema

    typer.echo(json.dumps(json_schema(), indent=1))
