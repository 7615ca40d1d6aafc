"""Dense layers silu(x Wᵀ + b) and their derivatives; an item is a row, an array without rows is left out.

Some rows at a time are multiplied and then activated while they are in the cache; what the next product
reads is fetched meanwhile, as it would wait for it.  All widths are multiples of ``WIDTH``; biases are one
row.
"""

from __future__ import annotations

from gnnpot.nn.loops.compiled import compiled
from gnnpot.nn.loops.products import multiply
from gnnpot.nn.loops.simd import WIDTH, exp, fetch, load, spread, store

_ROWS = 96  # that are taken at once


@compiled
def activate(begin, end, z, skip, out):
    """Values silu(z), with ``skip``."""
    one = spread(z.dtype.type(1))
    for row in range(begin, end):
        for c in range(0, z.shape[1], WIDTH):
            value = load(z, (row, c))
            value = value * logistic(value, one)
            if len(skip):
                value = value + load(skip, (row, c))
            store(out, (row, c), value)


@compiled
def layer(begin, end, x, weight, bias, skip, z, out):
    """Arguments z = x W + b of the activation, and its values, with ``skip``."""
    for first in range(begin, end, _ROWS):
        last = min(end, first + _ROWS)
        multiply(first, last, x, weight, bias, z)
        for row in range(first, last):
            activate(row, row + 1, z, skip, out)
            fetch_row(x, row + _ROWS)


@compiled
def layer_first(begin, end, g, z, change, weight, start, slope, out):
    """Gradient by z, with ``change``, from that by the values; and that by x, with ``start``."""
    one = spread(z.dtype.type(1))
    for first in range(begin, end, _ROWS):
        last = min(end, first + _ROWS)
        for row in range(first, last):
            for c in range(0, z.shape[1], WIDTH):
                value = load(z, (row, c))
                s = logistic(value, one)
                gradient = load(g, (row, c)) * (s + value * (s * (one - s)))
                if len(change):
                    gradient = gradient + load(change, (row, c))
                store(slope, (row, c), gradient)
            if len(start) > 1:
                fetch_row(start, row)
        multiply(first, last, slope, weight, start, out)


@compiled
def layer_second(begin, end, t, weight, zero, g, z, skip, out, slope, change):
    """Where x changes by t: the change of the values, with ``skip``, the gradient by z, and its change."""
    one, two = spread(z.dtype.type(1)), spread(z.dtype.type(2))
    for first in range(begin, end, _ROWS):
        last = min(end, first + _ROWS)
        multiply(first, last, t, weight, zero, out)
        for row in range(first, last):
            for c in range(0, z.shape[1], WIDTH):
                value, of_z, gradient = load(z, (row, c)), load(out, (row, c)), load(g, (row, c))
                s = logistic(value, one)
                rest = s * (one - s)
                rate = s + value * rest
                store(slope, (row, c), gradient * rate)
                store(change, (row, c), gradient * of_z * (rest * (two + value * (one - two * s))))
                of_values = of_z * rate
                if len(skip):
                    of_values = of_values + load(skip, (row, c))
                store(out, (row, c), of_values)
            fetch_row(t, row + _ROWS)


@compiled
def fetch_row(x, row):
    """Have a row of a matrix, or what follows it in memory, brought to the cache."""
    for c in range(0, x.shape[1], WIDTH):
        fetch(x, (row, c))


@compiled
def logistic(x, one):
    """1 / (1 + exp(-x)) of a vector."""
    return one / (one + exp(-x))
