"""Print a ready configuration."""

from __future__ import annotations

from typing import Annotated

import typer


def template(
    name: Annotated[str | None, typer.Argument(help="Which; without it, their list.")] = None,
) -> None:
    """Print a ready configuration file: `gnnpot template ani > run.yaml`."""
    from gnnpot.config.base import shipped_config, shipped_configs
    from gnnpot.models.config import MODEL_CONFIGS

    if name is not None and name in MODEL_CONFIGS:
        from gnnpot.training.init.run import template_text

        typer.echo(template_text(name), nl=False)
        return
    if name is not None:
        typer.echo(shipped_config(name).read_text(), nl=False)
        return
    for kind in MODEL_CONFIGS:
        typer.echo(f"{kind:28s} The model {kind}; `gnnpot init` writes the same with numbers from your data.")
    for known, path in shipped_configs().items():
        typer.echo(f"{known:28s} {path.read_text().splitlines()[0].lstrip('# ')}")
