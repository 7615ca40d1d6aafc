"""Find how many structures a transfer saves."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def benchmark_transfer(
    config: Annotated[Path, typer.Argument(help="YAML file of a transfer; its train files are the pool.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="E.g. train=ge.xyz test=test.xyz.")
    ] = None,
    source: Annotated[
        Path | None, typer.Option("--from", help="Model file to start from; else the configuration's.")
    ] = None,
    element_map: Annotated[str, typer.Option("--map", metavar="TARGET=SOURCE,...", help="E.g. Ge=Si.")] = "",
    sizes: Annotated[list[int] | None, typer.Option(help="Structures; without, 1 10 40 100 195.")] = None,
    splits: Annotated[int, typer.Option(help="How many random parts of each size.")] = 5,
    steps: Annotated[int, typer.Option(help="Steps of each training at least.")] = 600,
    epochs: Annotated[int, typer.Option(help="Passes over its structures at least.")] = 60,
    rates: Annotated[list[float] | None, typer.Option(help="Learning rates that the transfer tries.")] = None,
    scratch_rates: Annotated[list[float] | None, typer.Option(help="The same from scratch.")] = None,
    validation: Annotated[int, typer.Option(help="Structures that choose epochs and rates.")] = 22,
    held_out: Annotated[int, typer.Option(help="Structures to test on, where no test file is given.")] = 24,
    exclude: Annotated[list[str] | None, typer.Option(help="Groups of structures to leave out.")] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="New folder.")] = Path("efficiency"),
    resume: Annotated[bool, typer.Option("--resume", help="Go on with what is in the folder.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
) -> None:
    """Tell how many structures a transfer saves: the same training from a source and from scratch.

    CONFIG comes first; options of several values take all words that follow: --sizes 1 10 --rates 3e-4 1e-3.
    """
    from gnnpot.benchmark.transfer.config import EfficiencyConfig
    from gnnpot.transferring.config import TransferConfig

    transfer = TransferConfig.read(config, overrides or [], source=source, element_map=element_map)
    lists = {"sizes": sizes, "rates": rates, "scratch_rates": scratch_rates, "exclude": exclude}
    given = {name: tuple(values) for name, values in lists.items() if values}
    budget = {"steps": steps, "epochs": epochs}
    counts = {"splits": splits, "validation": validation, "held_out": held_out}
    values = {"transfer": transfer, **budget, **counts, **given}
    asked = EfficiencyConfig.from_dict(values, source="the study")  # before torch, which takes seconds

    from gnnpot.cli.starting import importing
    from gnnpot.cli.stopping import RESUME, stoppable

    with importing():
        from gnnpot.cli.efficiency_table import print_efficiency
        from gnnpot.cli.tables import print_notes

        from gnnpot.benchmark.transfer.run import study
        from gnnpot.commands.progress import ComparisonDisplay

    with stoppable(output, "the trainings so far", RESUME), ComparisonDisplay() as display:
        found = study(asked, output, resume=resume, observer=display)
    if as_json:
        import json

        typer.echo(json.dumps(found.as_dict()))
        return
    print_efficiency(found)
    print_notes({"report": output / "report.html", "models": output / "trainings"})
