"""Pairs of neighbors of an atom, and ANI's sums over them.

Triplet t is the pair of edges ``first[t]``, ``second[t]`` into one atom; sum s is over the triplets
``start[s] … start[s + 1]``, and each atom has the same number of sums, one for each pair of elements.
With the unit vectors n and n' of two edges, c = ``factor`` n·n', the mean length m and the envelopes u, the
triplet adds w R_r(m) A_a(c), w = 2 u u', to its sum.
"""

from __future__ import annotations

import math

import numpy as np

from gnnpot.kernels.compiled import LANES, compiled, dot


@compiled
def count_triplets(begin, end, order, start, index, r, cutoff, rows, num_elements, out):
    """Number of triplets of each atom and pair of elements."""
    near = np.empty(num_elements, np.int64)
    for atom in range(begin, end):
        out[atom] = 0
        near[:] = 0
        for place in range(start[atom], start[atom + 1]):
            edge = order[place]
            if r[edge >> 1] < cutoff:
                row = rows[index[0, edge]]
                for other in range(num_elements):
                    out[atom, _pair_row(row, other, num_elements)] += near[other]
                near[row] += 1


@compiled
def list_triplets(begin, end, order, start, index, r, cutoff, rows, num_elements, bounds, first, second):
    """Edges of each triplet, those of each sum in the order of the edges."""
    width = num_elements * (num_elements + 1) // 2
    place_of = np.empty(width, np.int64)
    most = 0
    for atom in range(begin, end):
        most = max(most, start[atom + 1] - start[atom])
    near, near_rows = np.empty(most, np.int64), np.empty(most, np.int64)
    for atom in range(begin, end):
        place_of[:] = bounds[atom * width : (atom + 1) * width]
        count = 0
        for place in range(start[atom], start[atom + 1]):
            edge = order[place]
            if r[edge >> 1] < cutoff:  # as it is counted: NaN is not short
                near[count], near_rows[count] = edge, rows[index[0, edge]]
                count += 1
        for one in range(count):
            edge, row = near[one], near_rows[one]
            for two in range(one + 1, count):
                pair = _pair_row(row, near_rows[two], num_elements)
                first[place_of[pair]], second[place_of[pair]] = edge, near[two]
                place_of[pair] += 1


@compiled
def triplet_arguments(
    begin, end, first, second, n, r, factor, eta, shifts, cosines, sines, exponents, bases
):  # fmt: skip
    """Exponents of the shells, -η (m - R_r)², and ½ (1 + cos(θ - θ_a)), whose power is A_a."""
    zero, half, one = n.dtype.type(0), n.dtype.type(0.5), n.dtype.type(1)
    factor, eta = n.dtype.type(factor), n.dtype.type(eta)
    c, s, mean = np.empty(LANES, n.dtype), np.empty(LANES, n.dtype), np.empty(LANES, n.dtype)
    for block in range(begin, end, LANES):
        last = min(end, block + LANES)
        _measure(first[block:last], second[block:last], n, r, factor, c, mean)
        for lane in range(last - block):
            s[lane] = math.sqrt(one - c[lane] * c[lane])
        for k in range(len(shifts)):
            row, shift = exponents[k, block:last], n.dtype.type(shifts[k])
            for lane in range(len(row)):
                row[lane] = -eta * (mean[lane] - shift) * (mean[lane] - shift)
        for a in range(len(cosines)):
            row = bases[a, block:last]
            cosine, sine = n.dtype.type(cosines[a]), n.dtype.type(sines[a])
            for lane in range(len(row)):
                row[lane] = max(half * (one + c[lane] * cosine + s[lane] * sine), zero)


@compiled
def sum_triplets(begin, end, start, weights, shells, powers, out):
    """Σ w R_r A_a of each sum."""
    weighted = np.empty(LANES, weights.dtype)
    for s in range(begin, end):
        out[s] = 0
        for block in range(start[s], start[s + 1], LANES):
            last = min(start[s + 1], block + LANES)
            weight = weights[block:last]
            for k in range(len(shells)):
                shell = shells[k, block:last]
                for lane in range(len(weight)):
                    weighted[lane] = weight[lane] * shell[lane]
                for a in range(len(powers)):
                    power, total = powers[a, block:last], weights.dtype.type(0)
                    for lane in range(len(power)):
                        total += weighted[lane] * power[lane]
                    out[s, k, a] += total


@compiled
def sum_triplets_first(
    begin, end, width, start, first, second, u, n, inverse, r, factor, eta, zeta, shifts, cosines, sines,
    shells, bases, powers, g, dv,
):  # fmt: skip
    """Gradient of the vectors, what each atom adds to its edges; ``width`` sums belong to an atom.

    With E = w S, S = Σ g R A, and its slopes S_m and S_c by the mean length and by c.
    """
    half = n.dtype.type(0.5)
    factor, eta, zeta = n.dtype.type(factor), n.dtype.type(eta), n.dtype.type(zeta)
    c, mean, sums = np.empty(LANES, n.dtype), np.empty(LANES, n.dtype), np.empty((3, LANES), n.dtype)
    slopes, read = np.empty((1, len(cosines), LANES), n.dtype), np.empty((2, LANES), n.dtype)
    for s in range(begin * width, end * width):
        for block in range(start[s], start[s + 1], LANES):
            last = min(start[s + 1], block + LANES)
            _measure(first[block:last], second[block:last], n, r, factor, c, mean)
            _angle_slopes(block, last, c, zeta, cosines, sines, bases, powers, slopes)
            _contract(block, last, g[s], mean, eta, shifts, shells, powers, slopes, read, sums)
            for t in range(block, last):
                one, other, p, q, w, w_p, w_q = _ends(t, first, second, u)
                lane, turn = t - block, _turned(factor, one, other)
                cosine = c[lane] / turn
                of_mean, of_cosine = half * w * sums[1, lane], turn * w * sums[2, lane]
                of_p, of_q = w_p * sums[0, lane] + of_mean, w_q * sums[0, lane] + of_mean
                by_p, by_q = of_cosine * inverse[p], of_cosine * inverse[q]
                for x in range(3):
                    dv[one, x] += (of_p - cosine * by_p) * n[p, x] + by_p * n[q, x]
                    dv[other, x] += (of_q - cosine * by_q) * n[q, x] + by_q * n[p, x]


@compiled
def sum_triplets_second(
    begin, end, width, start, first, second, u, n, inverse, r, factor, eta, zeta, shifts, cosines, sines,
    shells, bases, powers, uv, g, dg, dv,
):  # fmt: skip
    """Gradients of the upstream gradient, and of the vectors as in ``sum_triplets_first``.

    Both are changes along ``uv``, of R and A and of the first derivatives; named ``d_…`` as rates.
    """
    half, two = n.dtype.type(0.5), n.dtype.type(2)
    factor, eta, zeta = n.dtype.type(factor), n.dtype.type(eta), n.dtype.type(zeta)
    c, mean, sums = np.empty(LANES, n.dtype), np.empty(LANES, n.dtype), np.empty((6, LANES), n.dtype)
    slopes, read = np.empty((2, len(cosines), LANES), n.dtype), np.empty((3, LANES), n.dtype)
    rates = np.empty((3, LANES), n.dtype)  # of w, of the mean and of c, the last times w
    changes = np.empty((2, LANES), n.dtype)
    for s in range(begin * width, end * width):
        dg[s] = 0
        for block in range(start[s], start[s + 1], LANES):
            last = min(start[s + 1], block + LANES)
            _measure(first[block:last], second[block:last], n, r, factor, c, mean)
            _angle_slopes(block, last, c, zeta, cosines, sines, bases, powers, slopes)
            _contract(block, last, g[s], mean, eta, shifts, shells, powers, slopes, read, sums)
            for t in range(block, last):
                one, other, p, q, w, w_p, w_q = _ends(t, first, second, u)
                lane, turn = t - block, _turned(factor, one, other)
                cosine = c[lane] / turn
                d_p, d_q = dot(n[p], uv[p]), dot(n[q], uv[q])  # of the lengths
                across = inverse[p] * dot(uv[p], n[q]) + inverse[q] * dot(n[p], uv[q])
                d_cosine = across - cosine * (d_p * inverse[p] + d_q * inverse[q])
                d_mean, d_c = half * (d_p + d_q), turn * d_cosine
                w_pq = two * u[1, p] * u[1, q]
                d_w = w_p * d_p + w_q * d_q
                d_w_p = two * u[2, p] * u[0, q] * d_p + w_pq * d_q
                d_w_q = two * u[0, p] * u[2, q] * d_q + w_pq * d_p
                rates[0, lane], rates[1, lane], rates[2, lane] = d_w, two * eta * d_mean * w, w * d_c

                s0, s_m, s_c = sums[0, lane], sums[1, lane], sums[2, lane]
                d_s = s_m * d_mean + s_c * d_c
                d_s_m = sums[3, lane] * d_mean + sums[4, lane] * d_c
                d_s_c = sums[4, lane] * d_mean + sums[5, lane] * d_c
                of_mean, d_of_mean = half * w * s_m, half * (d_w * s_m + w * d_s_m)
                of_p, of_q, of_cosine = w_p * s0 + of_mean, w_q * s0 + of_mean, turn * w * s_c
                d_of_p = d_w_p * s0 + w_p * d_s + d_of_mean
                d_of_q = d_w_q * s0 + w_q * d_s + d_of_mean
                d_of_cosine = turn * (d_w * s_c + w * d_s_c)
                for x in range(3):
                    n_p, n_q = n[p, x], n[q, x]
                    d_n_p, d_n_q = (uv[p, x] - n_p * d_p) * inverse[p], (uv[q, x] - n_q * d_q) * inverse[q]
                    by_p, by_q = (n_q - cosine * n_p) * inverse[p], (n_p - cosine * n_q) * inverse[q]
                    d_by_p = (d_n_q - d_cosine * n_p - cosine * d_n_p - by_p * d_p) * inverse[p]
                    d_by_q = (d_n_p - d_cosine * n_q - cosine * d_n_q - by_q * d_q) * inverse[q]
                    dv[one, x] += d_of_p * n_p + of_p * d_n_p + d_of_cosine * by_p + of_cosine * d_by_p
                    dv[other, x] += d_of_q * n_q + of_q * d_n_q + d_of_cosine * by_q + of_cosine * d_by_q
            _add_changes(block, last, mean, rates, shifts, shells, powers, slopes[0], changes, dg[s])


@compiled
def _pair_row(one, other, num_elements):
    """Number of an unordered pair of elements, in the order (0,0), (0,1), …, (1,1), …."""
    low, high = min(one, other), max(one, other)
    return low * num_elements - low * (low - 1) // 2 + high - low


@compiled
def _ends(t, first, second, u):
    """Edges and pairs of a triplet, and w with its slopes by the lengths of the two."""
    one, other, two = first[t], second[t], u.dtype.type(2)
    p, q = one >> 1, other >> 1
    return one, other, p, q, two * u[0, p] * u[0, q], two * u[1, p] * u[0, q], two * u[0, p] * u[1, q]


@compiled
def _turned(factor, one, other):
    """The factor of the cosine of two pair vectors that is that of their edges."""
    return -factor if (one ^ other) & 1 else factor


@compiled
def _measure(first, second, n, r, factor, c, mean):
    """The c and m of some triplets."""
    half = n.dtype.type(0.5)
    for lane in range(len(first)):
        one, other = first[lane], second[lane]
        p, q = one >> 1, other >> 1
        c[lane] = _turned(factor, one, other) * dot(n[p], n[q])
        mean[lane] = half * (r[p] + r[q])


@compiled
def _angle_slopes(block, last, c, zeta, cosines, sines, bases, powers, out):
    """A′ by c, and A″ if ``out`` has room, of A_a = b_a^ζ."""
    zero, half, unit = c.dtype.type(0), c.dtype.type(0.5), c.dtype.type(1)
    for a in range(len(cosines)):
        cosine, sine = c.dtype.type(cosines[a]), c.dtype.type(sines[a])
        base, power = bases[a, block:last], powers[a, block:last]
        for lane in range(len(base)):
            inverse = unit / math.sqrt(unit - c[lane] * c[lane])
            ratio = zeta * power[lane] / base[lane] if base[lane] > zero else zero
            out[0, a, lane] = ratio * half * (cosine - c[lane] * inverse * sine)
        if len(out) == 2:
            for lane in range(len(base)):
                inverse = unit / math.sqrt(unit - c[lane] * c[lane])
                ratio = unit / base[lane] if base[lane] > zero else zero
                slope = half * (cosine - c[lane] * inverse * sine)
                bend = half * sine * inverse * inverse * inverse
                steep = (zeta - unit) * ratio * slope * slope - bend
                out[1, a, lane] = zeta * power[lane] * ratio * steep


@compiled
def _contract(block, last, g, mean, eta, shifts, shells, powers, slopes, read, sums):
    """Σ g R A; with slopes of R, of A; and if ``slopes`` has them with curvatures of R, both slopes, of A."""
    zero, two = mean.dtype.type(0), mean.dtype.type(2)
    count = last - block
    sums[:, :count] = zero
    for k in range(len(shifts)):
        shell, shift = shells[k, block:last], mean.dtype.type(shifts[k])
        read[:, :count] = zero
        for a in range(len(powers)):
            factor, power, value, slope = g[k, a], powers[a, block:last], read[0], read[1]
            for lane in range(count):
                value[lane] += factor * power[lane]
            for lane in range(count):
                slope[lane] += factor * slopes[0, a, lane]
            if len(slopes) == 2:
                for lane in range(count):
                    read[2, lane] += factor * slopes[1, a, lane]
        for lane in range(count):
            ratio = -two * eta * (mean[lane] - shift)
            sums[0, lane] += shell[lane] * read[0, lane]
            sums[1, lane] += ratio * shell[lane] * read[0, lane]
            sums[2, lane] += shell[lane] * read[1, lane]
        if len(slopes) == 2:
            for lane in range(count):
                ratio = -two * eta * (mean[lane] - shift)
                sums[3, lane] += (ratio * ratio - two * eta) * shell[lane] * read[0, lane]
                sums[4, lane] += ratio * shell[lane] * read[1, lane]
                sums[5, lane] += shell[lane] * read[2, lane]


@compiled
def _add_changes(block, last, mean, rates, shifts, shells, powers, slopes, changes, total):
    """Add the changes of w R_r A_a in a block; ``rates`` are those of w, of the mean and of c."""
    for k in range(len(shifts)):
        shell, shift = shells[k, block:last], mean.dtype.type(shifts[k])
        for lane in range(len(shell)):
            distance = mean[lane] - shift
            changes[0, lane] = (rates[0, lane] - distance * rates[1, lane]) * shell[lane]
            changes[1, lane] = rates[2, lane] * shell[lane]
        for a in range(len(powers)):
            power, slope, change = powers[a, block:last], slopes[a], mean.dtype.type(0)
            for lane in range(len(power)):
                change += changes[0, lane] * power[lane] + changes[1, lane] * slope[lane]
            total[k, a] += change
