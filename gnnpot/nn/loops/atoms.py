"""Moments of the surroundings of atoms, and what edges read of them."""

from __future__ import annotations

import numpy as np

from gnnpot.nn.loops.compiled import compiled


@compiled
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


@compiled
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


@compiled
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


@compiled
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


@compiled
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


@compiled
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


@compiled
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


@compiled
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
