"""Sums over triplets that need no list of triplets."""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from gnnpot.graph.geometry import Neighborhoods, pair_lengths, pair_vectors
from gnnpot.graph.graph import AtomicGraph
from gnnpot.ops.harmonics import solid_harmonics
from gnnpot.ops.moments import moments, read_moments
from gnnpot.ops.neighbor_sums import reverse_times_pairs


class TripletGeometry(NamedTuple):
    """What a sum over triplets needs to know of the directions of a batch."""

    harmonics: Float[Tensor, "P M"]  # of the even edges
    edges: Neighborhoods

    @classmethod
    def of(cls, graph: AtomicGraph, num_orders: int) -> TripletGeometry:
        """The triplet geometry of ``graph`` for Legendre orders below ``num_orders``."""
        directions = pair_vectors(graph) / pair_lengths(graph)[:, None]
        return cls(solid_harmonics(directions, num_orders), Neighborhoods.of(graph))


class TripletFactors(NamedTuple):
    """Radial factors w_l of the Legendre polynomials in a sum over triplets."""

    orders: Float[Tensor, "L P C"]  # w_l of each unordered pair
    backward: Float[Tensor, "P C"]  # −Σ (−1)^l w_l: takes away an edge's own reverse


def sum_over_triplets(
    messages: Float[Tensor, "E C"], factors: TripletFactors, geometry: TripletGeometry
) -> Float[Tensor, "E C"]:
    r"""For each edge j→i the sum over the other edges k→j into its source.

    .. math:: y_{ji} = \sum_{k \ne i} x_{kj} \sum_l w_l(r_{kj})\, P_l(\cos \theta), \quad
        P_l(\hat r_{kj} \cdot \hat r_{ji}) = \sum_m C_{lm}(\hat r_{kj})\, C_{lm}(\hat r_{ji})

    By the addition theorem each atom j collects moments :math:`\sum_k x\, w_l\, C_{lm}` once, and each
    edge reads them in its own direction; the term k = i (the same image) is then taken away.  Cost and
    memory grow with the edges, not with the triplets.

    Args:
        messages: Features x of each edge k→j.
        factors: Radial factors w_l of each unordered pair.
        geometry: Directions of the same batch.
    """
    harmonics, edges = geometry
    heard = read_moments(moments(messages, factors.orders, harmonics, edges), harmonics, edges)
    return heard + reverse_times_pairs(messages, factors.backward)
