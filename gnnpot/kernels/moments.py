"""Moments of the surroundings of atoms, and what edges read of them.

The number of channels is a multiple of ``WIDTH``.  ``edge ^ 1`` is the reverse of an edge.
"""

from __future__ import annotations

import numpy as np

from gnnpot.kernels.compiled import compiled
from gnnpot.kernels.simd import WIDTH, item, load, spread, store, total


@compiled
def moments(begin, end, order, start, x, w, harmonics, out):
    """Sum of x_e w_pl C_elm over the edges into each atom, for all l, m."""
    most, signs = largest(begin, end, start), parities(harmonics)
    table, weighted = np.empty((most, out.shape[1]), x.dtype), np.empty((most, x.shape[1]), x.dtype)
    for atom in range(begin, end):
        edges = order[start[atom] : start[atom + 1]]
        turn_into(table, 0, edges, harmonics, signs)
        for order_l in range(len(w)):
            for place in range(len(edges)):
                edge = edges[place]
                for c in range(0, x.shape[1], WIDTH):
                    store(weighted, (place, c), load(x, (edge, c)) * load(w, (order_l, edge >> 1, c)))
            sum_products(order_l, order_l + 1, len(edges), table, weighted, atom, out)


@compiled
def moments_second_atoms(begin, end, order, start, ux, uw, uharmonics, x, w, harmonics, dg):
    """Gradient of the upstream gradient."""
    most, signs = 2 * largest(begin, end, start), parities(harmonics)
    table, weighted = np.empty((most, dg.shape[1]), x.dtype), np.empty((most, x.shape[1]), x.dtype)
    for atom in range(begin, end):
        edges = order[start[atom] : start[atom + 1]]
        turn_into(table, 0, edges, harmonics, signs)
        turn_into(table, len(edges), edges, uharmonics, signs)
        for order_l in range(len(w)):
            for place in range(len(edges)):
                edge = edges[place]
                for c in range(0, x.shape[1], WIDTH):
                    weight, message = load(w, (order_l, edge >> 1, c)), load(x, (edge, c))
                    changed = load(ux, (edge, c)) * weight + message * load(uw, (order_l, edge >> 1, c))
                    store(weighted, (place, c), changed)
                    store(weighted, (len(edges) + place, c), message * weight)
            sum_products(order_l, order_l + 1, 2 * len(edges), table, weighted, atom, dg)


@compiled
def gather(begin, end, order, start, g, harmonics, out):
    """Sum of C_elm g_e over the edges out of each atom, for all l, m."""
    most, signs = largest(begin, end, start), parities(harmonics)
    table, values = np.empty((most, out.shape[1]), g.dtype), np.empty((most, g.shape[1]), g.dtype)
    for atom in range(begin, end):
        edges = order[start[atom] : start[atom + 1]] ^ 1
        turn_into(table, 0, edges, harmonics, signs)
        for place in range(len(edges)):
            for c in range(0, g.shape[1], WIDTH):
                store(values, (place, c), load(g, (edges[place], c)))
        sum_products(0, num_orders(harmonics), len(edges), table, values, atom, out)


@compiled
def moments_first(begin, end, center, g, x, w, harmonics, dx, dw, dharmonics):
    """Gradients of the messages, the radial weights and the harmonics."""
    zero, one = spread(x.dtype.type(0)), x.dtype.type(1)
    parts = np.empty((harmonics.shape[1], WIDTH), x.dtype)
    for pair in range(begin, end):
        even, odd = 2 * pair, 2 * pair + 1
        here, there = center[even], center[odd]
        for c in range(0, x.shape[1], WIDTH):
            message, back = load(x, (even, c)), load(x, (odd, c))
            of_message, of_back = zero, zero
            sign = one
            for order_l in range(len(w)):
                weight = load(w, (order_l, pair, c))
                weighted, weighted_back = message * weight, sign * (back * weight)
                heard, heard_back = zero, zero
                for m in range(order_l * order_l, (order_l + 1) * (order_l + 1)):
                    value, other = load(g, (here, m, c)), load(g, (there, m, c))
                    heard = heard + item(harmonics, (pair, m)) * value
                    heard_back = heard_back + item(harmonics, (pair, m)) * other
                    part = weighted * value + weighted_back * other
                    if c > 0:
                        part = part + load(parts, (m, 0))
                    store(parts, (m, 0), part)
                heard_back = sign * heard_back
                of_message = of_message + heard * weight
                of_back = of_back + heard_back * weight
                store(dw, (order_l, pair, c), heard * message + heard_back * back)
                sign = -sign
            store(dx, (even, c), of_message)
            store(dx, (odd, c), of_back)
        for m in range(harmonics.shape[1]):
            dharmonics[pair, m] = total(load(parts, (m, 0)))


@compiled
def moments_second_pairs(begin, end, center, ux, uw, uharmonics, g, x, w, harmonics, dx, dw, dharmonics):
    """Gradients of the messages, the radial weights and the harmonics."""
    zero, one = spread(x.dtype.type(0)), x.dtype.type(1)
    parts = np.empty((harmonics.shape[1], WIDTH), x.dtype)
    for pair in range(begin, end):
        even, odd = 2 * pair, 2 * pair + 1
        here, there = center[even], center[odd]
        for c in range(0, x.shape[1], WIDTH):
            message, back = load(x, (even, c)), load(x, (odd, c))
            umessage, uback = load(ux, (even, c)), load(ux, (odd, c))
            of_message, of_back = zero, zero
            sign = one
            for order_l in range(len(w)):
                weight, uweight = load(w, (order_l, pair, c)), load(uw, (order_l, pair, c))
                changed = umessage * weight + message * uweight
                changed_back = sign * (uback * weight + back * uweight)
                heard, heard_back, uheard, uheard_back = zero, zero, zero, zero
                for m in range(order_l * order_l, (order_l + 1) * (order_l + 1)):
                    value, other = load(g, (here, m, c)), load(g, (there, m, c))
                    factor, ufactor = item(harmonics, (pair, m)), item(uharmonics, (pair, m))
                    heard = heard + factor * value
                    uheard = uheard + ufactor * value
                    heard_back = heard_back + factor * other
                    uheard_back = uheard_back + ufactor * other
                    part = changed * value + changed_back * other
                    if c > 0:
                        part = part + load(parts, (m, 0))
                    store(parts, (m, 0), part)
                heard_back, uheard_back = sign * heard_back, sign * uheard_back
                of_message = of_message + heard * uweight + uheard * weight
                of_back = of_back + heard_back * uweight + uheard_back * weight
                of_weight = heard * umessage + uheard * message + heard_back * uback + uheard_back * back
                store(dw, (order_l, pair, c), of_weight)
                sign = -sign
            store(dx, (even, c), of_message)
            store(dx, (odd, c), of_back)
        for m in range(harmonics.shape[1]):
            dharmonics[pair, m] = total(load(parts, (m, 0)))


@compiled
def read(begin, end, order, start, moments, harmonics, out):
    """Sum of C_elm A_jlm over l, m for each edge e from j."""
    zero, one = spread(moments.dtype.type(0)), moments.dtype.type(1)
    orders = num_orders(harmonics)
    for atom in range(begin, end):
        for place in range(start[atom], start[atom + 1]):
            edge = order[place] ^ 1
            pair, turn = edge >> 1, moments.dtype.type(1 - 2 * (edge & 1))
            for c in range(0, out.shape[1], WIDTH):
                result, sign = zero, one
                for order_l in range(orders):
                    heard = zero
                    for m in range(order_l * order_l, (order_l + 1) * (order_l + 1)):
                        heard = heard + item(harmonics, (pair, m)) * load(moments, (atom, m, c))
                    result = result + sign * heard
                    sign *= turn
                store(out, (edge, c), result)


@compiled
def read_two(begin, end, order, start, moments, harmonics, umoments, uharmonics, out):
    """Sum of C_elm uA_jlm + uC_elm A_jlm over l, m for each edge e from j."""
    zero, one = spread(moments.dtype.type(0)), moments.dtype.type(1)
    orders = num_orders(harmonics)
    for atom in range(begin, end):
        for place in range(start[atom], start[atom + 1]):
            edge = order[place] ^ 1
            pair, turn = edge >> 1, moments.dtype.type(1 - 2 * (edge & 1))
            for c in range(0, out.shape[1], WIDTH):
                result, sign = zero, one
                for order_l in range(orders):
                    heard, other = zero, zero
                    for m in range(order_l * order_l, (order_l + 1) * (order_l + 1)):
                        heard = heard + item(harmonics, (pair, m)) * load(umoments, (atom, m, c))
                        other = other + item(uharmonics, (pair, m)) * load(moments, (atom, m, c))
                    result = result + sign * (heard + other)
                    sign *= turn
                store(out, (edge, c), result)


@compiled
def compare(begin, end, index, g, moments, out):
    """Sum of g_e · A_jlm over the two edges of each pair, for all l, m."""
    zero, one = spread(g.dtype.type(0)), g.dtype.type(1)
    for pair in range(begin, end):
        even, odd = 2 * pair, 2 * pair + 1
        sign = one
        for order_l in range(num_orders(out)):
            for m in range(order_l * order_l, (order_l + 1) * (order_l + 1)):
                there, back = zero, zero
                for c in range(0, g.shape[1], WIDTH):
                    there = there + load(g, (even, c)) * load(moments, (index[0, even], m, c))
                    back = back + load(g, (odd, c)) * load(moments, (index[0, odd], m, c))
                out[pair, m] = total(there + sign * back)
            sign = -sign


@compiled
def largest(begin, end, start):
    """The largest number of edges into an atom."""
    most = 0
    for atom in range(begin, end):
        most = max(most, start[atom + 1] - start[atom])
    return most


@compiled
def num_orders(harmonics):
    """The number of orders l."""
    order_l = 0
    while order_l * order_l < harmonics.shape[1]:
        order_l += 1
    return order_l


@compiled
def parities(like):
    """Signs of harmonics in the opposite direction."""
    signs = np.ones(like.shape[1], like.dtype)
    for order_l in range(1, num_orders(like), 2):
        signs[order_l * order_l : (order_l + 1) * (order_l + 1)] = -1
    return signs


@compiled
def turn_into(table, first, edges, harmonics, signs):
    """Write the harmonics of edges to the rows of a table from ``first`` on."""
    for place in range(len(edges)):
        pair = edges[place] >> 1
        if edges[place] & 1:
            for m in range(len(signs)):
                table[first + place, m] = signs[m] * harmonics[pair, m]
        else:
            for m in range(len(signs)):
                table[first + place, m] = harmonics[pair, m]


@compiled
def sum_products(first_l, last_l, count, table, values, atom, out):
    """Write sums over ``count`` rows of table and values, multiplied, to an atom's moments of some orders."""
    zero = spread(out.dtype.type(0))
    first, last = first_l * first_l, last_l * last_l
    for c in range(0, out.shape[2], WIDTH):
        for m in range(first, last - 1, 2):
            one, other = zero, zero
            for place in range(count):
                value = load(values, (place, c))
                one = one + item(table, (place, m)) * value
                other = other + item(table, (place, m + 1)) * value
            store(out, (atom, m, c), one)
            store(out, (atom, m + 1, c), other)
        if (last - first) & 1:
            one = zero
            for place in range(count):
                one = one + item(table, (place, last - 1)) * load(values, (place, c))
            store(out, (atom, last - 1, c), one)
