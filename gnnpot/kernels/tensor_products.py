"""Sums over neighbors of products of features with spherical harmonics.

A product is a list of ``terms``: weight of which path, component of the features, harmonic, component of the
result, and 1 if the harmonic changes its sign with the direction; each has a coefficient c.
"""

from __future__ import annotations

from gnnpot.kernels.compiled import compiled


@compiled
def tensor_products(begin, end, order, start, index, terms, c, x, y, w, out):
    """Sum of c x_j y_e w_p over the edges into each atom."""
    for atom in range(begin, end):
        out[atom] = 0
        for place in range(start[atom], start[atom + 1]):
            edge = order[place]
            pair, source = edge >> 1, x[index[0, edge]]
            for n in range(len(terms)):
                path, i, j, k, odd = terms[n]
                factor = c[n] * y[pair, j] * x.dtype.type(1 - 2 * (edge & odd))
                feature, weight, total = source[i], w[pair, path], out[atom, k]
                for u in range(len(total)):
                    total[u] += factor * feature[u] * weight[u]


@compiled
def tensor_products_pairs(begin, end, index, terms, c, g, x, y, w, dy, dw):
    """Gradients of the harmonics, with weights w, and of the weights, with harmonics y."""
    for pair in range(begin, end):
        dy[pair] = 0
        dw[pair] = 0
        for edge in range(2 * pair, 2 * pair + 2):
            source, center = x[index[0, edge]], g[index[1, edge]]
            for n in range(len(terms)):
                path, i, j, k, odd = terms[n]
                factor = c[n] * x.dtype.type(1 - 2 * (edge & odd))
                turned, total = factor * y[pair, j], x.dtype.type(0)
                feature, gradient, weight, of_weight = source[i], center[k], w[pair, path], dw[pair, path]
                for u in range(len(weight)):
                    both = gradient[u] * feature[u]
                    total += both * weight[u]
                    of_weight[u] += turned * both
                dy[pair, j] += factor * total
