"""Molecular dynamics of one structure in a few words."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def md(
    model: Annotated[
        list[str],
        typer.Argument(help="Model file, folder of a run, several as a committee, or METHOD:key=value,…."),
    ],
    structure: Annotated[str, typer.Argument(help="A file (frames.xyz@-1), or a crystal (Si:diamond).")],
    ensemble: Annotated[
        str, typer.Option(help="nve, nvt, npt, or the kind of a thermostat or barostat of `gnnpot sample`.")
    ] = "nvt",
    temperature: Annotated[str, typer.Option(help="K; 300:1200 is a ramp.")] = "300",
    time: Annotated[str, typer.Option(help="Length, e.g. 10ps; fs without unit.")] = "10ps",
    timestep: Annotated[str, typer.Option(help="E.g. 0.5fs.")] = "1fs",
    interval: Annotated[
        str | None, typer.Option(help="Between two frames, e.g. 50fs; by default 100fs or less.")
    ] = None,
    pressure: Annotated[float | None, typer.Option(help="bar, for npt.")] = None,
    friction: Annotated[float | None, typer.Option(help="1/fs, for nvt; by default 0.01.")] = None,
    repeat: Annotated[str, typer.Option(help="Cells along each vector: 3, or 4x4x2.")] = "1",
    seed: Annotated[int, typer.Option(help="Of all random numbers.")] = 0,
    device: Annotated[
        str, typer.Option(help="cpu, cuda, cuda:1, …; auto takes a GPU if there is one.")
    ] = "auto",
    output: Annotated[Path, typer.Option("--output", "-o", help="New folder for the results.")] = Path("md"),
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in the folder.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Run molecular dynamics: trajectory, log, figure; stops when it explodes, with exit status 1."""
    from gnnpot.cli.starting import importing
    from gnnpot.cli.stopping import RESUME, stoppable

    with importing():
        from gnnpot.cli.dynamics_table import print_dynamics

        from gnnpot.commands.progress import SamplingDisplay
        from gnnpot.engines.words import committee_from_words
        from gnnpot.sampling.dynamics import DynamicsOptions, dynamics

    options = DynamicsOptions.from_words(
        {
            **{"ensemble": ensemble, "temperature": temperature, "time": time, "timestep": timestep},
            **{
                "interval": interval,
                "pressure": pressure,
                "friction": friction,
                "repeat": repeat,
                "seed": seed,
            },
        }
    )
    config = options.sampling_run(committee_from_words(model, device=device), structure)
    with stoppable(output, "the trajectory so far", RESUME), SamplingDisplay() as display:
        summary = dynamics(config, output, resume=resume, watch=display.watch)
    if as_json:
        import json

        typer.echo(json.dumps(summary))
    else:
        print_dynamics(summary, output)
    raise typer.Exit(1 if summary["failure"] else 0)
