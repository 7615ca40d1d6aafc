"""What a user reads when a command is stopped by Ctrl-C or SIGTERM."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

RESUME = "the same command with --resume goes on"
TRAINED = "the best model so far and the state of the training"


INTERRUPTED, TERMINATED = 128 + signal.SIGINT, 128 + signal.SIGTERM  # exit status, as of shells


class Terminated(SystemExit):
    """The process was asked to end by SIGTERM."""

    def __init__(self) -> None:
        super().__init__(TERMINATED)


class Stopped(SystemExit):
    """A command that was stopped.

    Args:
        code: Exit status.
        message: One sentence that says what is kept.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(code)
        self.message = message


@contextmanager
def stoppable(output: Path, kept: str, go_on: str) -> Iterator[None]:
    """When the block is stopped, tell what is kept in ``output`` and how to go on.

    Args:
        output: Folder of the results.
        kept: What is kept there once the work has begun, e.g. "the best model so far".
        go_on: What to do to go on, e.g. "the same command goes on".

    Raises:
        Stopped: With the sentence as its message.
    """
    try:
        yield
    except (KeyboardInterrupt, Terminated) as stop:
        begun = output.is_dir() and any(output.iterdir())
        told = f"stopped; {output} keeps {kept}: {go_on}" if begun else "stopped; nothing was written"
        raise Stopped(INTERRUPTED if isinstance(stop, KeyboardInterrupt) else TERMINATED, told) from None
