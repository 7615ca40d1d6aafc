"""Freed memory that the process keeps."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

COUNT_PAGES = """
import resource
from gnnpot.system.memory import keep_freed_memory

if {keep}:
    keep_freed_memory()
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
fill = lambda: [b"1" * 80_000_000 for _ in range(28)]
fill()
before = faults()
fill()
print(faults() - before)
"""


def new_pages(*, keep: bool) -> int:
    """Pages that a process asks the system for while it fills more than 2 GB once more."""
    script = COUNT_PAGES.format(keep=keep)
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return int(answer.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the thresholds are those of glibc")
def test_kept_memory_needs_no_new_pages() -> None:
    assert new_pages(keep=False) > 10_000
    assert new_pages(keep=True) < 100
