"""Compare models on the user's data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from gnnpot.benchmark.trials import Comparison


def benchmark(
    data: Annotated[list[str], typer.Argument(help="Files of labeled structures.")],
    models: Annotated[list[str] | None, typer.Option(help="Names or YAML files; all models without.")] = None,
    sizes: Annotated[list[int] | None, typer.Option(help="Numbers of frames; without, 10 50 200.")] = None,
    seeds: Annotated[int, typer.Option(help="How many random parts of each size.")] = 1,
    minutes: Annotated[float, typer.Option("--time", help="Minutes of each training.")] = 5.0,
    test: Annotated[list[str] | None, typer.Option(help="Files that are only tested on.")] = None,
    held_out: Annotated[float, typer.Option(help="Share of DATA to test on, without --test.")] = 0.2,
    md_steps: Annotated[int, typer.Option(help="Steps of dynamics at constant energy.")] = 1000,
    keys: Annotated[
        list[str] | None,
        typer.Option("--keys", "-k", metavar="NAME=VALUE", help="Where labels are, e.g. energy=dft_energy."),
    ] = None,
    properties: Annotated[Path | None, typer.Option(help="YAML of values that rank models.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, …; auto takes a GPU if there.")] = "auto",
    output: Annotated[Path, typer.Option("--output", "-o", help="New folder.")] = Path("benchmark"),
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with what is in the folder; what failed is tried again.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
) -> None:
    """Tell which model is best for DATA: errors, speed and energy conservation under one time budget.

    DATA comes first; options of several values take all words that follow: --models ani schnet --sizes 10 50.
    """
    from gnnpot.benchmark.models.config import ComparisonConfig
    from gnnpot.config.base import read_values
    from gnnpot.data.keys import label_keys

    given = {
        "data": data,
        "models": models or (),
        "sizes": sizes or ComparisonConfig.model_fields["sizes"].default,
        "seeds": seeds,
        "time": 60 * minutes,
        "test": test or {"fraction": held_out},
        "keys": label_keys(keys or []),
        "device": device,
        "steps": md_steps,
        "properties": None if properties is None else read_values(properties),
    }
    asked = ComparisonConfig.from_dict(given, source="the comparison")  # before torch, which takes seconds

    from gnnpot.cli.starting import importing
    from gnnpot.cli.stopping import RESUME, stoppable

    with importing():
        from gnnpot.benchmark.models.run import compare
        from gnnpot.commands.progress import ComparisonDisplay

    with stoppable(output, "the trainings so far", RESUME), ComparisonDisplay() as display:
        comparison = compare(asked, output, resume=resume, observer=display)
    _print(comparison, output, as_json=as_json)


def _print(comparison: Comparison, output: Path, *, as_json: bool) -> None:
    if as_json:
        import json

        typer.echo(json.dumps(comparison.as_dict(), allow_nan=False))
        return
    from gnnpot.cli.comparison_table import print_comparison
    from gnnpot.cli.tables import print_notes

    print_comparison(comparison)
    print_notes({"report": output / "report.html", "models": output / "trainings"})
