"""Sums over neighbors with filters from a table, which cubic splines interpolate."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gnnpot.graph.geometry import Neighborhoods
from gnnpot.kernels.dispatch import bilinear, operation, over_items, twice_differentiable
from gnnpot.ops.neighbor_sums import convolve
from gnnpot.ops.radial_derivatives import as_function, radial_derivatives
from gnnpot.ops.radial_functions import RadialEnvelope


class SplineWeights(NamedTuple):
    """Where each pair lies in a table, and how much each of the four rows from there on counts."""

    rows: Int[Tensor, "P"]
    weights: Float[Tensor, "P 4"]


@operation
def spline_weights(
    lengths: Float[Tensor, "P"], spacing: float, num_knots: int, envelope: RadialEnvelope
) -> SplineWeights:
    """The four cubic B-splines of an even grid at each length, times the envelope.

    Args:
        lengths: Lengths of the pairs (Å).
        spacing: Distance of the knots (Å).
        num_knots: Number of intervals of the grid.
        envelope: The envelope.
    """
    place = lengths / spacing
    rows = place.detach().floor().to(torch.int64).clamp_(0, num_knots - 1)
    t = place - rows
    s = 1 - t
    parts = [s**3, 4 - 3 * t**2 * (1 + s), 4 - 3 * s**2 * (1 + t), t**3]
    return SplineWeights(rows, torch.stack(parts, dim=1) * (envelope(lengths) / 6)[:, None])


@spline_weights.compiled
def _(lengths: Tensor, spacing: float, num_knots: int, envelope: RadialEnvelope) -> SplineWeights:
    from gnnpot.kernels import loops

    rows = torch.empty_like(lengths, dtype=torch.int64)
    settings = (spacing, num_knots, envelope.derivatives(lengths), rows)
    splines = radial_derivatives(loops.spline_derivatives, lengths, *settings, shape=(4,))
    return SplineWeights(rows, as_function(splines, lengths))


@operation
def convolve_table(
    features: Float[Tensor, "N F"], table: Float[Tensor, "K F"], spline: SplineWeights, edges: Neighborhoods
) -> Float[Tensor, "N F"]:
    r"""Each atom's sum :math:`y_i = \sum_j x_j \circ \sum_k b_{ij,k} T_{n_{ij} + k}` over its neighbors.

    Args:
        features: Features x of each atom.
        table: Table T of the filters.
        spline: Row n and weights b of each pair.
        edges: Neighborhoods of the same batch.
    """
    rows = spline.rows[:, None] + torch.arange(4, device=table.device)
    return convolve(features, (table[rows] * spline.weights[:, :, None]).sum(1), edges)


Topology = tuple[Tensor, Tensor]


def _values(topology: Topology, features: Tensor, weights: Tensor, table: Tensor) -> Tensor:
    from gnnpot.kernels import loops

    out = torch.empty_like(features)
    over_items(loops.convolve_table, out.shape[1], *topology, features, weights, table, out)
    return out


def _first(
    topology: Topology, gradient: Tensor, features: Tensor, weights: Tensor, table: Tensor
) -> tuple[Tensor, ...]:
    from gnnpot.kernels import loops

    out = tuple(torch.empty_like(part) for part in (features, weights, table))
    of_features, of_weights, of_table = out
    channels = features.shape[1]
    inputs = (gradient, features, weights, table)
    over_items(loops.convolve_table_first, channels, *topology, *inputs, of_features, of_table)
    over_items(loops.convolve_table_weights, len(weights), *topology, gradient, features, table, of_weights)
    return out


def _second(
    topology: Topology, upstream: tuple[Tensor, ...], gradient: Tensor, *inputs: Tensor
) -> tuple[Tensor, ...]:
    from gnnpot.kernels import loops

    features, _, table = inputs
    up_features, _, up_table = upstream
    out = tuple(torch.empty_like(part) for part in (gradient, *inputs))
    of_gradient, of_features, of_weights, of_table = out
    sums = (of_gradient, of_features, of_table)
    over_items(loops.convolve_table_second, features.shape[1], *topology, *upstream, gradient, *inputs, *sums)
    products = (up_features, up_table, gradient, features, table, of_weights)
    over_items(loops.convolve_table_second_weights, len(of_weights), *topology, *products)
    return out


_convolve_table = twice_differentiable(_values, _first, _second)


Frozen = tuple[Tensor, Tensor, Tensor]  # with the table


def _frozen_values(frozen: Frozen, features: Tensor, weights: Tensor) -> Tensor:
    edge_index, rows, table = frozen
    return _values((edge_index, rows), features, weights, table)


def _frozen_products(frozen: Frozen, one: Tensor, other: Tensor) -> Tensor:
    from gnnpot.kernels import loops

    edge_index, rows, table = frozen
    out = one.new_empty(len(rows), 4)
    over_items(loops.convolve_table_weights, len(out), edge_index, rows, one, other, table, out)
    return out


def _frozen_first(frozen: Frozen, gradient: Tensor, features: Tensor, weights: Tensor) -> tuple[Tensor, ...]:
    return _frozen_values(frozen, gradient, weights), _frozen_products(frozen, gradient, features)


def _frozen_both(
    frozen: Frozen, one: Tensor, weights: Tensor, other: Tensor, other_weights: Tensor
) -> Tensor:
    return _frozen_values(frozen, one, weights).add_(_frozen_values(frozen, other, other_weights))


_convolve_frozen = bilinear(_frozen_values, _frozen_first, _frozen_both)


@convolve_table.compiled
def _(features: Tensor, table: Tensor, spline: SplineWeights, edges: Neighborhoods) -> Tensor:
    if table.requires_grad:
        return _convolve_table((edges.edge_index, spline.rows), features, spline.weights, table)
    return _convolve_frozen((edges.edge_index, spline.rows, table), features, spline.weights)
