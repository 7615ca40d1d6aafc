"""How loops are compiled."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

from numba import config, njit
from numba.core.caching import FunctionCache

_OPTIONS = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}  # which is for callbacks of C
_SOURCES = sha256(b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py"))))
_STAMP = f"{_SOURCES.hexdigest()}, bounds checked: {config.BOUNDSCHECK}"
compiled_inside = njit(no_cpython_wrapper=True, **_OPTIONS)  # for compiled loops alone
_WRITER = uuid4().hex[:12]  # in the names of files with machine code that this process writes
LANES = 32  # items that are taken together


def compiled(function: Callable[..., Any]) -> Any:
    """Compile a loop; its machine code is kept on disk until a file of this folder changes.

    By itself numba looks at the function's own file alone, and not at those of functions that it calls.
    Where numba finds no folder to write to, as in a container with a read-only package and home, the code is
    kept in a temporary folder of this user, or not at all.
    """
    loop = njit(fastmath={"reassoc", "contract", "nsz", "arcp"}, **_OPTIONS)(function)
    kept = _kept(function)
    if kept is not None:
        loop._cache = kept
    return loop


class _Kept(FunctionCache):
    """Machine code on disk, as long as there is room for it."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        file = self._cache_file
        file._source_stamp = _STAMP
        # where two processes compile at once, numba lets one overwrite the code that the other's index names
        file._data_name_pattern = file._data_name_pattern.replace("{number:d}", f"{_WRITER}-{{number:d}}")

    def save_overload(self, signature: Any, data: Any) -> None:
        """Write the machine code for some types; where the disk is full it is made again next time."""
        with suppress(OSError):
            super().save_overload(signature, data)


def _kept(function: Callable[..., Any]) -> _Kept | None:
    """Where the machine code of a function is kept, or None if there is no place for it."""
    with suppress(RuntimeError):  # numba's word for no folder that can be written to
        return _Kept(function)
    folder, before = _temporary_folder(), config.CACHE_DIR
    if folder is None:
        return None
    config.CACHE_DIR = folder
    try:
        return _Kept(function)
    except RuntimeError:
        return None
    finally:
        config.CACHE_DIR = before


@cache
def _temporary_folder() -> str | None:
    """A folder to which this user alone can write, or None: machine code of others is not run."""
    user = getattr(os, "getuid", int)()
    try:
        folder = Path(tempfile.gettempdir()) / f"gnnpot-{user}"
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
    except OSError:
        return None
    is_open = os.name == "posix" and (status.st_uid != user or stat.S_IMODE(status.st_mode) & 0o022)
    return None if is_open or not stat.S_ISDIR(status.st_mode) else str(folder)


@compiled
def dot(x, y):
    """Scalar product of two vectors."""
    return x[0] * y[0] + x[1] * y[1] + x[2] * y[2]
