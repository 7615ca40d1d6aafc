"""Look at data before anyone trains on them."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Annotated

import typer


def validate(
    data: Annotated[list[Path], typer.Argument(help="Files of labeled structures.")],
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--keys",
            "-k",
            metavar="NAME=VALUE",
            help="Where labels are, e.g. energy=dft_energy or stress_unit=kBar; may be repeated.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Report what is in labeled structures, and fail if training on them would go wrong."""
    from gnnpot.cli.starting import importing

    from gnnpot.errors import DataError

    with importing():
        from gnnpot.commands.display import counted
        from gnnpot.data.checks.inspection import inspect
        from gnnpot.data.keys import label_keys
        from gnnpot.data.reading import read_as_found

    keys = label_keys(settings or [])
    report = inspect(counted(read_as_found(data, keys), "reading and checking"), keys)
    if as_json:
        typer.echo(json.dumps(report.as_dict(), allow_nan=False))
    else:
        from gnnpot.cli.data_tables import print_report

        print_report(report)
    if faults := len(report.faults):
        raise DataError(f"expected data without faults, got {faults}; mend what is listed above")
    if not as_json:
        again = [word for setting in settings or [] for word in ("--keys", setting)]
        typer.echo(f"next: {shlex.join(['gnnpot', 'init', *map(str, data), *again])} > run.yaml")
