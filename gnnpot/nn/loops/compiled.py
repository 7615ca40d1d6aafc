"""How loops are compiled."""

from __future__ import annotations

from numba import njit

compiled = njit(nogil=True, cache=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz", "arcp"})
LANES = 32  # items that are taken together


@compiled
def dot(x, y):
    """Scalar product of two vectors."""
    return x[0] * y[0] + x[1] * y[1] + x[2] * y[2]
