"""Functions of directions, and sums over triplets that need no list of triplets."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from gnnpot.data.graph import AtomicGraph
from gnnpot.geometry import Neighborhoods, pair_lengths, pair_vectors, reverse_edges
from gnnpot.nn.contractions import moments, read_moments, times_pairs


def solid_harmonics(directions: Float[Tensor, "P 3"], num_orders: int) -> list[Float[Tensor, "P M"]]:
    r"""Real spherical harmonics of unit vectors, m = −l … l, in Racah's normalization.

    .. math:: \sum_m C_{lm}(u)\, C_{lm}(v) = P_l(u \cdot v)

    Polynomials in the components, so every derivative is finite in every direction.

    Source: recursion of the solid harmonics, Helgaker, Jørgensen, Olsen, *Molecular
    Electronic-Structure Theory* (Wiley, 2000), sec. 6.4.2, on the unit sphere.

    Args:
        directions: Unit vectors.
        num_orders: L, for l = 0 … L − 1.
    """
    x, y, z = directions.unbind(-1)
    orders = [torch.ones_like(z)[:, None]]
    previous = torch.zeros_like(z)[:, None]
    for order in range(num_orders - 1):
        current = orders[-1]
        m = torch.arange(-order, order + 1, dtype=z.dtype, device=z.device)
        lower = torch.sqrt(order**2 - m**2)[1:-1] * previous if order else previous
        lower = torch.nn.functional.pad(lower, (1, 1)) if order else torch.zeros_like(current)
        middle = ((2 * order + 1) * z[:, None] * current - lower) / torch.sqrt((order + 1) ** 2 - m**2)
        edge = math.sqrt((2 * order + 1) / (2 * order + 2)) * (math.sqrt(2.0) if order == 0 else 1.0)
        cosine, sine = current[:, -1], current[:, 0]
        if order == 0:
            first, last = edge * y, edge * x
        else:
            first = edge * (y * cosine + x * sine)
            last = edge * (x * cosine - y * sine)
        orders.append(torch.cat([first[:, None], middle, last[:, None]], dim=1))
        previous = current
    return orders


class TripletGeometry(NamedTuple):
    """What a sum over triplets needs to know of the directions of a batch."""

    harmonics: Float[Tensor, "P M"]  # of the even edges
    edges: Neighborhoods

    @classmethod
    def of(cls, graph: AtomicGraph, num_orders: int) -> TripletGeometry:
        """The triplet geometry of ``graph`` for Legendre orders below ``num_orders``."""
        directions = pair_vectors(graph) / pair_lengths(graph)[:, None]
        return cls(torch.cat(solid_harmonics(directions, num_orders), dim=1), Neighborhoods.of(graph))


def sum_over_triplets(
    messages: Float[Tensor, "E C"], radial: Float[Tensor, "P L C"], geometry: TripletGeometry
) -> Float[Tensor, "E C"]:
    r"""For each edge j→i the sum over the other edges k→j into its source.

    .. math:: y_{ji} = \sum_{k \ne i} x_{kj} \sum_l w_l(r_{kj})\, P_l(\cos \theta), \quad
        P_l(\hat r_{kj} \cdot \hat r_{ji}) = \sum_m C_{lm}(\hat r_{kj})\, C_{lm}(\hat r_{ji})

    By the addition theorem each atom j collects moments :math:`\sum_k x\, w_l\, C_{lm}` once, and each
    edge reads them in its own direction; the term k = i (the same image) is then taken away.  Cost and
    memory grow with the edges, not with the triplets.

    Args:
        messages: x of each edge k→j.
        radial: w_l of each unordered pair.
        geometry: Of the same batch.
    """
    harmonics, edges = geometry
    heard = read_moments(moments(messages, radial, harmonics, edges), harmonics, edges)
    signs = torch.tensor([(-1.0) ** order for order in range(radial.shape[1])], dtype=radial.dtype)
    backward = torch.einsum("plc,l->pc", radial, signs.to(radial.device))
    return heard - times_pairs(reverse_edges(messages), backward)
