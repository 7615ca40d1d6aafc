"""Train a potential as a configuration file says."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def train(
    config: Annotated[Path, typer.Argument(help="YAML file; `gnnpot template` prints one.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="E.g. training.max_epochs=10.")
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="New folder for the results.")] = Path("run"),
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in the folder.")] = False,
    jobs: Annotated[int, typer.Option(min=1, help="Members of a committee that are trained at a time.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print the metrics as JSON.")] = False,
) -> None:
    """Train a potential on labeled structures."""
    from gnnpot.training.run_config import RunConfig

    run_config = RunConfig.from_yaml(config, overrides or [])  # before torch, which takes seconds

    from gnnpot.cli.starting import importing
    from gnnpot.cli.stopping import RESUME, TRAINED, stoppable
    from gnnpot.cli.tables import print_metrics, print_notes

    with importing():
        from gnnpot.commands.functions import train as run

    with stoppable(output, TRAINED, RESUME):
        metrics = run(run_config, output, resume=resume, jobs=jobs).metrics
    if not metrics:
        return  # not the first of several processes
    if as_json:
        import json

        typer.echo(json.dumps(metrics))
        return
    print_metrics(metrics, title=f"Errors on the {metrics['split']} structures")
    print_notes(
        {
            "model": output if run_config.members else output / "model.safetensors",
            "report": output / "report.html",
            "events": f"tensorboard --logdir {output}",
            "next": f"gnnpot evaluate {output} other.xyz\ngnnpot md {output} cell.xyz\n"
            f'GNNPotCalculator("{output}") in ASE',
        }
    )
