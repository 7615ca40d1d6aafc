"""Spherical harmonics as polynomials in the components of a direction."""

from __future__ import annotations

import math
from functools import cache

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from gnnpot.kernels.dispatch import operation, over_items, twice_differentiable


@operation
def solid_harmonics(directions: Float[Tensor, "P 3"], num_orders: int) -> Float[Tensor, "P M"]:
    r"""Real spherical harmonics of unit vectors, l = 0 … L − 1, m = −l … l, in Racah's normalization.

    .. math:: \sum_m C_{lm}(u)\, C_{lm}(v) = P_l(u \cdot v)

    Polynomials in the components, so every derivative is finite in every direction.

    Source: recursion of the solid harmonics, Helgaker, Jørgensen, Olsen, *Molecular
    Electronic-Structure Theory* (Wiley, 2000), sec. 6.4.2, on the unit sphere.

    Args:
        directions: Unit vectors.
        num_orders: L.
    """
    up, down = (factors.to(directions.device) for factors in _factors(num_orders, directions.dtype))
    x, y, z = directions[:, :, None].unbind(1)
    orders = [torch.ones_like(z)]
    below = torch.zeros_like(z[:, :0])
    for order in range(num_orders - 1):
        current = orders[-1]
        inner = slice((order + 1) ** 2 + 1, (order + 2) ** 2 - 1)
        middle = up[inner] * z * current - down[inner] * F.pad(below, (1, 1))[:, : 2 * order + 1]
        cosine, sine = current[:, -1:], current[:, :1] if order else torch.zeros_like(z)
        edge = up[(order + 1) ** 2]
        first, last = edge * (y * cosine + x * sine), edge * (x * cosine - y * sine)
        orders.append(torch.cat([first, middle, last], dim=1))
        below = current
    return torch.cat(orders, dim=1)


@cache
def _factors(num_orders: int, dtype: torch.dtype) -> tuple[Float[Tensor, "M"], Float[Tensor, "M"]]:
    """Of each harmonic in the recursion: those of the order below, and of the one below that."""
    up, down = [1.0], [0.0]
    for order in range(num_orders - 1):
        edge = math.sqrt((2 * order + 1) / (2 * order + 2)) * (math.sqrt(2.0) if order == 0 else 1.0)
        roots = [math.sqrt((order + 1) ** 2 - m**2) for m in range(-order, order + 1)]
        up += [edge, *((2 * order + 1) / root for root in roots), edge]
        lower = [math.sqrt(order**2 - m**2) / roots[order + m] for m in range(-order, order + 1)]
        down += [0.0, *lower, 0.0]
    return torch.tensor(up, dtype=dtype), torch.tensor(down, dtype=dtype)


Factors = tuple[Tensor, Tensor]


def _harmonics_values(factors: Factors, directions: Tensor) -> Tensor:
    from gnnpot.kernels import loops

    out = directions.new_empty(len(directions), len(factors[0]))
    over_items(loops.harmonics, len(directions), *factors, directions, out)
    return out


def _harmonics_first(factors: Factors, gradient: Tensor, directions: Tensor) -> tuple[Tensor, ...]:
    from gnnpot.kernels import loops

    out = torch.empty_like(directions)
    over_items(loops.harmonics_first, len(directions), *factors, gradient, directions, out)
    return (out,)


def _harmonics_second(
    factors: Factors, upstream: tuple[Tensor, ...], gradient: Tensor, directions: Tensor
) -> tuple[Tensor, ...]:
    from gnnpot.kernels import loops

    out = torch.empty_like(gradient), torch.empty_like(directions)
    inputs = (*factors, *upstream, gradient, directions)
    over_items(loops.harmonics_second, len(directions), *inputs, *out)
    return out


_harmonics = twice_differentiable(_harmonics_values, _harmonics_first, _harmonics_second)


@solid_harmonics.compiled
def _(directions: Tensor, num_orders: int) -> Tensor:
    return _harmonics(_factors(num_orders, directions.dtype), directions)
