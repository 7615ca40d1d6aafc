"""Loops over pairs and atoms, compiled by numba; each writes to the items ``begin … end`` only.

Edges 2p and 2p + 1 are pair p in its two directions.  ``order`` lists the edges atom by atom, those into
atom i at ``start[i] … start[i + 1]``; ``index`` holds source and center of each edge.  Harmonics are those
of the even edge: the odd edge has (−1)^l times them.
"""

from __future__ import annotations

import numpy as np
from numba import njit

_compiled = njit(nogil=True, cache=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz", "arcp"})


@_compiled
def convolve(begin, end, order, start, index, x, w, out):
    """Sum of x_j w_p over the edges into each atom."""
    for atom in range(begin, end):
        out[atom] = 0
        for place in range(start[atom], start[atom + 1]):
            edge = order[place]
            source, pair = index[0, edge], edge >> 1
            for c in range(x.shape[1]):
                out[atom, c] += x[source, c] * w[pair, c]


@_compiled
def convolve_two(begin, end, order, start, index, x, w, y, v, out):
    """Sum of x_j w_p + y_j v_p over the edges into each atom."""
    for atom in range(begin, end):
        out[atom] = 0
        for place in range(start[atom], start[atom + 1]):
            edge = order[place]
            source, pair = index[0, edge], edge >> 1
            for c in range(x.shape[1]):
                out[atom, c] += x[source, c] * w[pair, c] + y[source, c] * v[pair, c]


@_compiled
def multiply_ends(begin, end, index, x, y, out):
    """x_i y_j + y_i x_j of each pair."""
    for pair in range(begin, end):
        i, j = index[1, 2 * pair], index[0, 2 * pair]
        for c in range(x.shape[1]):
            out[pair, c] = x[i, c] * y[j, c] + x[j, c] * y[i, c]


@_compiled
def times_pairs(begin, end, x, w, out):
    """x_e w_p of each edge."""
    for pair in range(begin, end):
        for c in range(x.shape[1]):
            out[2 * pair, c] = x[2 * pair, c] * w[pair, c]
            out[2 * pair + 1, c] = x[2 * pair + 1, c] * w[pair, c]


@_compiled
def times_pairs_first(begin, end, g, x, w, dx, dw):
    """Gradients of the edges and the pairs."""
    for pair in range(begin, end):
        a, b = 2 * pair, 2 * pair + 1
        for c in range(x.shape[1]):
            dx[a, c] = g[a, c] * w[pair, c]
            dx[b, c] = g[b, c] * w[pair, c]
            dw[pair, c] = g[a, c] * x[a, c] + g[b, c] * x[b, c]


@_compiled
def times_pairs_second(begin, end, ux, uw, g, x, w, dg, dx, dw):
    """Gradients of the upstream gradient, the edges and the pairs."""
    for pair in range(begin, end):
        a, b = 2 * pair, 2 * pair + 1
        for c in range(x.shape[1]):
            dg[a, c] = ux[a, c] * w[pair, c] + x[a, c] * uw[pair, c]
            dg[b, c] = ux[b, c] * w[pair, c] + x[b, c] * uw[pair, c]
            dx[a, c] = g[a, c] * uw[pair, c]
            dx[b, c] = g[b, c] * uw[pair, c]
            dw[pair, c] = g[a, c] * ux[a, c] + g[b, c] * ux[b, c]


@_compiled
def moments(begin, end, order, start, x, w, harmonics, out):
    """Sum of x_e w_pl C_elm over the edges into each atom, for all l, m."""
    channels = x.shape[1]
    weighted = np.empty(channels, x.dtype)
    for atom in range(begin, end):
        out[atom] = 0
        for place in range(start[atom], start[atom + 1]):
            edge = order[place]
            pair = edge >> 1
            turn, sign = x.dtype.type(1 - 2 * (edge & 1)), x.dtype.type(1)
            for order_l in range(w.shape[1]):
                for c in range(channels):
                    weighted[c] = sign * x[edge, c] * w[pair, order_l, c]
                for m in range(order_l * order_l, (order_l + 1) * (order_l + 1)):
                    factor = harmonics[pair, m]
                    for c in range(channels):
                        out[atom, m, c] += factor * weighted[c]
                sign *= turn


@_compiled
def moments_first(begin, end, center, g, x, w, harmonics, dx, dw, dharmonics):
    """Gradients of the messages, the radial weights and the harmonics."""
    channels = x.shape[1]
    heard, weighted = np.empty(channels, x.dtype), np.empty(channels, x.dtype)
    for pair in range(begin, end):
        dw[pair] = 0
        dharmonics[pair] = 0
        for edge in range(2 * pair, 2 * pair + 2):
            atom = center[edge]
            turn, sign = x.dtype.type(1 - 2 * (edge & 1)), x.dtype.type(1)
            dx[edge] = 0
            for order_l in range(w.shape[1]):
                for c in range(channels):
                    heard[c] = 0
                    weighted[c] = sign * x[edge, c] * w[pair, order_l, c]
                for m in range(order_l * order_l, (order_l + 1) * (order_l + 1)):
                    factor, total = sign * harmonics[pair, m], x.dtype.type(0)
                    for c in range(channels):
                        heard[c] += factor * g[atom, m, c]
                        total += weighted[c] * g[atom, m, c]
                    dharmonics[pair, m] += total
                for c in range(channels):
                    dx[edge, c] += heard[c] * w[pair, order_l, c]
                    dw[pair, order_l, c] += heard[c] * x[edge, c]
                sign *= turn


@_compiled
def moments_second_atoms(begin, end, order, start, ux, uw, uharmonics, x, w, harmonics, dg):
    """Gradient of the upstream gradient."""
    channels = x.shape[1]
    changed, weighted = np.empty(channels, x.dtype), np.empty(channels, x.dtype)
    for atom in range(begin, end):
        dg[atom] = 0
        for place in range(start[atom], start[atom + 1]):
            edge = order[place]
            pair = edge >> 1
            turn, sign = x.dtype.type(1 - 2 * (edge & 1)), x.dtype.type(1)
            for order_l in range(w.shape[1]):
                for c in range(channels):
                    weighted[c] = sign * x[edge, c] * w[pair, order_l, c]
                    changed[c] = sign * (
                        ux[edge, c] * w[pair, order_l, c] + x[edge, c] * uw[pair, order_l, c]
                    )
                for m in range(order_l * order_l, (order_l + 1) * (order_l + 1)):
                    factor, other = harmonics[pair, m], uharmonics[pair, m]
                    for c in range(channels):
                        dg[atom, m, c] += factor * changed[c] + other * weighted[c]
                sign *= turn


@_compiled
def moments_second_pairs(begin, end, center, ux, uw, uharmonics, g, x, w, harmonics, dx, dw, dharmonics):
    """Gradients of the messages, the radial weights and the harmonics."""
    channels = x.shape[1]
    heard, other = np.empty(channels, x.dtype), np.empty(channels, x.dtype)
    changed = np.empty(channels, x.dtype)
    for pair in range(begin, end):
        dw[pair] = 0
        dharmonics[pair] = 0
        for edge in range(2 * pair, 2 * pair + 2):
            atom = center[edge]
            turn, sign = x.dtype.type(1 - 2 * (edge & 1)), x.dtype.type(1)
            dx[edge] = 0
            for order_l in range(w.shape[1]):
                for c in range(channels):
                    heard[c] = 0
                    other[c] = 0
                    changed[c] = sign * (
                        ux[edge, c] * w[pair, order_l, c] + x[edge, c] * uw[pair, order_l, c]
                    )
                for m in range(order_l * order_l, (order_l + 1) * (order_l + 1)):
                    factor, ufactor = sign * harmonics[pair, m], sign * uharmonics[pair, m]
                    total = x.dtype.type(0)
                    for c in range(channels):
                        value = g[atom, m, c]
                        heard[c] += factor * value
                        other[c] += ufactor * value
                        total += changed[c] * value
                    dharmonics[pair, m] += total
                for c in range(channels):
                    dx[edge, c] += heard[c] * uw[pair, order_l, c] + other[c] * w[pair, order_l, c]
                    dw[pair, order_l, c] += heard[c] * ux[edge, c] + other[c] * x[edge, c]
                sign *= turn


@_compiled
def silu_first(begin, end, g, x, out):
    """Gradient of x; ``out`` holds the logistic function of x before."""
    for k in range(begin, end):
        s = out[k]
        out[k] = g[k] * s * (1 + x[k] * (1 - s))


@_compiled
def silu_second(begin, end, u, g, x, dg, dx):
    """Gradients of the upstream gradient and of x; ``dg`` holds the logistic function of x before."""
    for k in range(begin, end):
        s = dg[k]
        rest = 1 - s
        dg[k] = u[k] * s * (1 + x[k] * rest)
        dx[k] = u[k] * g[k] * s * rest * (2 + x[k] * (rest - s))


@_compiled
def softplus_second(begin, end, u, g, dg, dx):
    """Gradients of the upstream gradient and of x; ``dg`` holds the logistic function of x before."""
    for k in range(begin, end):
        s = dg[k]
        dg[k] = u[k] * s
        dx[k] = u[k] * g[k] * s * (1 - s)


@_compiled
def read(begin, end, index, moments, harmonics, out):
    """Sum of C_elm A_jlm over l, m for each edge e from j."""
    for pair in range(begin, end):
        for edge in range(2 * pair, 2 * pair + 2):
            atom = index[0, edge]
            turn, sign = harmonics.dtype.type(1 - 2 * (edge & 1)), harmonics.dtype.type(1)
            out[edge] = 0
            order_l = 0
            while order_l * order_l < harmonics.shape[1]:
                for m in range(order_l * order_l, (order_l + 1) * (order_l + 1)):
                    factor = sign * harmonics[pair, m]
                    for c in range(out.shape[1]):
                        out[edge, c] += factor * moments[atom, m, c]
                sign *= turn
                order_l += 1


@_compiled
def read_two(begin, end, index, moments, harmonics, umoments, uharmonics, out):
    """Sum of C_elm uA_jlm + uC_elm A_jlm over l, m for each edge e from j."""
    for pair in range(begin, end):
        for edge in range(2 * pair, 2 * pair + 2):
            atom = index[0, edge]
            turn, sign = harmonics.dtype.type(1 - 2 * (edge & 1)), harmonics.dtype.type(1)
            out[edge] = 0
            order_l = 0
            while order_l * order_l < harmonics.shape[1]:
                for m in range(order_l * order_l, (order_l + 1) * (order_l + 1)):
                    factor, other = sign * harmonics[pair, m], sign * uharmonics[pair, m]
                    for c in range(out.shape[1]):
                        out[edge, c] += factor * umoments[atom, m, c] + other * moments[atom, m, c]
                sign *= turn
                order_l += 1


@_compiled
def gather(begin, end, order, start, g, harmonics, out):
    """Sum of C_elm g_e over the edges out of each atom, for all l, m."""
    for atom in range(begin, end):
        out[atom] = 0
        for place in range(start[atom], start[atom + 1]):
            edge = order[place] ^ 1
            pair = edge >> 1
            turn, sign = g.dtype.type(1 - 2 * (edge & 1)), g.dtype.type(1)
            order_l = 0
            while order_l * order_l < harmonics.shape[1]:
                for m in range(order_l * order_l, (order_l + 1) * (order_l + 1)):
                    factor = sign * harmonics[pair, m]
                    for c in range(g.shape[1]):
                        out[atom, m, c] += factor * g[edge, c]
                sign *= turn
                order_l += 1


@_compiled
def compare(begin, end, index, g, moments, out):
    """Sum of g_e · A_jlm over the two edges of each pair, for all l, m."""
    for pair in range(begin, end):
        out[pair] = 0
        for edge in range(2 * pair, 2 * pair + 2):
            atom = index[0, edge]
            turn, sign = g.dtype.type(1 - 2 * (edge & 1)), g.dtype.type(1)
            order_l = 0
            while order_l * order_l < out.shape[1]:
                for m in range(order_l * order_l, (order_l + 1) * (order_l + 1)):
                    total = g.dtype.type(0)
                    for c in range(g.shape[1]):
                        total += g[edge, c] * moments[atom, m, c]
                    out[pair, m] += sign * total
                sign *= turn
                order_l += 1


@_compiled
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


@_compiled
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


@_compiled
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


@_compiled
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


@_compiled
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
