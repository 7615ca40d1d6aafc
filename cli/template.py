"""Print a ready configuration."""

from __future__ import annotations

from typing import Annotated

import typer


def template(
    name: Annotated[str | None, typer.Argument(help="Which; without it, their list.")] = None,
) -> None:
    """Print a ready configuration file: `gnnpot template silicon-ani > run.yaml`."""
    from gnnpot.config.base import shipped_config, shipped_configs

    if name is not None:
        typer.echo(shipped_config(name).read_text(), nl=False)
        return
    for known, path in shipped_configs().items():
        typer.echo(f"{known:28s} {path.read_text().splitlines()[0].lstrip('# ')}")
