"""Spherical harmonics of the directions of pairs."""

from __future__ import annotations

import numpy as np

from gnnpot.kernels.compiled import LANES, compiled


@compiled
def harmonics(begin, end, up, down, u, out):
    """Harmonics of the directions u."""
    table = np.empty((out.shape[1], 1, LANES), u.dtype)
    for first in range(begin, end, LANES):
        last = min(end, first + LANES)
        block = u[first:last].T.copy()
        _tabulate(table, up, down, block, block)
        for m in range(out.shape[1]):
            for lane in range(last - first):
                out[first + lane, m] = table[m, 0, lane]


@compiled
def harmonics_first(begin, end, up, down, g, u, du):
    """Gradient of the directions."""
    table = np.empty((g.shape[1], 4, LANES), u.dtype)
    du[begin:end] = 0
    for first in range(begin, end, LANES):
        last = min(end, first + LANES)
        block = u[first:last].T.copy()
        _tabulate(table, up, down, block, block)
        for m in range(g.shape[1]):
            for lane in range(last - first):
                for a in range(3):
                    du[first + lane, a] += g[first + lane, m] * table[m, 1 + a, lane]


@compiled
def harmonics_second(begin, end, up, down, uu, g, u, dg, du):
    """Gradients of the upstream gradient and of the directions."""
    table = np.empty((g.shape[1], 8, LANES), u.dtype)
    du[begin:end] = 0
    for first in range(begin, end, LANES):
        last = min(end, first + LANES)
        _tabulate(table, up, down, u[first:last].T.copy(), uu[first:last].T.copy())
        for m in range(g.shape[1]):
            for lane in range(last - first):
                dg[first + lane, m] = table[m, 4, lane]
                for a in range(3):
                    du[first + lane, a] += g[first + lane, m] * table[m, 5 + a, lane]


@compiled
def _tabulate(table, up, down, u, v):
    """Harmonics of some directions u: value, gradient, and the slopes of these four along v.

    As many of these eight as the middle axis of ``table`` has, by the recursion of ``solid_harmonics``.
    """
    table[:] = 0
    table[0, 0] = 1
    order = 0
    while (order + 1) * (order + 1) < len(table):
        start, following, width = order * order, (order + 1) * (order + 1), 2 * order + 1
        for i in range(width):
            target = following + 1 + i
            _add_product(table, target, up[target], 2, start + i, u, v)
            if 0 < i < width - 1:
                table[target] -= down[target] * table[start - width + 1 + i]
        first, last, edge = following, following + width + 1, up[following]
        _add_product(table, first, edge, 1, start + width - 1, u, v)
        _add_product(table, last, edge, 0, start + width - 1, u, v)
        if order > 0:
            _add_product(table, first, edge, 0, start, u, v)
            _add_product(table, last, -edge, 1, start, u, v)
        order += 1


@compiled
def _add_product(table, target, factor, a, m, u, v):
    """Add ``factor`` times u_a times function m to function ``target``, by the product rule."""
    parts, lanes = table.shape[1], u.shape[1]
    for k in range(parts):
        for lane in range(lanes):
            table[target, k, lane] += factor * u[a, lane] * table[m, k, lane]
    if parts >= 4:
        for lane in range(lanes):
            table[target, 1 + a, lane] += factor * table[m, 0, lane]
    if parts == 8:
        for k in range(4):
            for lane in range(lanes):
                table[target, 4 + k, lane] += factor * v[a, lane] * table[m, k, lane]
        for lane in range(lanes):
            table[target, 5 + a, lane] += factor * table[m, 4, lane]
