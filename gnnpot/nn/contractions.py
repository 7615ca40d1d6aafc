"""Sums over neighbors: fused on a CPU, plain torch elsewhere.

Each function is linear in each of its inputs, and its derivatives are written out for
:func:`~gnnpot.nn.fused.twice_differentiable`.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from gnnpot.geometry import Neighborhoods, reverse_edges
from gnnpot.nn.fused import fusible, over_items, twice_differentiable


def convolve(
    features: Float[Tensor, "N F"], filters: Float[Tensor, "P F"], edges: Neighborhoods
) -> Float[Tensor, "N F"]:
    r"""Each atom's sum :math:`y_i = \sum_j x_j \circ W_{ij}` over its neighbors."""
    if fusible(features):
        return _convolve(edges, features, filters)
    return sum_edges(features.index_select(0, edges.edge_index[0]), filters, edges)


def sum_edges(
    edge_values: Float[Tensor, "E F"], pair_values: Float[Tensor, "P F"], edges: Neighborhoods
) -> Float[Tensor, "N F"]:
    r"""Each atom's sum :math:`y_i = \sum_j x_{ji} \circ w_{ij}` of a quantity of edges times one of pairs."""
    if fusible(edge_values):
        return _sum_edges(edges, edge_values, pair_values)
    zero = edge_values.new_zeros(edges.num_atoms, edge_values.shape[1])
    return zero.index_add(0, edges.edge_index[1], _plain_times(edge_values, pair_values))


def sum_opposite(values: Float[Tensor, "P F"], edges: Neighborhoods) -> Float[Tensor, "N F"]:
    r"""Each atom's sum of a quantity of edges of which the two directions have opposite signs.

    Args:
        values: Of the even edges.
        edges: Of the same batch.
    """
    if fusible(values):
        return _sum_opposite(edges, values)
    source, center = edges.edge_index[:, 0::2]
    zero = values.new_zeros(edges.num_atoms, values.shape[1])
    return zero.index_add(0, center, values).index_add(0, source, -values)


def times_pairs(edge_values: Float[Tensor, "E F"], pair_values: Float[Tensor, "P F"]) -> Float[Tensor, "E F"]:
    """Product of a quantity of edges with one of unordered pairs."""
    if fusible(edge_values):
        return _times_pairs(None, edge_values, pair_values)
    return _plain_times(edge_values, pair_values)


def moments(
    messages: Float[Tensor, "E C"],
    radial: Float[Tensor, "L P C"],
    harmonics: Float[Tensor, "P M"],
    edges: Neighborhoods,
) -> Float[Tensor, "N M C"]:
    r"""What comes into each atom, by direction.

    .. math:: A_{i,lm} = \sum_j x_{ji} \circ w_l(r_{ij})\, C_{lm}(\hat r_{ij})

    Args:
        messages: x of each edge.
        radial: w_l of each pair.
        harmonics: C of the even edges.
        edges: Of the same batch.
    """
    if fusible(messages):
        return _narrowed(_moments(edges, _widened(messages), _widened(radial), harmonics), messages)
    orders = [_table(_plain_times(messages, part), edges) for part in radial]
    parts = _table(_turned(harmonics), edges).split([2 * order + 1 for order in range(len(radial))], dim=2)
    return torch.cat([part.mT @ values for part, values in zip(parts, orders, strict=True)], dim=1)


def read_moments(
    moments: Float[Tensor, "N M C"], harmonics: Float[Tensor, "P M"], edges: Neighborhoods
) -> Float[Tensor, "E C"]:
    r"""What each edge j→i hears of the moments of j in its own direction, :math:`\sum_{lm} C_{lm} A_{j,lm}`.

    Args:
        moments: A of each atom.
        harmonics: C of the even edges.
        edges: Of the same batch.
    """
    if fusible(moments):
        return _narrowed(_read(edges, _widened(moments), harmonics), moments)
    slots, _ = edges.slots()
    outward = _table(reverse_edges(_turned(harmonics)), edges)
    return (outward @ moments).flatten(0, 1).index_select(0, reverse_edges(slots))


def reverse_times_pairs(
    edge_values: Float[Tensor, "E C"], pair_values: Float[Tensor, "P C"]
) -> Float[Tensor, "E C"]:
    """For each edge the product of a quantity of its reverse with one of unordered pairs."""
    if fusible(edge_values):
        return _reverse(None, edge_values, pair_values)
    return _plain_times(reverse_edges(edge_values), pair_values)


def parity(num_harmonics: int, like: Tensor) -> Float[Tensor, "M"]:
    """Signs (−1)^l of all harmonics under inversion."""
    signs = [(-1.0) ** math.isqrt(m) for m in range(num_harmonics)]
    return torch.tensor(signs, dtype=like.dtype, device=like.device)


def _plain_times(edge_values: Float[Tensor, "E ..."], pair_values: Float[Tensor, "P ..."]) -> Tensor:
    return (edge_values.unflatten(0, (-1, 2)) * pair_values[:, None]).flatten(0, 1)


def _turned(harmonics: Float[Tensor, "P M"]) -> Float[Tensor, "E M"]:
    """Harmonics of all edges."""
    odd = harmonics * parity(harmonics.shape[1], harmonics)
    return torch.stack([harmonics, odd], dim=1).flatten(0, 1)


def _table(values: Float[Tensor, "E ..."], edges: Neighborhoods) -> Float[Tensor, "N D ..."]:
    """Values of the edges into each atom, with zeros where a row has fewer than the longest."""
    slots, width = edges.slots()
    table = values.new_zeros(edges.num_atoms * width, *values.shape[1:]).index_copy(0, slots, values)
    return table.unflatten(0, (edges.num_atoms, width))


def _widened(values: Float[Tensor, "... C"]) -> Tensor:
    """With channels of zeros up to a width that compiled loops take."""
    from gnnpot.nn import loops

    missing = -values.shape[-1] % loops.WIDTH
    return F.pad(values, (0, missing)) if missing else values


def _narrowed(values: Tensor, like: Tensor) -> Tensor:
    """Without the channels that ``like`` has not."""
    channels = like.shape[-1]
    return values if values.shape[-1] == channels else values[..., :channels]


def _convolution(edges: Neighborhoods, features: Tensor, filters: Tensor) -> Tensor:
    from gnnpot.nn import loops

    out = torch.empty_like(features)
    over_items(
        loops.convolve, edges.num_atoms, edges.order, edges.start, edges.edge_index, features, filters, out
    )
    return out


def _end_products(edges: Neighborhoods, one: Tensor, other: Tensor) -> Tensor:
    from gnnpot.nn import loops

    out = one.new_empty(edges.num_pairs, one.shape[1])
    over_items(loops.multiply_ends, edges.num_pairs, edges.edge_index, one, other, out)
    return out


def _convolve_first(
    edges: Neighborhoods, gradient: Tensor, features: Tensor, filters: Tensor
) -> tuple[Tensor, ...]:
    return _convolution(edges, gradient, filters), _end_products(edges, gradient, features)


def _convolve_second(
    edges: Neighborhoods, upstream: tuple[Tensor, ...], gradient: Tensor, features: Tensor, filters: Tensor
) -> tuple[Tensor, ...]:
    from gnnpot.nn import loops

    of_features, of_filters = upstream
    out, tables = torch.empty_like(gradient), (edges.order, edges.start, edges.edge_index)
    over_items(loops.convolve_two, edges.num_atoms, *tables, of_features, filters, features, of_filters, out)
    return (
        out,
        _convolution(edges, gradient, of_filters),
        _end_products(edges, gradient, of_features),
    )


_convolve = twice_differentiable(_convolution, _convolve_first, _convolve_second)


def _edge_sums(edges: Neighborhoods, values: Tensor, pairs: Tensor) -> Tensor:
    from gnnpot.nn import loops

    out = values.new_empty(edges.num_atoms, values.shape[1])
    over_items(loops.sum_edges, edges.num_atoms, edges.order, edges.start, values, pairs, out)
    return out


def _edge_sums_first(
    edges: Neighborhoods, gradient: Tensor, values: Tensor, pairs: Tensor
) -> tuple[Tensor, ...]:
    from gnnpot.nn import loops

    out = torch.empty_like(values), torch.empty_like(pairs)
    over_items(loops.sum_edges_first, len(pairs), edges.edge_index[1], gradient, values, pairs, *out)
    return out


def _edge_sums_second(
    edges: Neighborhoods, upstream: tuple[Tensor, ...], gradient: Tensor, values: Tensor, pairs: Tensor
) -> tuple[Tensor, ...]:
    from gnnpot.nn import loops

    of_values, of_pairs = upstream
    out, tables = torch.empty_like(gradient), (edges.order, edges.start)
    over_items(loops.sum_edges_two, edges.num_atoms, *tables, of_values, pairs, values, of_pairs, out)
    return out, *_edge_sums_first(edges, gradient, of_values, of_pairs)


_sum_edges = twice_differentiable(_edge_sums, _edge_sums_first, _edge_sums_second)


def _opposite(edges: Neighborhoods, values: Tensor) -> Tensor:
    from gnnpot.nn import loops

    out = values.new_empty(edges.num_atoms, values.shape[1])
    over_items(loops.sum_opposite, edges.num_atoms, edges.order, edges.start, values, out)
    return out


def _opposite_first(edges: Neighborhoods, gradient: Tensor, values: Tensor) -> tuple[Tensor, ...]:
    from gnnpot.nn import loops

    out = torch.empty_like(values)
    over_items(loops.differences, edges.num_pairs, edges.edge_index, gradient, out)
    return (out,)


def _opposite_second(
    edges: Neighborhoods, upstream: tuple[Tensor, ...], gradient: Tensor, values: Tensor
) -> tuple[Tensor, ...]:
    return _opposite(edges, *upstream), torch.zeros_like(values)


_sum_opposite = twice_differentiable(_opposite, _opposite_first, _opposite_second)


def _times(_: None, values: Tensor, pairs: Tensor) -> Tensor:
    from gnnpot.nn import loops

    out = torch.empty_like(values)
    over_items(loops.times_pairs, len(pairs), values, pairs, out)
    return out


def _times_first(_: None, gradient: Tensor, values: Tensor, pairs: Tensor) -> tuple[Tensor, ...]:
    from gnnpot.nn import loops

    out = torch.empty_like(values), torch.empty_like(pairs)
    over_items(loops.times_pairs_first, len(pairs), gradient, values, pairs, *out)
    return out


def _times_second(
    _: None, upstream: tuple[Tensor, ...], gradient: Tensor, values: Tensor, pairs: Tensor
) -> tuple[Tensor, ...]:
    from gnnpot.nn import loops

    out = torch.empty_like(values), torch.empty_like(values), torch.empty_like(pairs)
    over_items(loops.times_pairs_second, len(pairs), *upstream, gradient, values, pairs, *out)
    return out


_times_pairs = twice_differentiable(_times, _times_first, _times_second)


def _reverse_values(_: None, values: Tensor, pairs: Tensor) -> Tensor:
    from gnnpot.nn import loops

    out = torch.empty_like(values)
    over_items(loops.reverse, len(pairs), values, pairs, out)
    return out


def _reverse_first(_: None, gradient: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
    from gnnpot.nn import loops

    out = tuple(torch.empty_like(part) for part in inputs)
    over_items(loops.reverse_first, len(inputs[1]), gradient, *inputs, *out)
    return out


def _reverse_second(
    _: None, upstream: tuple[Tensor, ...], gradient: Tensor, *inputs: Tensor
) -> tuple[Tensor, ...]:
    from gnnpot.nn import loops

    out = tuple(torch.empty_like(part) for part in (gradient, *inputs))
    over_items(loops.reverse_second, len(inputs[1]), *upstream, gradient, *inputs, *out)
    return out


_reverse = twice_differentiable(_reverse_values, _reverse_first, _reverse_second)


def _moments_values(edges: Neighborhoods, *inputs: Tensor) -> Tensor:
    from gnnpot.nn import loops

    messages, _, harmonics = inputs
    out = messages.new_empty(edges.num_atoms, harmonics.shape[1], messages.shape[1])
    over_items(loops.moments, edges.num_atoms, edges.order, edges.start, *inputs, out)
    return out


def _moments_first(edges: Neighborhoods, gradient: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
    from gnnpot.nn import loops

    out = tuple(torch.empty_like(part) for part in inputs)
    over_items(loops.moments_first, edges.num_pairs, edges.edge_index[1], gradient, *inputs, *out)
    return out


def _moments_second(
    edges: Neighborhoods, upstream: tuple[Tensor, ...], gradient: Tensor, *inputs: Tensor
) -> tuple[Tensor, ...]:
    from gnnpot.nn import loops

    of_gradient = torch.empty_like(gradient)
    over_items(
        loops.moments_second_atoms, edges.num_atoms, edges.order, edges.start, *upstream, *inputs, of_gradient
    )
    out = tuple(torch.empty_like(part) for part in inputs)
    over_items(
        loops.moments_second_pairs, edges.num_pairs, edges.edge_index[1], *upstream, gradient, *inputs, *out
    )
    return of_gradient, *out


_moments = twice_differentiable(_moments_values, _moments_first, _moments_second)


def _read_values(edges: Neighborhoods, moments: Tensor, harmonics: Tensor) -> Tensor:
    from gnnpot.nn import loops

    out = moments.new_empty(len(edges.order), moments.shape[2])
    over_items(loops.read, edges.num_atoms, edges.order, edges.start, moments, harmonics, out)
    return out


def _gathered(edges: Neighborhoods, gradient: Tensor, harmonics: Tensor) -> Tensor:
    from gnnpot.nn import loops

    out = gradient.new_empty(edges.num_atoms, harmonics.shape[1], gradient.shape[1])
    over_items(loops.gather, edges.num_atoms, edges.order, edges.start, gradient, harmonics, out)
    return out


def _compared(edges: Neighborhoods, gradient: Tensor, moments: Tensor) -> Tensor:
    from gnnpot.nn import loops

    out = gradient.new_empty(edges.num_pairs, moments.shape[1])
    over_items(loops.compare, edges.num_pairs, edges.edge_index, gradient, moments, out)
    return out


def _read_first(
    edges: Neighborhoods, gradient: Tensor, moments: Tensor, harmonics: Tensor
) -> tuple[Tensor, ...]:
    return _gathered(edges, gradient, harmonics), _compared(edges, gradient, moments)


def _read_second(
    edges: Neighborhoods, upstream: tuple[Tensor, ...], gradient: Tensor, moments: Tensor, harmonics: Tensor
) -> tuple[Tensor, ...]:
    from gnnpot.nn import loops

    of_moments, of_harmonics = upstream
    out = torch.empty_like(gradient)
    tables = edges.order, edges.start
    over_items(loops.read_two, edges.num_atoms, *tables, moments, harmonics, *upstream, out)
    return out, _gathered(edges, gradient, of_harmonics), _compared(edges, gradient, of_moments)


_read = twice_differentiable(_read_values, _read_first, _read_second)
