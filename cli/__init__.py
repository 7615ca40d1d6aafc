"""The command line; torch and its kin are imported inside the commands, for ``--help`` takes no seconds."""

from __future__ import annotations

import signal
import sys
import warnings
from types import FrameType

import typer
from gnnpot.cli.benchmark import benchmark
from gnnpot.cli.benchmark_transfer import benchmark_transfer
from gnnpot.cli.data import data
from gnnpot.cli.distill import distill
from gnnpot.cli.evaluate import evaluate
from gnnpot.cli.info import info
from gnnpot.cli.init import init
from gnnpot.cli.label import label
from gnnpot.cli.learn import learn
from gnnpot.cli.md import md
from gnnpot.cli.models import models
from gnnpot.cli.options import DefaultCommandGroup, MultiValueCommand
from gnnpot.cli.properties import properties
from gnnpot.cli.report import report
from gnnpot.cli.sample import sample
from gnnpot.cli.schema import schema
from gnnpot.cli.stopping import INTERRUPTED, Stopped, Terminated
from gnnpot.cli.template import template
from gnnpot.cli.train import train
from gnnpot.cli.transfer import transfer
from gnnpot.cli.transfer_structures import transfer_structures
from gnnpot.cli.validate import validate

from gnnpot.errors import GnnpotError, file_trouble
from gnnpot.system.memory import keep_freed_memory
from gnnpot.version import __version__

_LONGEST, _SHORT = 400, 80  # characters of a word in a message, and what is left of a longer one
_UsageError = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")

app = typer.Typer(
    help="Machine-learning interatomic potentials: check data, train, evaluate, use.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    init,
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
app.command()(distill)
app.command()(learn)
app.command()(md)
app.command(cls=MultiValueCommand)(properties)
app.command(cls=MultiValueCommand)(report)
app.add_typer(data, name="data")
app.add_typer(benchmarks, name="benchmark")


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def root(
    version: bool = typer.Option(
        False, "--version", help="Print the version and exit.", is_eager=True, callback=_print_version
    ),
) -> None:
    """Machine-learning interatomic potentials: check data, train, evaluate, use."""


def main() -> None:
    """Run a command: 0 when done, 2 with one line for a mistake of the user, a traceback for a bug."""
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    signal.signal(signal.SIGTERM, _terminate)
    keep_freed_memory()
    try:
        code = app(standalone_mode=False)
        if code == INTERRUPTED:  # typer's answer to Ctrl-C
            raise KeyboardInterrupt
    except GnnpotError as error:
        _fail(str(error))
    except OSError as error:
        _fail(file_trouble(error))
    except _UsageError as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # it has printed the help
            sys.exit(0)
        _fail(error.format_message())
    except Stopped as stop:
        code = stop.code
        print(f"gnnpot: {stop.message}", file=sys.stderr)
    except (KeyboardInterrupt, Terminated, typer.Abort) as stop:
        code = stop.code if isinstance(stop, Terminated) else INTERRUPTED
        print("gnnpot: stopped", file=sys.stderr)
    sys.exit(code if isinstance(code, int) else 0)


def _terminate(number: int, frame: FrameType | None) -> None:
    """End as after Ctrl-C: a scheduler's SIGTERM then leaves whole files, too."""
    raise Terminated


def _fail(message: str) -> None:
    words = (word if len(word) <= _LONGEST else f"{word[:_SHORT]}…" for word in message.split())
    print(f"gnnpot: {' '.join(words)}", file=sys.stderr)
    sys.exit(2)
