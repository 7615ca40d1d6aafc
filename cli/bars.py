"""What all bars of progress share; on stderr, so that stdout stays clean."""

from __future__ import annotations

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


def clock(seconds: float) -> str:
    """A time as ``h:mm:ss``."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"
