"""Neighbor lists of atoms that move."""

from __future__ import annotations

import numpy as np

from gnnpot.kernels.compiled import compiled


@compiled
def measure_pairs(
    begin, end, positions, cell, source, center, shifts, reach, nearest, vectors, states, is_changed
):
    """Vectors of pairs, of how many of ``reach`` and ``nearest`` each is shorter, and whether one was not."""
    for pair in range(begin, end):
        j, i, square = source[pair], center[pair], 0.0
        for x in range(3):
            shift = shifts[pair, 0] * cell[0, x] + shifts[pair, 1] * cell[1, x] + shifts[pair, 2] * cell[2, x]
            component = positions[j, x] - positions[i, x] + shift
            vectors[pair, x] = component
            square += component * component
        state = (square < reach * reach) + (square < nearest * nearest)
        if states[pair] != state:
            states[pair], is_changed[0] = state, True


@compiled
def choose_pairs(begin, end, near, index, shifts, order, start, new_index, new_shifts, new_order, new_start):
    """The edges of the pairs that are near, and their order by atoms; all at once."""
    place, count = np.empty(len(near), np.int64), 0
    for pair in range(len(near)):
        place[pair] = count
        if near[pair]:
            for edge in range(2 * pair, 2 * pair + 2):
                target = 2 * count + (edge & 1)
                new_index[0, target], new_index[1, target] = index[0, edge], index[1, edge]
                for x in range(3):
                    new_shifts[target, x] = shifts[edge, x]
            count += 1
    filled = 0
    for atom in range(len(start) - 1):
        new_start[atom] = filled
        for old in range(start[atom], start[atom + 1]):
            edge = order[old]
            if near[edge >> 1]:
                new_order[filled] = 2 * place[edge >> 1] + (edge & 1)
                filled += 1
    new_start[len(start) - 1] = filled
