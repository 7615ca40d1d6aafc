"""Activations of dense layers and their derivatives, some rows at a time.

Meanwhile rows of other matrices, those ``ahead``, are brought to the cache.
"""

from __future__ import annotations

import math
from typing import Any

from numba.extending import overload

from gnnpot.kernels.compiled import compiled
from gnnpot.kernels.simd import WIDTH, chosen, exp, fetch, filled, load, store

NONE, SILU, SOFTPLUS = range(3)
_LN_2 = math.log(2.0)


@compiled
def activate(kind, z, skip, out, ahead):
    """Values of the activation of z, with ``skip``."""
    for row in range(len(z)):
        for c in range(0, z.shape[1], WIDTH):
            value = _value(kind, load(z, (row, c)))
            if len(skip):
                value = value + load(skip, (row, c))
            store(out, (row, c), value)
        fetch_row(ahead, row)


@compiled
def slopes(kind, gradient, z, change, out, ahead):
    """Gradient by the arguments, with ``change``, from that by the values."""
    for row in range(len(z)):
        for c in range(0, z.shape[1], WIDTH):
            rate, _ = _rates(kind, load(z, (row, c)))
            slope = load(gradient, (row, c)) * rate
            if len(change):
                slope = slope + load(change, (row, c))
            store(out, (row, c), slope)
        for part in ahead:
            fetch_row(part, row)


@compiled
def second_slopes(kind, gradient, z, skip, value, slope, change, ahead):
    """Gradient by the arguments, and how it changes with them.

    ``value`` is the change of the arguments before, and of the values after.
    """
    for row in range(len(z)):
        for c in range(0, z.shape[1], WIDTH):
            of_z, g = load(value, (row, c)), load(gradient, (row, c))
            rate, bend = _rates(kind, load(z, (row, c)))
            store(slope, (row, c), g * rate)
            store(change, (row, c), g * of_z * bend)
            of_value = of_z * rate
            if len(skip):
                of_value = of_value + load(skip, (row, c))
            store(value, (row, c), of_value)
        for part in ahead:
            fetch_row(part, row)


@compiled
def fetch_row(values, row):
    """Have a row brought to the cache."""
    for c in range(0, values.shape[1], WIDTH):
        fetch(values, (row, c))


@compiled
def _value(kind, x):
    """Values of the activation."""
    if kind == SILU:
        return x * _logistic(x)
    return chosen(x, x, filled(x, 0)) + (_log_of_more(exp(chosen(x, -x, x))) - filled(x, _LN_2))


@compiled
def _rates(kind, x):
    """First and second derivatives of the activation."""
    one, s = filled(x, 1), _logistic(x)
    rest = s * (one - s)
    if kind == SILU:
        return s + x * rest, rest * (filled(x, 2) + x * (one - filled(x, 2) * s))
    return s, rest


@compiled
def _logistic(x):
    """1 / (1 + exp(-x))."""
    return filled(x, 1) / (filled(x, 1) + exp(-x))


def _log_of_more(x: Any) -> Any:
    """ln(1 + x), for x from 0 to 1."""
    raise NotImplementedError("for compiled loops alone")


@overload(_log_of_more)
def _log(x):
    terms = tuple(1 / power for power in range(15 if x.dtype.bitwidth == 32 else 33, 0, -2))

    def logarithm(x):
        s = x / (filled(x, 2) + x)  # ln(1 + x) is twice the series of artanh, at 1/3 at most
        square = s * s
        result = filled(x, terms[0])
        for term in terms[1:]:
            result = result * square + filled(x, term)
        return (s + s) * result

    return logarithm
