"""Chains of dense layers and their derivatives; an item is a row.

Some rows at a time go through all layers while they are in the cache, so that only the arguments z of the
activations, and what later derivatives read of each layer, go to memory.  Values are numbered 0 (``x``),
1 (``other``), 2 (the first layer), …; a row of ``table`` describes a layer a(x Wᵀ + b) by

- the number of the value that it takes, and of the one that is added to it, or −1,
- the activation, one of those in ``activations``,
- their widths before and after it,
- where its weight begins among all weights, its values among those of a row of all layers, and its arguments
  among those of all layers that have an activation.

Values of all layers lie layer after layer in one array, as do arguments.  Weights are panels of W in
``chain_first`` and else of Wᵀ; all widths are multiples of ``WIDTH``, and an array without elements is left
out.  While a layer is activated, what the next one reads and writes is brought to the cache, as it would
wait for it.
"""

from __future__ import annotations

import numpy as np

from gnnpot.kernels.activations import NONE, activate, second_slopes, slopes
from gnnpot.kernels.compiled import compiled
from gnnpot.kernels.products import multiply, panels
from gnnpot.kernels.simd import WIDTH, load, matrix, store

_ROWS = 96  # that are taken at once
_SOURCE, _SKIP, _KIND, _INPUTS, _OUTPUTS, _WEIGHT, _VALUE, _ARGUMENT = range(8)


@compiled
def lay_out(begin, end, table, weights, out, turned):
    """Panels of weights and of their transposes; an item is a layer."""
    for k in range(begin, end):
        weight = matrix(weights, table[k, _WEIGHT], table[k, _OUTPUTS], table[k, _INPUTS])
        panels(weight, _weight(table, k, out), _weight(table, k, turned))


@compiled
def chain(begin, end, table, x, other, weights, biases, z, out):
    """Arguments of all activations, and the last values."""
    values = _scratch(_ROWS * len(biases), z)
    for first in range(begin, end, _ROWS):
        rows = min(end, first + _ROWS) - first
        for k in range(len(table)):
            inputs = _value(table, table[k, _SOURCE], first, rows, x, other, values)
            weight = _weight(table, k, weights)
            bias = matrix(biases, table[k, _VALUE], 1, table[k, _OUTPUTS])
            skip = _value(table, table[k, _SKIP], first, rows, x, other, values)
            value = _rows(out, first, rows)
            if k + 1 < len(table):
                value = _layer(table, k, 0, values, _ROWS, rows)
            if table[k, _KIND] == NONE:
                multiply(0, rows, inputs, weight, bias, value)
                _collect(skip, True, value)
            else:
                argument = _arguments(table, k, first, z, len(x), rows)
                multiply(0, rows, inputs, weight, bias, argument)
                ahead = _arguments(table, *_ahead(table, k + 1, first), z, len(x), rows)
                activate(table[k, _KIND], argument, skip, value, ahead)


@compiled
def chain_first(
    begin, end, table, g, z, changes, weights, x, other, of_values, of_x, of_other, of_weights, of_biases
):  # fmt: skip
    """Gradients of the inputs from ``g``, that of the last values.

    ``changes`` are added to the gradients by the arguments.  ``of_values`` takes the gradients by the values
    of all layers but the last, ``of_weights`` and ``of_biases`` those by parameters, of each thread apart.
    """
    size, width = table[-1, _VALUE] + table[-1, _OUTPUTS], np.max(table[:, _OUTPUTS])
    values, sums = _scratch(_ROWS * size, z), _scratch(_ROWS * size, z)
    room, zeros = _scratch(_ROWS * width, z), np.zeros(np.max(table[:, _INPUTS]), z.dtype)
    begun = np.empty(len(table) + 2, np.bool_)
    part = _part(begin, len(g), len(of_weights))
    for first in range(begin, end, _ROWS):
        rows = min(end, first + _ROWS) - first
        begun[:] = False
        if len(of_weights):
            for k in range(len(table) - 1):
                skip = _value(table, table[k, _SKIP], first, rows, x, other, values)
                argument = _arguments(table, k, first, z, len(g), rows)
                ahead = _arguments(table, k + 1, first, z, len(g), rows)
                activate(table[k, _KIND], argument, skip, _layer(table, k, 0, values, _ROWS, rows), ahead)
        for k in range(len(table) - 1, -1, -1):
            source, skip = table[k, _SOURCE], table[k, _SKIP]
            gradient = _rows(g, first, rows)
            if k + 1 < len(table):
                gradient = _sum(table, k + 2, len(g), first, rows, of_x, of_other, of_values, sums)
            if skip >= 0:
                total = _sum(table, skip, len(g), first, rows, of_x, of_other, of_values, sums)
                _collect(gradient, begun[skip], total)
                begun[skip] = True
            total, slope = _sum(table, source, len(g), first, rows, of_x, of_other, of_values, sums), gradient
            if table[k, _KIND] != NONE:
                slope = matrix(room, 0, rows, table[k, _OUTPUTS])
                argument, before = _arguments(table, k, first, z, len(g), rows), _ahead(table, k - 1, first)
                change = _arguments(table, k, first, changes, len(g), rows) if len(changes) else argument[:0]
                next_argument = _arguments(table, *before, z, len(g), rows)
                next_change = _arguments(table, *before, changes, len(g), rows) if len(changes) else argument
                slopes(
                    table[k, _KIND], gradient, argument, change, slope, (next_argument, next_change, total)
                )
            if len(of_weights):
                inputs = _value(table, source, first, rows, x, other, values)
                _collect_products(slope, inputs, of_weights[part], table[k, _WEIGHT])
                _collect_rows(slope, matrix(of_biases[part], table[k, _VALUE], 1, slope.shape[1]))
            start = total if begun[source] else matrix(zeros, 0, 1, total.shape[1])
            multiply(0, rows, slope, _weight(table, k, weights), start, total)
            begun[source] = True


@compiled
def chain_second(begin, end, table, t, other, weights, of_values, g, z, out, changes, of_weights):
    """How the last values and the gradients by arguments change where the inputs do by ``t`` and ``other``.

    ``of_values``, ``g`` and ``of_weights`` are those of ``chain_first``.
    """
    size, width = table[-1, _VALUE] + table[-1, _OUTPUTS], np.max(table[:, _OUTPUTS])
    values = _scratch(_ROWS * size, z)
    room, zeros = _scratch(_ROWS * width, z), np.zeros(width, z.dtype)
    part = _part(begin, len(t), len(of_weights))
    for first in range(begin, end, _ROWS):
        rows = min(end, first + _ROWS) - first
        for k in range(len(table)):
            gradient, value = _rows(g, first, rows), _rows(out, first, rows)
            if k + 1 < len(table):
                gradient = _layer(table, k, first, of_values, len(t), rows)
                value = _layer(table, k, 0, values, _ROWS, rows)
            inputs = _value(table, table[k, _SOURCE], first, rows, t, other, values)
            multiply(0, rows, inputs, _weight(table, k, weights), matrix(zeros, 0, 1, value.shape[1]), value)
            skip = _value(table, table[k, _SKIP], first, rows, t, other, values)
            slope = gradient
            if table[k, _KIND] == NONE:
                _collect(skip, True, value)
            else:
                slope, after = matrix(room, 0, rows, value.shape[1]), _ahead(table, k + 1, first)
                argument = _arguments(table, k, first, z, len(t), rows)
                change = _arguments(table, k, first, changes, len(t), rows)
                ahead = (
                    _arguments(table, *after, z, len(t), rows),
                    _arguments(table, *after, changes, len(t), rows),
                    _layer(table, *after, of_values, len(t), rows),
                )
                second_slopes(table[k, _KIND], gradient, argument, skip, value, slope, change, ahead)
            if len(of_weights):
                _collect_products(slope, inputs, of_weights[part], table[k, _WEIGHT])


@compiled
def _collect(values, is_begun, total):
    """Add the values to a sum, or begin it with them."""
    for row in range(len(values)):
        for c in range(0, values.shape[1], WIDTH):
            value = load(values, (row, c))
            store(total, (row, c), value + load(total, (row, c)) if is_begun else value)


@compiled
def _collect_products(slope, inputs, of_weights, first):
    """Add the products of gradients and inputs to the gradient of a weight."""
    out = matrix(of_weights, first, slope.shape[1], inputs.shape[1])
    multiply(0, len(out), slope.T, inputs, out, out)


@compiled
def _collect_rows(values, total):
    """Add the sum of all rows to a row."""
    for c in range(0, values.shape[1], WIDTH):
        value = load(total, (0, c))
        for row in range(len(values)):
            value = value + load(values, (row, c))
        store(total, (0, c), value)


@compiled
def _scratch(size, like):
    """Room for numbers, from the beginning of a line of the cache on."""
    room = np.empty(size + WIDTH, like.dtype)
    first = (-room.ctypes.data % 64) // like.itemsize
    return room[first : first + size]


@compiled
def _weight(table, k, weights):
    """Panels of the weight of a layer."""
    first = table[k, _WEIGHT]
    return weights[first : first + table[k, _INPUTS] * table[k, _OUTPUTS]]


@compiled
def _rows(values, first, rows):
    """Some rows of a matrix."""
    return matrix(values, first * values.shape[1], rows, values.shape[1])


@compiled
def _layer(table, k, first, values, count, rows):
    """Some of the ``count`` rows of values of a layer."""
    width = table[k, _OUTPUTS]
    return matrix(values, count * table[k, _VALUE] + first * width, rows, width)


@compiled
def _arguments(table, k, first, values, count, rows):
    """Some of the ``count`` rows of arguments of a layer."""
    width = table[k, _OUTPUTS]
    return matrix(values, count * table[k, _ARGUMENT] + first * width, rows, width)


@compiled
def _ahead(table, k, first):
    """Number of a layer and of its first row, before the first or after the last those that come next."""
    if k < 0:
        return len(table) - 1, first + _ROWS
    return (k, first) if k < len(table) else (0, first + _ROWS)


@compiled
def _value(table, number, first, rows, x, other, values):
    """Rows of the value of a number, of layers those in ``values``; none for −1."""
    if number < 0:
        return _rows(x, 0, 0)
    if number == 0:
        return _rows(x, first, rows)
    return _rows(other, first, rows) if number == 1 else _layer(table, number - 2, 0, values, _ROWS, rows)


@compiled
def _sum(table, number, count, first, rows, of_x, of_other, of_values, sums):
    """Rows of the gradient of the value of a number, of layers those in ``of_values``, else in ``sums``."""
    if number == 0:
        return _rows(of_x, first, rows)
    if number == 1:
        return _rows(of_other, first, rows)
    if len(of_values):
        return _layer(table, number - 2, first, of_values, count, rows)
    return _layer(table, number - 2, 0, sums, _ROWS, rows)


@compiled
def _part(begin, count, parts):
    """A number that no two threads have whose shares of ``count`` items begin at different ones."""
    return -(-begin * parts // count)
