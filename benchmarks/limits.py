"""What a measured process may use, and what it has used."""

from __future__ import annotations

import ctypes
import os
import resource
import sys
from pathlib import Path

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def environment(threads: int) -> dict[str, str]:
    """Variables for a process whose libraries shall use this many threads."""
    return {**os.environ, **dict.fromkeys(_THREAD_VARIABLES, str(threads)), "PYTHONWARNINGS": "ignore"}


def tune_malloc() -> None:
    """Have glibc keep freed memory instead of handing it back, so that large tensors cause no page faults."""
    glibc = ctypes.CDLL("libc.so.6")
    if not (glibc.mallopt(_M_MMAP_THRESHOLD, 1 << 30) and glibc.mallopt(_M_TRIM_THRESHOLD, -1)):
        raise OSError("mallopt refused the thresholds")


def limit_memory(gigabytes: float) -> None:
    """Make allocations fail beyond this much private memory."""
    size = int(gigabytes * 1e9)
    resource.setrlimit(resource.RLIMIT_DATA, (size, size))


def peak_megabytes() -> float:
    """Largest resident memory that this process has had (MB).

    On Linux the high-water mark of this program alone: ``ru_maxrss`` begins with that of the parent.
    """
    status = Path("/proc/self/status")
    if status.exists():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) / 1024
    unit = 1024**2 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def half_of_memory() -> float:
    """Half the memory of this machine (GB)."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2e9
