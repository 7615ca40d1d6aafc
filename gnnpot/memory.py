"""How the process treats memory that is free again."""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc's mallopt
_LARGEST = 1 << 25  # what glibc allows


def keep_freed_memory() -> None:
    """Let glibc keep freed memory for the next step instead of giving it back page by page.

    A training step frees and takes the same large blocks again; new pages cost a tenth of its time.  For
    programs of our own: a library should leave the allocator of its host alone.  Elsewhere than on Linux
    with glibc nothing happens.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _LARGEST)
        mallopt(_TRIM_THRESHOLD, 2**31 - 1)
