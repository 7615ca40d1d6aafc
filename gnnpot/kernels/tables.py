"""Filters that are interpolated from a table.

Rows are taken out of the arrays before the loops over channels, and those loops write few of them: the
compiler then makes them loops over vectors.
"""

from __future__ import annotations

import numpy as np

from gnnpot.kernels.compiled import compiled


@compiled
def convolve_table(begin, end, index, knots, x, b, table, out):
    """Sum of x_j t_p over the edges into each atom, t_p = Σ_k b_pk T_{knot + k}; of some channels."""
    out[:, begin:end] = 0
    for pair in range(len(knots)):
        j, i = index[0, 2 * pair], index[1, 2 * pair]
        k = knots[pair]
        b0, b1, b2, b3 = b[pair, 0], b[pair, 1], b[pair, 2], b[pair, 3]
        t0, t1 = table[k, begin:end], table[k + 1, begin:end]
        t2, t3 = table[k + 2, begin:end], table[k + 3, begin:end]
        x_i, x_j, out_i, out_j = x[i, begin:end], x[j, begin:end], out[i, begin:end], out[j, begin:end]
        for c in range(len(x_i)):
            t = b0 * t0[c] + b1 * t1[c] + b2 * t2[c] + b3 * t3[c]
            one, other = x_j[c] * t, x_i[c] * t
            out_i[c] += one
            out_j[c] += other


@compiled
def convolve_table_first(begin, end, index, knots, g, x, b, table, dx, dtable):
    """Gradients of the features and the table; of some channels."""
    dx[:, begin:end] = 0
    dtable[:, begin:end] = 0
    both = np.empty(end - begin, x.dtype)
    for pair in range(len(knots)):
        j, i = index[0, 2 * pair], index[1, 2 * pair]
        k = knots[pair]
        b0, b1, b2, b3 = b[pair, 0], b[pair, 1], b[pair, 2], b[pair, 3]
        t0, t1 = table[k, begin:end], table[k + 1, begin:end]
        t2, t3 = table[k + 2, begin:end], table[k + 3, begin:end]
        x_i, x_j, g_i, g_j = x[i, begin:end], x[j, begin:end], g[i, begin:end], g[j, begin:end]
        dx_i, dx_j = dx[i, begin:end], dx[j, begin:end]
        for c in range(len(both)):
            t = b0 * t0[c] + b1 * t1[c] + b2 * t2[c] + b3 * t3[c]
            one, other = g_j[c] * t, g_i[c] * t
            dx_i[c] += one
            dx_j[c] += other
        for c in range(len(both)):
            both[c] = g_i[c] * x_j[c] + g_j[c] * x_i[c]
        for knot in range(4):
            row, weight = dtable[k + knot, begin:end], b[pair, knot]
            for c in range(len(both)):
                row[c] += weight * both[c]


@compiled
def convolve_table_weights(begin, end, index, knots, g, x, table, db):
    """Gradient of the weights of the knots; of some pairs."""
    for pair in range(begin, end):
        j, i = index[0, 2 * pair], index[1, 2 * pair]
        k = knots[pair]
        zero = x.dtype.type(0)
        s0, s1, s2, s3 = zero, zero, zero, zero
        for c in range(x.shape[1]):
            both = g[i, c] * x[j, c] + g[j, c] * x[i, c]
            s0 += both * table[k, c]
            s1 += both * table[k + 1, c]
            s2 += both * table[k + 2, c]
            s3 += both * table[k + 3, c]
        db[pair, 0], db[pair, 1], db[pair, 2], db[pair, 3] = s0, s1, s2, s3


@compiled
def convolve_table_second(
    begin, end, index, knots, ux, ub, utable, g, x, b, table, dg, dx, dtable
):  # fmt: skip
    """Gradients of the upstream gradient, the features and the table; of some channels."""
    dg[:, begin:end] = 0
    dx[:, begin:end] = 0
    dtable[:, begin:end] = 0
    t, v = np.empty(end - begin, x.dtype), np.empty(end - begin, x.dtype)
    both, changed = np.empty(end - begin, x.dtype), np.empty(end - begin, x.dtype)
    for pair in range(len(knots)):
        j, i = index[0, 2 * pair], index[1, 2 * pair]
        k = knots[pair]
        b0, b1, b2, b3 = b[pair, 0], b[pair, 1], b[pair, 2], b[pair, 3]
        t0, t1 = table[k, begin:end], table[k + 1, begin:end]
        t2, t3 = table[k + 2, begin:end], table[k + 3, begin:end]
        u0, u1, u2, u3 = ub[pair, 0], ub[pair, 1], ub[pair, 2], ub[pair, 3]
        v0, v1 = utable[k, begin:end], utable[k + 1, begin:end]
        v2, v3 = utable[k + 2, begin:end], utable[k + 3, begin:end]
        for c in range(len(t)):
            t[c] = b0 * t0[c] + b1 * t1[c] + b2 * t2[c] + b3 * t3[c]
            v[c] = u0 * t0[c] + u1 * t1[c] + u2 * t2[c] + u3 * t3[c]
        for c in range(len(t)):
            v[c] += b0 * v0[c] + b1 * v1[c] + b2 * v2[c] + b3 * v3[c]
        x_i, x_j, g_i, g_j = x[i, begin:end], x[j, begin:end], g[i, begin:end], g[j, begin:end]
        ux_i, ux_j = ux[i, begin:end], ux[j, begin:end]
        dg_i, dg_j, dx_i, dx_j = dg[i, begin:end], dg[j, begin:end], dx[i, begin:end], dx[j, begin:end]
        for c in range(len(t)):
            one, other = ux_j[c] * t[c] + x_j[c] * v[c], ux_i[c] * t[c] + x_i[c] * v[c]
            dg_i[c] += one
            dg_j[c] += other
        for c in range(len(t)):
            one, other = g_j[c] * v[c], g_i[c] * v[c]
            dx_i[c] += one
            dx_j[c] += other
        for c in range(len(t)):
            both[c] = g_i[c] * x_j[c] + g_j[c] * x_i[c]
            changed[c] = g_i[c] * ux_j[c] + g_j[c] * ux_i[c]
        for knot in range(4):
            row, weight, change = dtable[k + knot, begin:end], b[pair, knot], ub[pair, knot]
            for c in range(len(t)):
                row[c] += weight * changed[c] + change * both[c]


@compiled
def convolve_table_second_weights(begin, end, index, knots, ux, utable, g, x, table, db):
    """Gradient of the weights of the knots from the first derivatives; of some pairs."""
    for pair in range(begin, end):
        j, i = index[0, 2 * pair], index[1, 2 * pair]
        k = knots[pair]
        zero = x.dtype.type(0)
        s0, s1, s2, s3 = zero, zero, zero, zero
        for c in range(x.shape[1]):
            both = g[i, c] * x[j, c] + g[j, c] * x[i, c]
            changed = g[i, c] * ux[j, c] + g[j, c] * ux[i, c]
            s0 += changed * table[k, c] + both * utable[k, c]
            s1 += changed * table[k + 1, c] + both * utable[k + 1, c]
            s2 += changed * table[k + 2, c] + both * utable[k + 2, c]
            s3 += changed * table[k + 3, c] + both * utable[k + 3, c]
        db[pair, 0], db[pair, 1], db[pair, 2], db[pair, 3] = s0, s1, s2, s3
