"""How the process treats memory that is free again."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc's mallopt
_THRESHOLDS = 1 << 30, 1 << 25  # what new and old versions of glibc allow
_NEVER = -1


def keep_freed_memory() -> None:
    """Let glibc keep freed memory for the next step instead of giving it back page by page.

    Steps of training and dynamics free and take the same large blocks again; new pages cost a tenth of the
    time of small steps, and half of those of 10,000 atoms.  The process then holds the most that it
    has used until it ends.  Elsewhere than on Linux with glibc nothing happens.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        any(mallopt(_MMAP_THRESHOLD, size) for size in _THRESHOLDS)
        mallopt(_TRIM_THRESHOLD, _NEVER)


@contextmanager
def objects_settled() -> Iterator[None]:
    """Have Python's garbage collector leave out, inside, all objects that are there before.

    It would search the hundred thousands of objects of the imported libraries again and again, for 5 % of
    the time of a training.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
