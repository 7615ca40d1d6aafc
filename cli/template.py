"""Print a ready configuration."""

from __future__ import annotations

from typing import Annotated

import typer


def template(
    name: Annotated[str | None, typer.Argument(help="Which; without it, their list.")] = None,
) -> None:
    """Print a ready configuration file: `gnnpot template silicon-ani > run.yaml`."""
    from gnnpot.config import shipped_configs
    from gnnpot.errors import UnknownNameError
    from gnnpot.registry import nearest

    configs = shipped_configs()
    if name is None:
        for known, path in configs.items():
            typer.echo(f"{known:20s} {path.read_text().splitlines()[0].lstrip('# ')}")
    elif name not in configs:
        raise UnknownNameError(f"no template is called {name!r}; {nearest(name, configs)}")
    else:
        typer.echo(configs[name].read_text(), nl=False)
