"""Functions of the lengths of pairs with their slopes and curvatures, in float64 whatever the arrays hold."""

from __future__ import annotations

import math

import numpy as np

from gnnpot.kernels.compiled import compiled


@compiled
def polynomial_derivatives(begin, end, r, cutoff, p, out):
    """The polynomial envelope."""
    for pair in range(begin, end):
        u, du, ddu = _polynomial(r[pair] / cutoff, p)
        out[0, pair], out[1, pair], out[2, pair] = u, du / cutoff, ddu / cutoff**2


@compiled
def cosine_derivatives(begin, end, r, cutoff, out):
    """The cosine envelope."""
    factor = math.pi / cutoff
    for pair in range(begin, end):
        x = r[pair] * factor
        cosine, sine = (0.5 * math.cos(x), 0.5 * math.sin(x)) if r[pair] < cutoff else (-0.5, 0.0)
        out[0, pair] = cosine + 0.5
        out[1, pair] = -factor * sine
        out[2, pair] = -(factor**2) * cosine if r[pair] < cutoff else 0.0


@compiled
def spline_derivatives(begin, end, r, spacing, num_knots, u, rows, out):
    """The four cubic B-splines on an even grid, times a function u; ``rows`` get the first of the four."""
    for pair in range(begin, end):
        place = r[pair] / spacing
        row = num_knots - 1  # of what is longer, or no number
        if place < num_knots:
            row = max(int(place), 0)
        rows[pair] = row
        t = place - row
        s = 1 - t
        value, slope, curvature = u[0, pair], u[1, pair] * spacing, u[2, pair] * spacing**2
        splines = (s**3 / 6, (4 - 3 * t**2 * (1 + s)) / 6, (4 - 3 * s**2 * (1 + t)) / 6, t**3 / 6)
        slopes = (-(s**2) / 2, t * (1.5 * t - 2), s * (2 - 1.5 * s), t**2 / 2)
        curvatures = (s, 3 * t - 2, 3 * s - 2, t)
        for k in range(4):
            b, db, ddb = splines[k], slopes[k], curvatures[k]
            out[0, pair, k] = b * value
            out[1, pair, k] = (db * value + b * slope) / spacing
            out[2, pair, k] = (ddb * value + 2 * db * slope + b * curvature) / spacing**2


@compiled
def gaussian_derivatives(begin, end, r, centers, width, out):
    """Gaussians around centers."""
    for pair in range(begin, end):
        for k in range(len(centers)):
            x = (np.float64(r[pair]) - centers[k]) / width
            value = math.exp(-0.5 * x * x)
            out[0, pair, k] = value
            out[1, pair, k] = -x / width * value
            out[2, pair, k] = (x * x - 1) / width**2 * value


@compiled
def bessel_derivatives(begin, end, r, cutoff, p, frequencies, out):
    """The function sin(f x) u(x) / x of each frequency f."""
    for pair in range(begin, end):
        x = r[pair] / cutoff
        e, de, dde = _over_argument(x, p)
        for k in range(len(frequencies)):
            f = np.float64(frequencies[k])
            sine, cosine = math.sin(f * x), f * math.cos(f * x)
            out[0, pair, k] = e * sine
            out[1, pair, k] = (de * sine + e * cosine) / cutoff
            out[2, pair, k] = (dde * sine + 2 * de * cosine - e * f**2 * sine) / cutoff**2


@compiled
def spherical_bessel_derivatives(begin, end, r, cutoff, p, roots, norms, sine, cosine, out):
    """The function N j_l(z x) u(x) / x of each root z, from sine and cosine of z x.

    With y = z x, j' = (l / y) j - j_{l+1} and j'' = (l (l + 1) / y² - 1) j - (2 / y) j'.
    """
    for pair in range(begin, end):
        x = r[pair] / cutoff
        e, de, dde = _over_argument(x, p)
        for order in range(roots.shape[0]):
            for k in range(roots.shape[1]):
                z = roots[order, k]
                inverse = 1 / (z * x)
                j = sine[pair, order, k] * inverse
                following = (j - cosine[pair, order, k]) * inverse
                for step in range(order):
                    j, following = following, (2 * step + 3) * inverse * following - j
                dj = order * inverse * j - following
                ddj = z**2 * ((order * (order + 1) * inverse**2 - 1) * j - 2 * inverse * dj)
                dj, norm = z * dj, norms[order, k]
                out[0, pair, order, k] = norm * e * j
                out[1, pair, order, k] = norm * (de * j + e * dj) / cutoff
                out[2, pair, order, k] = norm * (dde * j + 2 * de * dj + e * ddj) / cutoff**2


@compiled
def _polynomial(x, p):
    """The polynomial envelope, its slope and its curvature; zero beyond 1."""
    if x >= 1:
        return 0.0, 0.0, 0.0
    a, b, c = -(p + 1) * (p + 2) / 2, p * (p + 2), -p * (p + 1) / 2
    power = x ** (p - 1)
    value = 1 + power * x * (a + x * (b + x * c))
    slope = power * (a * p + x * (b * (p + 1) + x * c * (p + 2)))
    curvature = power / x * (a * p * (p - 1) + x * (p + 1) * (b * p + x * c * (p + 2)))
    return value, slope, curvature


@compiled
def _over_argument(x, p):
    """The polynomial envelope over its argument, with slope and curvature."""
    u, du, ddu = _polynomial(x, p)
    value = u / x
    slope = (du - value) / x
    return value, slope, (ddu - 2 * slope) / x
