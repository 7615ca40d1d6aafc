"""Distill a labeled pool as a configuration file says."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def distill(
    config: Annotated[Path, typer.Argument(help="YAML file: pool, potential, committee, rules.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="E.g. fraction=0.1 rule=farthest.")
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="New folder for the results.")] = Path(
        "distilled"
    ),
    resume: Annotated[bool, typer.Option("--resume", help="Go on with what is in the folder.")] = False,
    jobs: Annotated[int, typer.Option(min=1, help="Members of the committee trained at a time.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Find the few structures of a labeled set from which a potential learns all of it."""
    from gnnpot.learning.distillation_config import DistillConfig

    settings = DistillConfig.from_yaml(config, overrides or [])  # before torch, which takes seconds

    from gnnpot.cli.starting import importing
    from gnnpot.cli.stopping import RESUME, stoppable
    from gnnpot.cli.tables import print_notes

    with importing():
        from gnnpot.commands.progress import TrainingDisplay
        from gnnpot.learning.distillation import DISTILLED
        from gnnpot.learning.distillation import distill as run

    with stoppable(output, "all rounds so far", RESUME), TrainingDisplay() as display:
        result = run(settings, output, resume=resume, jobs=jobs, observer=display)
    if as_json:
        import json

        typer.echo(json.dumps(result))
        return
    last = {rule: curve[-1] for rule, curve in result["curves"].items()}
    told = {
        f"{rule}, {point['size']} structures": f"{point['energy_mae']:.3g} meV/atom, largest "
        f"{point['energy_largest']:.3g}"
        for rule, point in last.items()
        if point["energy_mae"] is not None
    }
    print_notes(
        {"pool": result["structures"], **told, "set": output / DISTILLED, "report": output / "report.html"}
    )
