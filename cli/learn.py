"""Run an active-learning loop as a configuration file says."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def learn(
    config: Annotated[Path, typer.Argument(help="YAML file: where to sample, how to label, what to train.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="E.g. rounds=4 stop.labels=500.")
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="New folder for the loop.")] = Path("loop"),
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the loop in the folder.")] = False,
    jobs: Annotated[int, typer.Option(min=1, help="Members of the committee trained at a time.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Learn actively: sample where a committee knows too little, label, train, until a property converges."""
    from gnnpot.learning.config import LearnConfig

    loop = LearnConfig.from_yaml(config, overrides or [])  # before torch, which takes seconds

    from gnnpot.cli.starting import importing
    from gnnpot.cli.stopping import RESUME, stoppable
    from gnnpot.cli.tables import print_notes

    with importing():
        from gnnpot.commands.progress import TrainingDisplay
        from gnnpot.learning.run import learn as run

    with stoppable(output, "all rounds and labels so far", RESUME), TrainingDisplay() as display:
        result = run(loop, output, resume=resume, jobs=jobs, observer=display)
    if as_json:
        import json

        typer.echo(json.dumps(result))
        return
    work = {} if result["property"] is None else {"largest work": f"{result['property']:.4f} eV"}
    print_notes(
        {
            "ended": result["stopped"],
            "rounds": result["rounds"],
            "labels": result["labels"],
            **work,
            "committee": result["model"],
            "report": output / "report.html",
        }
    )
