"""How loops are compiled."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

from numba import njit

_OPTIONS = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}  # which is for callbacks of C
_SOURCES = sha256(b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py"))))
_STAMP = _SOURCES.hexdigest()
compiled_inside = njit(no_cpython_wrapper=True, **_OPTIONS)  # for compiled loops alone
LANES = 32  # items that are taken together


def compiled(function: Callable[..., Any]) -> Any:
    """The function as machine code, which is kept on disk until a file of this folder changes.

    By itself numba looks at the function's own file alone, and not at those of functions that it calls.
    """
    loop = njit(cache=True, fastmath={"reassoc", "contract", "nsz", "arcp"}, **_OPTIONS)(function)
    loop._cache._cache_file._source_stamp = _STAMP
    return loop


@compiled
def dot(x, y):
    """Scalar product of two vectors."""
    return x[0] * y[0] + x[1] * y[1] + x[2] * y[2]
