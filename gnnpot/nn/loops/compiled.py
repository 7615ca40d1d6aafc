"""How loops are compiled."""

from __future__ import annotations

from numba import njit

_OPTIONS = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}  # which is for callbacks of C
compiled = njit(cache=True, fastmath={"reassoc", "contract", "nsz", "arcp"}, **_OPTIONS)
compiled_inside = njit(no_cpython_wrapper=True, **_OPTIONS)  # for compiled loops alone
LANES = 32  # items that are taken together


@compiled
def dot(x, y):
    """Scalar product of two vectors."""
    return x[0] * y[0] + x[1] * y[1] + x[2] * y[2]
