"""What all bars of progress share; on stderr, so that stdout stays clean."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.progress import Progress

QUIET = 10.0  # seconds between lines where there is no terminal


class Display:
    """Something with a bar that is there while work goes on."""

    _bar: Progress

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()


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
        return f"{clock(spent * (1 - share) / done)} left" if done > 0 else ""


def clock(seconds: float) -> str:
    """A time as ``h:mm:ss``."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"
