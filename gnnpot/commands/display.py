"""What all bars of progress share; on stderr, so that stdout stays clean."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

if TYPE_CHECKING:
    from ase import Atoms

QUIET = 10.0  # seconds after which something is said where there is no terminal


class Display:
    """Something with a bar that is there while work goes on.

    Where there is no terminal, and nothing else was printed for ten seconds, a line says what is being done.
    """

    _bar: Progress
    _console: Console

    def __enter__(self) -> Self:
        self._status, self._said, self._begun = "", time.monotonic(), time.monotonic()
        self._ended = Event()
        self._bar.start()
        if not self._console.is_terminal:
            Thread(target=self._speak, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._bar.stop()

    def _doing(self, status: str) -> None:
        """Note what is being done."""
        self._status = status

    def _say(self, text: str) -> None:
        """Print a line above the bar."""
        self._said = time.monotonic()
        print_prose(self._console, text)

    def _is_quiet(self) -> bool:
        """Whether nothing was printed for a while."""
        return time.monotonic() - self._said >= QUIET

    def _speak(self) -> None:
        """Say what is being done whenever nothing was said for a while."""
        while not self._ended.wait(0.5):
            if self._is_quiet() and self._status:
                self._say(f"{self._status}  ({clock(time.monotonic() - self._begun)})")


class TimeLeft:
    """Until the end, from how fast the share that is done has grown since it was first told."""

    def __init__(self) -> None:
        self._begun: tuple[float, float] | None = None

    def __call__(self, share: float, seconds: float | None = None) -> str:
        """In words, if anything can be said; ``seconds`` is the time now."""
        seconds = time.monotonic() if seconds is None else seconds
        if self._begun is None:
            self._begun = (share, seconds)
        done, spent = share - self._begun[0], seconds - self._begun[1]
        return f"{clock(max(spent * (1 - share) / done, 0.0))} left" if done > 0 else ""


def clock(seconds: float) -> str:
    """A time as ``h:mm:ss``."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"


def print_prose(console: Console, text: str, *, indent: int = 0, style: str = "") -> None:
    """Print sentences: broken between words in a terminal, one line for each of them elsewhere.

    Args:
        console: Where.
        text: One paragraph a line.
        indent: Characters by which all lines of a paragraph but the first are moved to the right.
        style: Style of the words.
    """
    for line in text.splitlines():
        if console.is_terminal and len(line) > console.width:
            line = textwrap.fill(
                line,
                console.width,
                subsequent_indent=" " * indent,
                break_long_words=False,
                break_on_hyphens=False,
            )
        console.print(Text(line), style=style, soft_wrap=True)


def counted(structures: Iterable[Atoms], what: str) -> Iterator[Atoms]:
    """Yield ``structures``, and show how many of them are done."""
    with counting(what) as advance:
        for atoms in structures:
            yield atoms
            advance(1)


@contextmanager
def counting(what: str) -> Iterator[Callable[[int], None]]:
    """Show how many structures are done; gives the function that adds to the count."""
    console = Console(stderr=True)
    with Progress(
        TextColumn(what),
        TextColumn("{task.completed:.0f} structures"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,  # it would leave an empty line
    ) as bar:
        task, printed = bar.add_task(what, total=None), time.monotonic()

        def advance(count: int) -> None:
            nonlocal printed
            bar.advance(task, count)
            if not console.is_terminal and time.monotonic() - printed > QUIET:
                printed = time.monotonic()
                print_prose(console, f"{what} {bar.tasks[task].completed:.0f} structures")

        yield advance
