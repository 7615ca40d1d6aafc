"""Sums over the pairs of atoms and products of their features."""

from __future__ import annotations

from gnnpot.kernels.compiled import compiled


@compiled
def convolve(begin, end, order, start, index, x, w, out):
    """Sum of x_j w_p over the edges into each atom."""
    for atom in range(begin, end):
        out[atom] = 0
        for place in range(start[atom], start[atom + 1]):
            edge = order[place]
            source, pair = index[0, edge], edge >> 1
            for c in range(x.shape[1]):
                out[atom, c] += x[source, c] * w[pair, c]


@compiled
def convolve_two(begin, end, order, start, index, x, w, y, v, out):
    """Sum of x_j w_p + y_j v_p over the edges into each atom."""
    for atom in range(begin, end):
        out[atom] = 0
        for place in range(start[atom], start[atom + 1]):
            edge = order[place]
            source, pair = index[0, edge], edge >> 1
            for c in range(x.shape[1]):
                out[atom, c] += x[source, c] * w[pair, c] + y[source, c] * v[pair, c]


@compiled
def multiply_ends(begin, end, index, x, y, out):
    """x_i y_j + y_i x_j of each pair."""
    for pair in range(begin, end):
        i, j = index[1, 2 * pair], index[0, 2 * pair]
        for c in range(x.shape[1]):
            out[pair, c] = x[i, c] * y[j, c] + x[j, c] * y[i, c]


@compiled
def times_pairs(begin, end, x, w, out):
    """x_e w_p of each edge."""
    for pair in range(begin, end):
        for c in range(x.shape[1]):
            out[2 * pair, c] = x[2 * pair, c] * w[pair, c]
            out[2 * pair + 1, c] = x[2 * pair + 1, c] * w[pair, c]


@compiled
def times_pairs_first(begin, end, g, x, w, dx, dw):
    """Gradients of the edges and the pairs."""
    for pair in range(begin, end):
        a, b = 2 * pair, 2 * pair + 1
        for c in range(x.shape[1]):
            dx[a, c] = g[a, c] * w[pair, c]
            dx[b, c] = g[b, c] * w[pair, c]
        for c in range(x.shape[1]):
            dw[pair, c] = g[a, c] * x[a, c] + g[b, c] * x[b, c]


@compiled
def times_pairs_second(begin, end, ux, uw, g, x, w, dg, dx, dw):
    """Gradients of the upstream gradient, the edges and the pairs."""
    for pair in range(begin, end):
        a, b = 2 * pair, 2 * pair + 1
        for edge in range(a, b + 1):
            u_e, g_e, x_e, dg_e, dx_e = ux[edge], g[edge], x[edge], dg[edge], dx[edge]
            u_p, w_p = uw[pair], w[pair]
            for c in range(len(w_p)):
                dg_e[c] = u_e[c] * w_p[c] + x_e[c] * u_p[c]
                dx_e[c] = g_e[c] * u_p[c]
        for c in range(x.shape[1]):
            dw[pair, c] = g[a, c] * ux[a, c] + g[b, c] * ux[b, c]


@compiled
def sum_edges(begin, end, order, start, x, w, out):
    """Sum of x_e w_p over the edges into each atom."""
    for atom in range(begin, end):
        out[atom] = 0
        for place in range(start[atom], start[atom + 1]):
            edge = order[place]
            for c in range(x.shape[1]):
                out[atom, c] += x[edge, c] * w[edge >> 1, c]


@compiled
def sum_edges_two(begin, end, order, start, x, w, y, v, out):
    """Sum of x_e w_p + y_e v_p over the edges into each atom."""
    for atom in range(begin, end):
        out[atom] = 0
        for place in range(start[atom], start[atom + 1]):
            edge = order[place]
            for c in range(x.shape[1]):
                out[atom, c] += x[edge, c] * w[edge >> 1, c] + y[edge, c] * v[edge >> 1, c]


@compiled
def sum_edges_first(begin, end, center, g, x, w, dx, dw):
    """Gradients of the edges and the pairs."""
    for pair in range(begin, end):
        a, b = 2 * pair, 2 * pair + 1
        i, j = center[a], center[b]
        for c in range(x.shape[1]):
            dx[a, c] = g[i, c] * w[pair, c]
            dx[b, c] = g[j, c] * w[pair, c]
        for c in range(x.shape[1]):
            dw[pair, c] = g[i, c] * x[a, c] + g[j, c] * x[b, c]


@compiled
def sum_opposite(begin, end, order, start, x, out):
    """Sum of x_p over the even edges into each atom, less those of the odd ones."""
    for atom in range(begin, end):
        out[atom] = 0
        for place in range(start[atom], start[atom + 1]):
            edge = order[place]
            sign = x.dtype.type(1 - 2 * (edge & 1))
            for c in range(x.shape[1]):
                out[atom, c] += sign * x[edge >> 1, c]


@compiled
def differences(begin, end, index, x, out):
    """x_i - x_j of each pair."""
    for pair in range(begin, end):
        i, j = index[1, 2 * pair], index[0, 2 * pair]
        for c in range(x.shape[1]):
            out[pair, c] = x[i, c] - x[j, c]


@compiled
def reverse(begin, end, x, w, out):
    """x_e w_p of the reverse e of each edge."""
    for pair in range(begin, end):
        a, b = 2 * pair, 2 * pair + 1
        for c in range(x.shape[1]):
            out[a, c] = x[b, c] * w[pair, c]
            out[b, c] = x[a, c] * w[pair, c]


@compiled
def reverse_first(begin, end, g, x, w, dx, dw):
    """Gradients of the edges and the pairs."""
    reverse(begin, end, g, w, dx)
    for pair in range(begin, end):
        a, b = 2 * pair, 2 * pair + 1
        for c in range(x.shape[1]):
            dw[pair, c] = g[a, c] * x[b, c] + g[b, c] * x[a, c]


@compiled
def reverse_second(begin, end, ux, uw, g, x, w, dg, dx, dw):
    """Gradients of the upstream gradient, the edges and the pairs."""
    reverse_first(begin, end, g, ux, uw, dx, dw)
    for pair in range(begin, end):
        a, b = 2 * pair, 2 * pair + 1
        for c in range(x.shape[1]):
            dg[a, c] = ux[b, c] * w[pair, c] + x[b, c] * uw[pair, c]
            dg[b, c] = ux[a, c] * w[pair, c] + x[a, c] * uw[pair, c]


@compiled
def times_rows(begin, end, x, w, out):
    """Rows of x times the number w of each."""
    for row in range(begin, end):
        for c in range(x.shape[1]):
            out[row, c] = x[row, c] * w[row]


@compiled
def times_rows_first(begin, end, g, x, w, dx, dw):
    """Gradients of the rows and the numbers."""
    for row in range(begin, end):
        result = w.dtype.type(0)
        for c in range(x.shape[1]):
            dx[row, c] = g[row, c] * w[row]
            result += g[row, c] * x[row, c]
        dw[row] = result


@compiled
def times_rows_second(begin, end, ux, uw, g, x, w, dg, dx, dw):
    """Gradients of the upstream gradient, the rows and the numbers."""
    times_rows_first(begin, end, g, ux, uw, dx, dw)
    for row in range(begin, end):
        for c in range(x.shape[1]):
            dg[row, c] = ux[row, c] * w[row] + x[row, c] * uw[row]
