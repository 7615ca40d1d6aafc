"""Derivatives of activations."""

from __future__ import annotations

from gnnpot.nn.loops.compiled import compiled


@compiled
def silu_second(begin, end, u, g, x, dg, dx):
    """Gradients of the upstream gradient and of x; ``dg`` holds the logistic function of x before."""
    for k in range(begin, end):
        s = dg[k]
        rest = 1 - s
        dg[k] = u[k] * s * (1 + x[k] * rest)
        dx[k] = u[k] * g[k] * s * rest * (2 + x[k] * (rest - s))


@compiled
def softplus_second(begin, end, u, g, dg, dx):
    """Gradients of the upstream gradient and of x; ``dg`` holds the logistic function of x before."""
    for k in range(begin, end):
        s = dg[k]
        dg[k] = u[k] * s
        dx[k] = u[k] * g[k] * s * (1 - s)
