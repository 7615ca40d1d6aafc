"""Sums over neighbors, and products of quantities of edges with quantities of pairs.

Each function is linear in each of its inputs, so its compiled form has second derivatives made of the first.
"""

from __future__ import annotations

from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from gnnpot.graph.geometry import Neighborhoods, reverse_edges
from gnnpot.kernels.dispatch import bilinear, of_loops, operation, over_items, twice_differentiable


@operation
def convolve(
    features: Float[Tensor, "N F"], filters: Float[Tensor, "P F"], edges: Neighborhoods
) -> Float[Tensor, "N F"]:
    r"""Each atom's sum :math:`y_i = \sum_j x_j \circ W_{ij}` over its neighbors.

    Args:
        features: x of each atom.
        filters: W of each unordered pair.
        edges: Neighborhoods of the same batch.
    """
    return sum_edges(features.index_select(0, edges.edge_index[0]), filters, edges)


@operation
def sum_edges(
    edge_values: Float[Tensor, "E F"], pair_values: Float[Tensor, "P F"], edges: Neighborhoods
) -> Float[Tensor, "N F"]:
    r"""Each atom's sum :math:`y_i = \sum_j x_{ji} \circ w_{ij}` of a quantity of edges times one of pairs."""
    zero = edge_values.new_zeros(edges.num_atoms, edge_values.shape[1])
    return zero.index_add(0, edges.edge_index[1], plain_times(edge_values, pair_values))


@operation
def sum_opposite(values: Float[Tensor, "P F"], edges: Neighborhoods) -> Float[Tensor, "N F"]:
    r"""Each atom's sum of a quantity of edges of which the two directions have opposite signs.

    Args:
        values: The quantity of the even edges.
        edges: Neighborhoods of the same batch.
    """
    source, center = edges.edge_index[:, 0::2]
    zero = values.new_zeros(edges.num_atoms, values.shape[1])
    return zero.index_add(0, center, values).index_add(0, source, -values)


@operation
def times_pairs(edge_values: Float[Tensor, "E F"], pair_values: Float[Tensor, "P F"]) -> Float[Tensor, "E F"]:
    """Product of a quantity of edges with one of unordered pairs."""
    return plain_times(edge_values, pair_values)


@operation
def times_rows(values: Float[Tensor, "P F"], factors: Float[Tensor, "P"]) -> Float[Tensor, "P F"]:
    """Each row times a number of its own."""
    return values * factors[:, None]


@operation
def reverse_times_pairs(
    edge_values: Float[Tensor, "E C"], pair_values: Float[Tensor, "P C"]
) -> Float[Tensor, "E C"]:
    """For each edge the product of a quantity of its reverse with one of unordered pairs."""
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


def _convolutions(
    edges: Neighborhoods, one: Tensor, filters: Tensor, other: Tensor, other_filters: Tensor
) -> Tensor:
    from gnnpot.kernels import loops

    out, tables = torch.empty_like(one), (edges.order, edges.start, edges.edge_index)
    over_items(loops.convolve_two, edges.num_atoms, *tables, one, filters, other, other_filters, out)
    return out


_convolve = bilinear(_convolution, _convolve_first, _convolutions)


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


def _two_edge_sums(
    edges: Neighborhoods, one: Tensor, pairs: Tensor, other: Tensor, other_pairs: Tensor
) -> Tensor:
    from gnnpot.kernels import loops

    out = one.new_empty(edges.num_atoms, one.shape[1])
    over_items(
        loops.sum_edges_two, edges.num_atoms, edges.order, edges.start, one, pairs, other, other_pairs, out
    )
    return out


_sum_edges = bilinear(_edge_sums, _edge_sums_first, _two_edge_sums)


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


_times_pairs, _times_rows, _reverse = (of_loops(name) for name in ("times_pairs", "times_rows", "reverse"))


@convolve.compiled
def _(features: Tensor, filters: Tensor, edges: Neighborhoods) -> Tensor:
    return _convolve(edges, features, filters)


@sum_edges.compiled
def _(edge_values: Tensor, pair_values: Tensor, edges: Neighborhoods) -> Tensor:
    return _sum_edges(edges, edge_values, pair_values)


@sum_opposite.compiled
def _(values: Tensor, edges: Neighborhoods) -> Tensor:
    return _sum_opposite(edges, values)


times_pairs.compiled(partial(_times_pairs, None))
times_rows.compiled(partial(_times_rows, None))
reverse_times_pairs.compiled(partial(_reverse, None))
