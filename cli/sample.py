"""Make structures as a configuration file says."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def sample(
    config: Annotated[Path, typer.Argument(help="YAML file with the section sampler.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="E.g. sampler.steps=1000.")
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="New folder for the frames.")] = Path(
        "samples"
    ),
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in the folder.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Sample structures: molecular dynamics, deformation, MOMT, steered dynamics, strain, noise."""
    from gnnpot.sampling.config import SampleConfig

    sample_config = SampleConfig.from_yaml(config, overrides or [])  # before torch, which takes seconds

    from gnnpot.cli.starting import importing
    from gnnpot.cli.stopping import RESUME, stoppable
    from gnnpot.cli.tables import print_notes

    with importing():
        from gnnpot.commands.progress import SamplingDisplay
        from gnnpot.sampling.run import sample as run

    with stoppable(output, "the structures so far", RESUME), SamplingDisplay() as display:
        summary = run(sample_config, output, resume=resume, watch=display.watch)
    if as_json:
        import json

        typer.echo(json.dumps(summary))
        return
    file = output / "frames.xyz"
    print_notes(
        {
            "structures": summary["frames"],
            "file": file,
            **({"log": output / "log.csv"} if summary["runs"] else {}),
            **{f"run {run['run']} stopped": run["failure"] for run in summary["runs"] if run["failure"]},
            **{f"run {run['run']} ended": run["stop"] for run in summary["runs"] if run["stop"]},
            "next": f"gnnpot validate {file}" if summary["labeled"] else _labeling(file),
        }
    )


def _labeling(file: Path) -> str:
    """Commands that label the structures, by a method for crystals or for molecules."""
    from gnnpot.data.reading import read_frames

    is_crystal = next(iter(read_frames([f"{file}@0"], needed=()))).pbc.all()
    name, others = ("kim", "eam, espresso") if is_crystal else ("xtb", "dftb3")
    return (
        f"gnnpot template labeling/{name} > label.yaml  # or {others}, …\n"
        f"gnnpot label label.yaml structures={file}"
    )
