"""Loops over pairs and atoms, compiled by numba; each writes to the items ``begin … end`` only.

Edges 2p and 2p + 1 are pair p in its two directions.  ``order`` lists the edges atom by atom, those into
atom i at ``start[i] … start[i + 1]``; ``index`` holds source and center of each edge.  Harmonics are those
of the even edge: the odd edge has (−1)^l times them.
"""

from __future__ import annotations

import numpy as np
from numba import njit

_compiled = njit(nogil=True, cache=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz", "arcp"})
_LANES = 32  # items that are taken together


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
def harmonics(begin, end, up, down, u, out):
    """Harmonics of the directions u."""
    table = np.empty((out.shape[1], 1, _LANES), u.dtype)
    for first in range(begin, end, _LANES):
        last = min(end, first + _LANES)
        block = u[first:last].T.copy()
        _tabulate(table, up, down, block, block)
        for m in range(out.shape[1]):
            for lane in range(last - first):
                out[first + lane, m] = table[m, 0, lane]


@_compiled
def harmonics_first(begin, end, up, down, g, u, du):
    """Gradient of the directions."""
    table = np.empty((g.shape[1], 4, _LANES), u.dtype)
    du[begin:end] = 0
    for first in range(begin, end, _LANES):
        last = min(end, first + _LANES)
        block = u[first:last].T.copy()
        _tabulate(table, up, down, block, block)
        for m in range(g.shape[1]):
            for lane in range(last - first):
                for a in range(3):
                    du[first + lane, a] += g[first + lane, m] * table[m, 1 + a, lane]


@_compiled
def harmonics_second(begin, end, up, down, uu, g, u, dg, du):
    """Gradients of the upstream gradient and of the directions."""
    table = np.empty((g.shape[1], 8, _LANES), u.dtype)
    du[begin:end] = 0
    for first in range(begin, end, _LANES):
        last = min(end, first + _LANES)
        _tabulate(table, up, down, u[first:last].T.copy(), uu[first:last].T.copy())
        for m in range(g.shape[1]):
            for lane in range(last - first):
                dg[first + lane, m] = table[m, 4, lane]
                for a in range(3):
                    du[first + lane, a] += g[first + lane, m] * table[m, 5 + a, lane]


@_compiled
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


@_compiled
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


@_compiled
def sum_products(begin, end, targets, x, y, out):
    """Sums of x_tr y_ta over the t of each target; of some r."""
    out[:, begin:end] = 0
    for t in range(len(targets)):
        for r in range(begin, end):
            for a in range(y.shape[1]):
                out[targets[t], r, a] += x[t, r] * y[t, a]


@_compiled
def sum_products_first(begin, end, targets, g, x, y, dx, dy):
    """Gradients of both factors."""
    for t in range(begin, end):
        dy[t] = 0
        for r in range(x.shape[1]):
            total = x.dtype.type(0)
            for a in range(y.shape[1]):
                total += g[targets[t], r, a] * y[t, a]
                dy[t, a] += g[targets[t], r, a] * x[t, r]
            dx[t, r] = total


@_compiled
def reverse(begin, end, x, w, out):
    """x_e Σ_l (−1)^l w_lp of the reverse e of each edge."""
    for pair in range(begin, end):
        a, b = 2 * pair, 2 * pair + 1
        for c in range(x.shape[1]):
            total, sign = x.dtype.type(0), x.dtype.type(1)
            for order_l in range(len(w)):
                total += sign * w[order_l, pair, c]
                sign = -sign
            out[a, c] = x[b, c] * total
            out[b, c] = x[a, c] * total


@_compiled
def reverse_first(begin, end, g, x, w, dx, dw):
    """Gradients of the edges and the radial weights."""
    reverse(begin, end, g, w, dx)
    for pair in range(begin, end):
        a, b = 2 * pair, 2 * pair + 1
        sign = x.dtype.type(1)
        for order_l in range(len(w)):
            for c in range(x.shape[1]):
                dw[order_l, pair, c] = sign * (g[a, c] * x[b, c] + g[b, c] * x[a, c])
            sign = -sign


@_compiled
def reverse_second(begin, end, ux, uw, g, x, w, dg, dx, dw):
    """Gradients of the upstream gradient, the edges and the radial weights."""
    reverse(begin, end, ux, w, dg)
    reverse(begin, end, g, uw, dx)
    for pair in range(begin, end):
        a, b = 2 * pair, 2 * pair + 1
        for c in range(x.shape[1]):
            total, sign = x.dtype.type(0), x.dtype.type(1)
            for order_l in range(len(w)):
                total += sign * uw[order_l, pair, c]
                dw[order_l, pair, c] = sign * (g[a, c] * ux[b, c] + g[b, c] * ux[a, c])
                sign = -sign
            dg[a, c] += x[b, c] * total
            dg[b, c] += x[a, c] * total


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
            for order_l in range(len(w)):
                for c in range(channels):
                    weighted[c] = sign * x[edge, c] * w[order_l, pair, c]
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
        dw[:, pair] = 0
        dharmonics[pair] = 0
        for edge in range(2 * pair, 2 * pair + 2):
            atom = center[edge]
            turn, sign = x.dtype.type(1 - 2 * (edge & 1)), x.dtype.type(1)
            dx[edge] = 0
            for order_l in range(len(w)):
                for c in range(channels):
                    heard[c] = 0
                    weighted[c] = sign * x[edge, c] * w[order_l, pair, c]
                for m in range(order_l * order_l, (order_l + 1) * (order_l + 1)):
                    factor, total = sign * harmonics[pair, m], x.dtype.type(0)
                    for c in range(channels):
                        heard[c] += factor * g[atom, m, c]
                        total += weighted[c] * g[atom, m, c]
                    dharmonics[pair, m] += total
                for c in range(channels):
                    dx[edge, c] += heard[c] * w[order_l, pair, c]
                    dw[order_l, pair, c] += heard[c] * x[edge, c]
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
            for order_l in range(len(w)):
                for c in range(channels):
                    weighted[c] = sign * x[edge, c] * w[order_l, pair, c]
                    changed[c] = sign * (
                        ux[edge, c] * w[order_l, pair, c] + x[edge, c] * uw[order_l, pair, c]
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
        dw[:, pair] = 0
        dharmonics[pair] = 0
        for edge in range(2 * pair, 2 * pair + 2):
            atom = center[edge]
            turn, sign = x.dtype.type(1 - 2 * (edge & 1)), x.dtype.type(1)
            dx[edge] = 0
            for order_l in range(len(w)):
                for c in range(channels):
                    heard[c] = 0
                    other[c] = 0
                    changed[c] = sign * (
                        ux[edge, c] * w[order_l, pair, c] + x[edge, c] * uw[order_l, pair, c]
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
                    dx[edge, c] += heard[c] * uw[order_l, pair, c] + other[c] * w[order_l, pair, c]
                    dw[order_l, pair, c] += heard[c] * ux[edge, c] + other[c] * x[edge, c]
                sign *= turn


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
