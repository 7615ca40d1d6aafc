"""The command line; torch and its kin are imported inside the commands, for ``--help`` takes no seconds."""

from __future__ import annotations

import sys
import warnings

import typer
from gnnpot.cli.benchmark import benchmark
from gnnpot.cli.benchmark_transfer import benchmark_transfer
from gnnpot.cli.evaluate import evaluate
from gnnpot.cli.info import info
from gnnpot.cli.label import label
from gnnpot.cli.models import models
from gnnpot.cli.options import DefaultCommandGroup, MultiValueCommand
from gnnpot.cli.sample import sample
from gnnpot.cli.schema import schema
from gnnpot.cli.template import template
from gnnpot.cli.train import train
from gnnpot.cli.transfer import transfer
from gnnpot.cli.transfer_structures import transfer_structures
from gnnpot.cli.validate import validate

from gnnpot.errors import GnnpotError
from gnnpot.system.memory import keep_freed_memory
from gnnpot.version import __version__

_UsageError = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")

app = typer.Typer(
    help="Machine-learning interatomic potentials: check data, train, evaluate, use.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    template,
    schema,
    models,
    validate,
    train,
    transfer,
    transfer_structures,
    evaluate,
    info,
    label,
):
    app.command()(command)
benchmarks = typer.Typer(
    cls=DefaultCommandGroup,
    no_args_is_help=True,
    help="Compare models (`benchmark DATA`), or study what a transfer saves (`benchmark transfer`).",
)
benchmarks.command("models", cls=MultiValueCommand)(benchmark)
benchmarks.command("transfer", cls=MultiValueCommand)(benchmark_transfer)
app.command()(sample)
app.add_typer(benchmarks, name="benchmark")


@app.callback()
def root(
    version: bool = typer.Option(False, "--version", help="Print the version and exit.", is_eager=True),
) -> None:
    """Machine-learning interatomic potentials: check data, train, evaluate, use."""
    if version:
        typer.echo(__version__)
        raise typer.Exit


def main() -> None:
    """Run a command: 0 when done, 2 with one line for a mistake of the user, a traceback for a bug."""
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    keep_freed_memory()
    try:
        code = app(standalone_mode=False)
    except (GnnpotError, OSError) as error:
        _fail(str(error))
    except _UsageError as error:
        _fail(error.format_message())
    except (KeyboardInterrupt, typer.Abort):
        print("gnnpot: stopped; what was finished is kept", file=sys.stderr)
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str) -> None:
    print(f"gnnpot: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(2)
