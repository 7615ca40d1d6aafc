"""ANI's sums of Gaussian shells over the neighbors of an atom, one for each element of the neighbor.

With R_s = exp(-η (r - r_s)²) and the envelope u, a neighbor adds f_s(r) = ``factor`` u R_s.
"""

from __future__ import annotations

from gnnpot.kernels.compiled import compiled, dot


@compiled
def shell_exponents(begin, end, r, eta, shifts, out):
    """-η (r - r_s)²."""
    eta = r.dtype.type(eta)
    for pair in range(begin, end):
        for s in range(len(shifts)):
            distance = r[pair] - r.dtype.type(shifts[s])
            out[pair, s] = -eta * distance * distance


@compiled
def sum_shells(begin, end, order, start, index, rows, factor, u, shells, out):
    """Σ f_s over the edges into each atom."""
    factor = u.dtype.type(factor)
    for atom in range(begin, end):
        out[atom] = 0
        for place in range(start[atom], start[atom + 1]):
            edge = order[place]
            pair, total = edge >> 1, out[atom, rows[index[0, edge]]]
            shell, weight = shells[pair], factor * u[0, pair]
            for s in range(len(shell)):
                total[s] += weight * shell[s]


@compiled
def sum_shells_first(begin, end, index, rows, factor, u, n, inverse, r, eta, shifts, shells, g, dv):
    """Gradient of the vectors of the pairs."""
    factor, eta, two = u.dtype.type(factor), u.dtype.type(eta), u.dtype.type(2)
    for pair in range(begin, end):
        i, j = index[1, 2 * pair], index[0, 2 * pair]
        one, other, slope = g[i, rows[j]], g[j, rows[i]], u.dtype.type(0)
        for s in range(len(shifts)):
            steep = u[1, pair] - two * eta * (r[pair] - u.dtype.type(shifts[s])) * u[0, pair]
            slope += (one[s] + other[s]) * steep * shells[pair, s]
        for x in range(3):
            dv[pair, x] = factor * slope * n[pair, x]


@compiled
def sum_shells_second_atoms(
    begin, end, order, start, index, rows, factor, u, n, inverse, r, eta, shifts, shells, uv, dg
):  # fmt: skip
    """Gradient of the upstream gradient."""
    factor, eta, two = u.dtype.type(factor), u.dtype.type(eta), u.dtype.type(2)
    for atom in range(begin, end):
        dg[atom] = 0
        for place in range(start[atom], start[atom + 1]):
            edge = order[place]
            pair, total = edge >> 1, dg[atom, rows[index[0, edge]]]
            along = dot(n[pair], uv[pair])
            for s in range(len(shifts)):
                steep = u[1, pair] - two * eta * (r[pair] - u.dtype.type(shifts[s])) * u[0, pair]
                total[s] += factor * along * steep * shells[pair, s]


@compiled
def sum_shells_second_pairs(
    begin, end, index, rows, factor, u, n, inverse, r, eta, shifts, shells, uv, g, dv
):  # fmt: skip
    """Gradient of the vectors of the pairs from the first derivatives, by f′ and f″ along ``uv``."""
    factor, eta, two = u.dtype.type(factor), u.dtype.type(eta), u.dtype.type(2)
    for pair in range(begin, end):
        i, j = index[1, 2 * pair], index[0, 2 * pair]
        one, other = g[i, rows[j]], g[j, rows[i]]
        slope, curvature = u.dtype.type(0), u.dtype.type(0)
        for s in range(len(shifts)):
            ratio = -two * eta * (r[pair] - u.dtype.type(shifts[s]))
            shell = (one[s] + other[s]) * shells[pair, s]
            slope += shell * (u[1, pair] + ratio * u[0, pair])
            curvature += shell * (
                u[2, pair] + two * ratio * u[1, pair] + (ratio * ratio - two * eta) * u[0, pair]
            )
        along = dot(n[pair], uv[pair])
        for x in range(3):
            across = (uv[pair, x] - along * n[pair, x]) * inverse[pair]
            dv[pair, x] = factor * (curvature * along * n[pair, x] + slope * across)
