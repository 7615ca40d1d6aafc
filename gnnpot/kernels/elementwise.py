"""Derivatives of activations; slices and constants of one type make them loops over vectors."""

from __future__ import annotations

from gnnpot.kernels.compiled import compiled
from gnnpot.kernels.simd import WIDTH, transpose_square


@compiled
def silu_second(begin, end, u, g, x, dg, dx):
    """Gradients of the upstream gradient and of x; ``dg`` holds the logistic function of x before."""
    u, g, x, dg, dx = u[begin:end], g[begin:end], x[begin:end], dg[begin:end], dx[begin:end]
    one, two = x.dtype.type(1), x.dtype.type(2)
    for k in range(len(x)):
        s = dg[k]
        rest = one - s
        dg[k] = u[k] * s * (one + x[k] * rest)
        dx[k] = u[k] * g[k] * s * rest * (two + x[k] * (rest - s))


@compiled
def softplus_second(begin, end, u, g, dg, dx):
    """Gradients of the upstream gradient and of x; ``dg`` holds the logistic function of x before."""
    u, g, dg, dx = u[begin:end], g[begin:end], dg[begin:end], dx[begin:end]
    one = u.dtype.type(1)
    for k in range(len(u)):
        s = dg[k]
        dg[k] = u[k] * s
        dx[k] = u[k] * g[k] * s * (one - s)


@compiled
def transpose(begin, end, x, out):
    """The transposed matrix, ``WIDTH`` rows of x an item."""
    for first in range(begin * WIDTH, min(len(x), end * WIDTH), WIDTH):
        last = min(len(x), first + WIDTH)
        whole = x.shape[1] - x.shape[1] % WIDTH if last - first == WIDTH else 0
        for column in range(0, whole, WIDTH):
            transpose_square(x, (first, column), out, (column, first))
        for row in range(first, last):
            for column in range(whole, x.shape[1]):
                out[column, row] = x[row, column]
