"""Filters that are interpolated from a table."""

from __future__ import annotations

from gnnpot.nn.loops.compiled import compiled


@compiled
def convolve_table(begin, end, index, knots, x, b, table, out):
    """Sum of x_j t_p over the edges into each atom, t_p = Σ_k b_pk T_{knot + k}; of some channels."""
    out[:, begin:end] = 0
    for pair in range(len(knots)):
        j, i = index[0, 2 * pair], index[1, 2 * pair]
        k = knots[pair]
        b0, b1, b2, b3 = b[pair, 0], b[pair, 1], b[pair, 2], b[pair, 3]
        for c in range(begin, end):
            t = b0 * table[k, c] + b1 * table[k + 1, c] + b2 * table[k + 2, c] + b3 * table[k + 3, c]
            one, other = x[j, c] * t, x[i, c] * t
            out[i, c] += one
            out[j, c] += other


@compiled
def convolve_table_first(begin, end, index, knots, g, x, b, table, dx, dtable):
    """Gradients of the features and the table; of some channels."""
    dx[:, begin:end] = 0
    dtable[:, begin:end] = 0
    for pair in range(len(knots)):
        j, i = index[0, 2 * pair], index[1, 2 * pair]
        k = knots[pair]
        b0, b1, b2, b3 = b[pair, 0], b[pair, 1], b[pair, 2], b[pair, 3]
        for c in range(begin, end):
            t = b0 * table[k, c] + b1 * table[k + 1, c] + b2 * table[k + 2, c] + b3 * table[k + 3, c]
            both = g[i, c] * x[j, c] + g[j, c] * x[i, c]
            one, other = g[j, c] * t, g[i, c] * t
            dx[i, c] += one
            dx[j, c] += other
            dtable[k, c] += b0 * both
            dtable[k + 1, c] += b1 * both
            dtable[k + 2, c] += b2 * both
            dtable[k + 3, c] += b3 * both


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
    for pair in range(len(knots)):
        j, i = index[0, 2 * pair], index[1, 2 * pair]
        k = knots[pair]
        b0, b1, b2, b3 = b[pair, 0], b[pair, 1], b[pair, 2], b[pair, 3]
        u0, u1, u2, u3 = ub[pair, 0], ub[pair, 1], ub[pair, 2], ub[pair, 3]
        for c in range(begin, end):
            t = b0 * table[k, c] + b1 * table[k + 1, c] + b2 * table[k + 2, c] + b3 * table[k + 3, c]
            v = u0 * table[k, c] + u1 * table[k + 1, c] + u2 * table[k + 2, c] + u3 * table[k + 3, c]
            v += b0 * utable[k, c] + b1 * utable[k + 1, c] + b2 * utable[k + 2, c] + b3 * utable[k + 3, c]
            both = g[i, c] * x[j, c] + g[j, c] * x[i, c]
            changed = g[i, c] * ux[j, c] + g[j, c] * ux[i, c]
            one, other = ux[j, c] * t + x[j, c] * v, ux[i, c] * t + x[i, c] * v
            dg[i, c] += one
            dg[j, c] += other
            one, other = g[j, c] * v, g[i, c] * v
            dx[i, c] += one
            dx[j, c] += other
            dtable[k, c] += b0 * changed + u0 * both
            dtable[k + 1, c] += b1 * changed + u1 * both
            dtable[k + 2, c] += b2 * changed + u2 * both
            dtable[k + 3, c] += b3 * changed + u3 * both


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
