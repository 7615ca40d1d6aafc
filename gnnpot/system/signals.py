"""Ctrl-C and SIGTERM at moments when a program can end well."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def held_signals() -> Iterator[Callable[[], None]]:
    """Keep SIGINT and SIGTERM until the function that this yields is called; a second one comes through.

    An exception in the middle of anything (a lock that a library holds, a thread that it starts) may leave a
    process that never ends.  Outside the main thread, and for signals that Python does not handle, nothing
    changes.
    """
    waiting: list[tuple[int, Callable[[int, FrameType | None], object]]] = []

    def release() -> None:
        if waiting:
            number, handler = waiting[0]
            handler(number, None)

    def hold(number: int, frame: FrameType | None) -> None:
        waiting.append((number, handlers[number]))
        if len(waiting) > 1:
            release()

    handlers: dict[int, Callable[[int, FrameType | None], object]] = {}
    if threading.current_thread() is threading.main_thread():
        there = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        handlers = {number: handler for number, handler in there.items() if callable(handler)}
    for number in handlers:
        signal.signal(number, hold)
    try:
        yield release
        release()
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
