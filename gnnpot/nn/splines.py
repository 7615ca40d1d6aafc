"""Functions of a distance on a grid, with cubic splines between."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from gnnpot.geometry import Neighborhoods
from gnnpot.nn.contractions import convolve
from gnnpot.nn.dense import linear
from gnnpot.nn.fused import fusible, over_items, twice_differentiable
from gnnpot.nn.jets import follow, jet
from gnnpot.nn.radial import Envelope


class SplineWeights(NamedTuple):
    """Where each pair lies in a table, and how much each of the four rows from there on counts."""

    rows: Int[Tensor, "P"]
    weights: Float[Tensor, "P 4"]


_TAIL = 24  # values beyond each end that a coefficient at the end still feels: z²⁴ is 2e-14


class RadialGrid(nn.Module):
    r"""Cubic B-splines on evenly spaced distances from zero to the cutoff: C² between them.

    The spline through values :math:`f_k` has the coefficients
    :math:`c_k = \sqrt 3 \sum_n z^{|n|} f_{k+n}, z = \sqrt 3 - 2`.

    Source: Unser, Aldroubi, Eden, IEEE Trans. Signal Process. 41, 821 (1993).

    Args:
        num_knots: Number of intervals between zero and the cutoff.
        cutoff: Longest distance (Å).
    """

    distances: Float[Tensor, "K"]

    def __init__(self, num_knots: int, cutoff: float) -> None:
        super().__init__()
        self.num_knots = num_knots
        self.spacing = cutoff / num_knots
        places = torch.arange(-1 - _TAIL, num_knots + 2 + _TAIL, dtype=torch.float64)
        self.register_buffer("distances", self.spacing * places, persistent=False)
        self._matrix: Tensor | None = None

    def coefficients(self, values: Float[Tensor, "K F"]) -> Float[Tensor, "C F"]:
        """Table of the spline through ``values`` at :attr:`distances`, some of which lie beyond its ends."""
        return linear(self._prefilter(values), values.mT)

    def _prefilter(self, like: Tensor) -> Float[Tensor, "C K"]:
        """The matrix of the sums over n, made once for each type and device."""
        if self._matrix is None or self._matrix.dtype != like.dtype or self._matrix.device != like.device:
            places = torch.arange(len(self.distances), device=like.device)
            steps = (places - places[_TAIL:-_TAIL, None]).abs()
            factors = 3**0.5 * (3**0.5 - 2) ** steps.double()
            self._matrix = torch.where(steps <= _TAIL, factors, 0.0).to(like.dtype)
        return self._matrix

    def weights(self, lengths: Float[Tensor, "P"], envelope: Envelope) -> SplineWeights:
        """The four B-splines at each length, times the envelope."""
        if fusible(lengths):
            from gnnpot.nn import loops

            rows = torch.empty_like(lengths, dtype=torch.int64)
            settings = (self.spacing, self.num_knots, envelope.jet(lengths), rows)
            splines = jet(loops.spline_jets, lengths, *settings, shape=(4,))
            return SplineWeights(rows, follow(splines, lengths))
        place = lengths / self.spacing
        rows = place.detach().floor().to(torch.int64).clamp_(0, self.num_knots - 1)
        t = place - rows
        s = 1 - t
        parts = [s**3, 4 - 3 * t**2 * (1 + s), 4 - 3 * s**2 * (1 + t), t**3]
        return SplineWeights(rows, torch.stack(parts, dim=1) * (envelope(lengths) / 6)[:, None])


def convolve_table(
    features: Float[Tensor, "N F"], table: Float[Tensor, "K F"], spline: SplineWeights, edges: Neighborhoods
) -> Float[Tensor, "N F"]:
    r"""Each atom's sum :math:`y_i = \sum_j x_j \circ \sum_k b_{ij,k} T_{n_{ij} + k}` over its neighbors.

    Args:
        features: x.
        table: T.
        spline: n and b of each pair.
        edges: Of the same batch.
    """
    if fusible(features) and table.requires_grad:
        return _convolve_table((edges.edge_index, spline.rows), features, spline.weights, table)
    if fusible(features):
        return _convolve_frozen((edges.edge_index, spline.rows, table), features, spline.weights)
    rows = spline.rows[:, None] + torch.arange(4, device=table.device)
    return convolve(features, (table[rows] * spline.weights[:, :, None]).sum(1), edges)


Topology = tuple[Tensor, Tensor]


def _values(topology: Topology, features: Tensor, weights: Tensor, table: Tensor) -> Tensor:
    from gnnpot.nn import loops

    out = torch.empty_like(features)
    over_items(loops.convolve_table, out.shape[1], *topology, features, weights, table, out)
    return out


def _first(
    topology: Topology, gradient: Tensor, features: Tensor, weights: Tensor, table: Tensor
) -> tuple[Tensor, ...]:
    from gnnpot.nn import loops

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
    from gnnpot.nn import loops

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
    from gnnpot.nn import loops

    edge_index, rows, table = frozen
    out = one.new_empty(len(rows), 4)
    over_items(loops.convolve_table_weights, len(out), edge_index, rows, one, other, table, out)
    return out


def _frozen_first(frozen: Frozen, gradient: Tensor, features: Tensor, weights: Tensor) -> tuple[Tensor, ...]:
    return _frozen_values(frozen, gradient, weights), _frozen_products(frozen, gradient, features)


def _frozen_second(
    frozen: Frozen, upstream: tuple[Tensor, ...], gradient: Tensor, features: Tensor, weights: Tensor
) -> tuple[Tensor, ...]:
    of_features, of_weights = upstream
    return (
        _frozen_values(frozen, of_features, weights).add_(_frozen_values(frozen, features, of_weights)),
        _frozen_values(frozen, gradient, of_weights),
        _frozen_products(frozen, gradient, of_features),
    )


_convolve_frozen = twice_differentiable(_frozen_values, _frozen_first, _frozen_second)
