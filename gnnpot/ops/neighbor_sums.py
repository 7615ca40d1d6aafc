"""Sums over neighbors: fused on a CPU, plain torch elsewhere.

Each function is linear in each of its inputs, and its derivatives are written out for
:func:`~gnnpot.kernels.dispatch.twice_differentiable`.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from gnnpot.graph.geometry import Neighborhoods, reverse_edges
from gnnpot.kernels.dispatch import fusible, over_items, twice_differentiable


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
    return zero.index_add(0, edges.edge_index[1], plain_times(edge_values, pair_values))


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
    return plain_times(edge_values, pair_values)


def times_rows(values: Float[Tensor, "P F"], factors: Float[Tensor, "P"]) -> Float[Tensor, "P F"]:
    """Each row times a number of its own."""
    return _times_rows(None, values, factors) if fusible(values) else values * factors[:, None]


def reverse_times_pairs(
    edge_values: Float[Tensor, "E C"], pair_values: Float[Tensor, "P C"]
) -> Float[Tensor, "E C"]:
    """For each edge the product of a quantity of its reverse with one of unordered pairs."""
    if fusible(edge_values):
        return _reverse(None, edge_values, pair_values)
    return plain_times(reverse_edges(edge_values), pair_values)


def plain_times(edge_values: Float[Tensor, "E ..."], pair_values: Float[Tensor, "P ..."]) -> Tensor:
    """:func:`times_pairs` in plain torch, for values of any form."""
    return (edge_values.unflatten(0, (-1, 2)) * pair_values[:, None]).flatten(0, 1)


def _convolution(edges: Neighborhoods, features: Tensor, filters: Tensor) -> Tensor:
    from gnnpot.kernels import loops

    out = torch.empty_like(features)
    over_items(
        loops.convolve, edges.num_atoms, edges.order, edges.start, edges.edge_index, features, filters, out
    )
    return out


def _end_products(edges: Neighborhoods, one: Tensor, other: Tensor) -> Tensor:
    from gnnpot.kernels import loops

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
    from gnnpot.kernels import loops

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
    from gnnpot.kernels import loops

    out = values.new_empty(edges.num_atoms, values.shape[1])
    over_items(loops.sum_edges, edges.num_atoms, edges.order, edges.start, values, pairs, out)
    return out


def _edge_sums_first(
    edges: Neighborhoods, gradient: Tensor, values: Tensor, pairs: Tensor
) -> tuple[Tensor, ...]:
    from gnnpot.kernels import loops

    out = torch.empty_like(values), torch.empty_like(pairs)
    over_items(loops.sum_edges_first, len(pairs), edges.edge_index[1], gradient, values, pairs, *out)
    return out


def _edge_sums_second(
    edges: Neighborhoods, upstream: tuple[Tensor, ...], gradient: Tensor, values: Tensor, pairs: Tensor
) -> tuple[Tensor, ...]:
    from gnnpot.kernels import loops

    of_values, of_pairs = upstream
    out, tables = torch.empty_like(gradient), (edges.order, edges.start)
    over_items(loops.sum_edges_two, edges.num_atoms, *tables, of_values, pairs, values, of_pairs, out)
    return out, *_edge_sums_first(edges, gradient, of_values, of_pairs)


_sum_edges = twice_differentiable(_edge_sums, _edge_sums_first, _edge_sums_second)


def _opposite(edges: Neighborhoods, values: Tensor) -> Tensor:
    from gnnpot.kernels import loops

    out = values.new_empty(edges.num_atoms, values.shape[1])
    over_items(loops.sum_opposite, edges.num_atoms, edges.order, edges.start, values, out)
    return out


def _opposite_first(edges: Neighborhoods, gradient: Tensor, values: Tensor) -> tuple[Tensor, ...]:
    from gnnpot.kernels import loops

    out = torch.empty_like(values)
    over_items(loops.differences, edges.num_pairs, edges.edge_index, gradient, out)
    return (out,)


def _opposite_second(
    edges: Neighborhoods, upstream: tuple[Tensor, ...], gradient: Tensor, values: Tensor
) -> tuple[Tensor, ...]:
    return _opposite(edges, *upstream), torch.zeros_like(values)


_sum_opposite = twice_differentiable(_opposite, _opposite_first, _opposite_second)


def _times(_: None, values: Tensor, pairs: Tensor) -> Tensor:
    from gnnpot.kernels import loops

    out = torch.empty_like(values)
    over_items(loops.times_pairs, len(pairs), values, pairs, out)
    return out


def _times_first(_: None, gradient: Tensor, values: Tensor, pairs: Tensor) -> tuple[Tensor, ...]:
    from gnnpot.kernels import loops

    out = torch.empty_like(values), torch.empty_like(pairs)
    over_items(loops.times_pairs_first, len(pairs), gradient, values, pairs, *out)
    return out


def _times_second(
    _: None, upstream: tuple[Tensor, ...], gradient: Tensor, values: Tensor, pairs: Tensor
) -> tuple[Tensor, ...]:
    from gnnpot.kernels import loops

    out = torch.empty_like(values), torch.empty_like(values), torch.empty_like(pairs)
    over_items(loops.times_pairs_second, len(pairs), *upstream, gradient, values, pairs, *out)
    return out


_times_pairs = twice_differentiable(_times, _times_first, _times_second)


def _rows_values(_: None, *inputs: Tensor) -> Tensor:
    from gnnpot.kernels import loops

    out = torch.empty_like(inputs[0])
    over_items(loops.times_rows, len(out), *inputs, out)
    return out


def _rows_first(_: None, gradient: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
    from gnnpot.kernels import loops

    out = tuple(torch.empty_like(part) for part in inputs)
    over_items(loops.times_rows_first, len(gradient), gradient, *inputs, *out)
    return out


def _rows_second(
    _: None, upstream: tuple[Tensor, ...], gradient: Tensor, *inputs: Tensor
) -> tuple[Tensor, ...]:
    from gnnpot.kernels import loops

    out = tuple(torch.empty_like(part) for part in (gradient, *inputs))
    over_items(loops.times_rows_second, len(gradient), *upstream, gradient, *inputs, *out)
    return out


_times_rows = twice_differentiable(_rows_values, _rows_first, _rows_second)


def _reverse_values(_: None, values: Tensor, pairs: Tensor) -> Tensor:
    from gnnpot.kernels import loops

    out = torch.empty_like(values)
    over_items(loops.reverse, len(pairs), values, pairs, out)
    return out


def _reverse_first(_: None, gradient: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
    from gnnpot.kernels import loops

    out = tuple(torch.empty_like(part) for part in inputs)
    over_items(loops.reverse_first, len(inputs[1]), gradient, *inputs, *out)
    return out


def _reverse_second(
    _: None, upstream: tuple[Tensor, ...], gradient: Tensor, *inputs: Tensor
) -> tuple[Tensor, ...]:
    from gnnpot.kernels import loops

    out = tuple(torch.empty_like(part) for part in (gradient, *inputs))
    over_items(loops.reverse_second, len(inputs[1]), *upstream, gradient, *inputs, *out)
    return out


_reverse = twice_differentiable(_reverse_values, _reverse_first, _reverse_second)
