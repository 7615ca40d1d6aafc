"""Processes that end with the one that started them, however that ends."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from threading import Thread

_SET_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of Linux
_POLL = 0.5  # seconds
_STARTED_BY = os.getppid()


def end_with_parent() -> None:
    """Let this process be killed as soon as the one that started it is gone.

    Linux sends the signal itself; elsewhere a thread looks after the parent twice a second.  Call it in the
    process that shall end, from the main thread of a parent that lives as long as the work.
    """
    parent = os.getppid()
    if not (sys.platform == "linux" and _signalled_by_the_system()):
        Thread(target=_watch, args=(parent,), daemon=True).start()
    if os.getppid() != parent:  # it ended before it was watched
        _end()


def is_orphaned() -> bool:
    """Whether the process that started this one has ended."""
    return os.getppid() != _STARTED_BY


def _signalled_by_the_system() -> bool:
    try:
        return ctypes.CDLL(None).prctl(_SET_DEATH_SIGNAL, signal.SIGKILL) == 0
    except (OSError, AttributeError):
        return False


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_POLL)
    _end()


def _end() -> None:
    os.kill(os.getpid(), signal.SIGKILL if os.name == "posix" else signal.SIGTERM)
