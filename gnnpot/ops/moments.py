"""What comes into atoms by direction, and what edges read of it.

Linear and differentiated as the sums of :mod:`~gnnpot.ops.neighbor_sums`.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from gnnpot.graph.geometry import Neighborhoods, reverse_edges
from gnnpot.kernels.dispatch import bilinear, operation, over_items, twice_differentiable
from gnnpot.ops.neighbor_sums import plain_times


@operation
def moments(
    messages: Float[Tensor, "E C"],
    radial: Float[Tensor, "L P C"],
    harmonics: Float[Tensor, "P M"],
    edges: Neighborhoods,
) -> Float[Tensor, "N M C"]:
    r"""What comes into each atom, by direction.

    .. math:: A_{i,lm} = \sum_j x_{ji} \circ w_l(r_{ij})\, C_{lm}(\hat r_{ij})

    Args:
        messages: x, the features of each edge.
        radial: Radial factors w_l of each unordered pair.
        harmonics: Spherical harmonics C of the even edges.
        edges: Neighborhoods of the same batch.
    """
    orders = [_table(plain_times(messages, part), edges) for part in radial]
    parts = _table(_turned(harmonics), edges).split([2 * order + 1 for order in range(len(radial))], dim=2)
    return torch.cat([part.mT @ values for part, values in zip(parts, orders, strict=True)], dim=1)


@operation
def read_moments(
    moments: Float[Tensor, "N M C"], harmonics: Float[Tensor, "P M"], edges: Neighborhoods
) -> Float[Tensor, "E C"]:
    r"""What each edge j→i hears of the moments of j in its own direction, :math:`\sum_{lm} C_{lm} A_{j,lm}`.

    Args:
        moments: Moments A of each atom.
        harmonics: Spherical harmonics C of the even edges.
        edges: Neighborhoods of the same batch.
    """
    slots, _ = edges.slots()
    outward = _table(reverse_edges(_turned(harmonics)), edges)
    return (outward @ moments).flatten(0, 1).index_select(0, reverse_edges(slots))


def parity(num_harmonics: int, like: Tensor) -> Float[Tensor, "M"]:
    """Signs (−1)^l of all harmonics under inversion."""
    signs = [(-1.0) ** math.isqrt(m) for m in range(num_harmonics)]
    return torch.tensor(signs, dtype=like.dtype, device=like.device)


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
    from gnnpot.kernels import loops

    missing = -values.shape[-1] % loops.WIDTH
    return F.pad(values, (0, missing)) if missing else values


def _narrowed(values: Tensor, like: Tensor) -> Tensor:
    """Without the channels that ``like`` has not."""
    channels = like.shape[-1]
    return values if values.shape[-1] == channels else values[..., :channels]


def _moments_values(edges: Neighborhoods, *inputs: Tensor) -> Tensor:
    from gnnpot.kernels import loops

    messages, _, harmonics = inputs
    out = messages.new_empty(edges.num_atoms, harmonics.shape[1], messages.shape[1])
    over_items(loops.moments, edges.num_atoms, edges.order, edges.start, *inputs, out)
    return out


def _moments_first(edges: Neighborhoods, gradient: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
    from gnnpot.kernels import loops

    out = tuple(torch.empty_like(part) for part in inputs)
    over_items(loops.moments_first, edges.num_pairs, edges.edge_index[1], gradient, *inputs, *out)
    return out


def _moments_second(
    edges: Neighborhoods, upstream: tuple[Tensor, ...], gradient: Tensor, *inputs: Tensor
) -> tuple[Tensor, ...]:
    from gnnpot.kernels import loops

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
    from gnnpot.kernels import loops

    out = moments.new_empty(len(edges.order), moments.shape[2])
    over_items(loops.read, edges.num_atoms, edges.order, edges.start, moments, harmonics, out)
    return out


def _gathered(edges: Neighborhoods, gradient: Tensor, harmonics: Tensor) -> Tensor:
    from gnnpot.kernels import loops

    out = gradient.new_empty(edges.num_atoms, harmonics.shape[1], gradient.shape[1])
    over_items(loops.gather, edges.num_atoms, edges.order, edges.start, gradient, harmonics, out)
    return out


def _compared(edges: Neighborhoods, gradient: Tensor, moments: Tensor) -> Tensor:
    from gnnpot.kernels import loops

    out = gradient.new_empty(edges.num_pairs, moments.shape[1])
    over_items(loops.compare, edges.num_pairs, edges.edge_index, gradient, moments, out)
    return out


def _read_first(
    edges: Neighborhoods, gradient: Tensor, moments: Tensor, harmonics: Tensor
) -> tuple[Tensor, ...]:
    return _gathered(edges, gradient, harmonics), _compared(edges, gradient, moments)


def _read_both(
    edges: Neighborhoods, one: Tensor, harmonics: Tensor, other: Tensor, other_harmonics: Tensor
) -> Tensor:
    from gnnpot.kernels import loops

    out = one.new_empty(len(edges.order), one.shape[2])
    tables = edges.order, edges.start
    over_items(loops.read_two, edges.num_atoms, *tables, other, harmonics, one, other_harmonics, out)
    return out


_read = bilinear(_read_values, _read_first, _read_both)


@moments.compiled
def _(messages: Tensor, radial: Tensor, harmonics: Tensor, edges: Neighborhoods) -> Tensor:
    return _narrowed(_moments(edges, _widened(messages), _widened(radial), harmonics), messages)


@read_moments.compiled
def _(moments: Tensor, harmonics: Tensor, edges: Neighborhoods) -> Tensor:
    return _narrowed(_read(edges, _widened(moments), harmonics), moments)
