"""Atomic environment vectors: radial and angular symmetry functions of the ANI models."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from gnnpot.data.graph import AtomicGraph
from gnnpot.geometry import pair_lengths, pair_vectors
from gnnpot.nn.contractions import sum_products
from gnnpot.nn.radial import EnvelopeName, envelope

_ANGLE_FACTOR = 0.95  # of the cosine, in ANI: keeps derivatives finite for collinear atoms


class RadialFunctions(nn.Module):
    r"""Sums of Gaussian shells, :math:`\tfrac14 \sum_j e^{-\eta (r_{ij} - R_s)^2} f_c(r_{ij})`.

    One set for each element of the neighbor j.

    Source: Smith, Isayev, Roitberg, Chem. Sci. 8, 3192 (2017), eq. 3, with TorchANI's factor of a quarter.

    Args:
        cutoff: Of f_c (Å).
        eta: η (1/Å²).
        shifts: R_s (Å).
        envelope_name: f_c.
    """

    shifts: Float[Tensor, "S"]

    def __init__(
        self, cutoff: float, *, eta: float, shifts: Sequence[float], envelope_name: EnvelopeName
    ) -> None:
        super().__init__()
        self.eta = eta
        self.envelope = envelope(envelope_name, cutoff)
        self.register_buffer("shifts", torch.tensor(shifts, dtype=torch.float64), persistent=False)

    def forward(self, graph: AtomicGraph, rows: Int[Tensor, "N"], num_elements: int) -> Float[Tensor, "N X"]:
        """Of each atom: num_elements × len(shifts) numbers.

        Args:
            graph: Structures.
            rows: Number of each atom's element.
            num_elements: How many elements there are.
        """
        lengths = pair_lengths(graph)
        distances = lengths[:, None] - self.shifts.to(lengths.dtype)
        terms = 0.25 * torch.exp(-self.eta * distances.square()) * self.envelope(lengths)[:, None]
        source, center = graph.edge_index[:, 0::2]
        sums = terms.new_zeros(len(rows) * num_elements, terms.shape[1])
        sums = sums.index_add(0, center * num_elements + rows[source], terms)
        sums = sums.index_add(0, source * num_elements + rows[center], terms)
        return sums.view(len(rows), num_elements * terms.shape[1])


class AngularFunctions(nn.Module):
    r"""Sums over pairs of neighbors j, k of an atom i.

    .. math:: 2 \sum_{j<k} \left(\tfrac{1 + \cos(\theta - \theta_s)}{2}\right)^{\zeta}
        e^{-\eta (\frac{r_{ij} + r_{ik}}{2} - R_s)^2} f_c(r_{ij}) f_c(r_{ik}),
        \quad \cos\theta = 0.95\, \hat r_{ij} \cdot \hat r_{ik}

    One set for each unordered pair of elements.  cos(θ − θ_s) is expanded into sine and cosine, so no
    arc cosine is taken and collinear neighbors have finite derivatives of every order.

    Source: Smith, Isayev, Roitberg, Chem. Sci. 8, 3192 (2017), eq. 4.

    Args:
        cutoff: Of f_c (Å).
        eta: η (1/Å²).
        zeta: ζ.
        shifts: R_s (Å).
        angle_shifts: θ_s.
        envelope_name: f_c.
    """

    shifts: Float[Tensor, "R"]
    angle_cosines: Float[Tensor, "A"]
    angle_sines: Float[Tensor, "A"]

    def __init__(
        self,
        cutoff: float,
        *,
        eta: float,
        zeta: float,
        shifts: Sequence[float],
        angle_shifts: Sequence[float],
        envelope_name: EnvelopeName,
    ) -> None:
        super().__init__()
        self.cutoff, self.eta, self.zeta = cutoff, eta, zeta
        self.envelope = envelope(envelope_name, cutoff)
        angles = torch.tensor(angle_shifts, dtype=torch.float64)
        self.register_buffer("shifts", torch.tensor(shifts, dtype=torch.float64), persistent=False)
        self.register_buffer("angle_cosines", torch.cos(angles), persistent=False)
        self.register_buffer("angle_sines", torch.sin(angles), persistent=False)

    def forward(self, graph: AtomicGraph, rows: Int[Tensor, "N"], num_elements: int) -> Float[Tensor, "N Y"]:
        """Of each atom: element pairs × (len(shifts) · len(angle_shifts)) numbers."""
        lengths = pair_lengths(graph)
        first, second, start = self._triplets(graph, lengths.detach(), rows, num_elements)
        near = (lengths.detach() < self.cutoff).nonzero().squeeze(-1)
        place = torch.full_like(lengths, -1, dtype=torch.int64).index_copy(
            0, near, torch.arange(len(near), device=near.device)
        )
        half, weight, direction = self._of_pairs(graph, lengths, near)
        one, other = place[first // 2], place[second // 2]

        cosine = (direction.index_select(0, one) * direction.index_select(0, other)).sum(-1)
        cosine = cosine * ((1 - 2 * (first % 2)) * (1 - 2 * (second % 2))).to(cosine.dtype)
        weights = weight.index_select(0, one) * weight.index_select(0, other)
        angular = self._angular(_ANGLE_FACTOR * cosine) * (2 * weights)
        mean = half.index_select(0, one) + half.index_select(0, other)
        radial = torch.exp(-self.eta * (mean - self.shifts.to(mean.dtype)[:, None]).square())
        return sum_products(radial, angular, start).view(len(rows), -1)

    def _triplets(
        self, graph: AtomicGraph, lengths: Float[Tensor, "P"], rows: Int[Tensor, "N"], num_elements: int
    ) -> tuple[Int[Tensor, "T"], Int[Tensor, "T"], Int[Tensor, "bounds"]]:
        """Pairs of edges into the same atom, and where those of each atom and pair of elements begin."""
        first, second = neighbor_edge_pairs(graph, lengths, self.cutoff)
        sums, num_pairs = graph.edge_index[1].index_select(0, first), 1
        if num_elements > 1:
            source_rows = rows.index_select(0, graph.edge_index[0])
            pairs = _pair_rows(
                source_rows.index_select(0, first), source_rows.index_select(0, second), num_elements
            )
            num_pairs = num_elements * (num_elements + 1) // 2
            sums, order = (sums * num_pairs + pairs).sort(stable=True)
            first, second = first.index_select(0, order), second.index_select(0, order)
        sizes = torch.bincount(sums, minlength=len(rows) * num_pairs)
        return first, second, F.pad(torch.cumsum(sizes, 0), (1, 0))

    def _of_pairs(
        self, graph: AtomicGraph, lengths: Float[Tensor, "P"], near: Int[Tensor, "Q"]
    ) -> tuple[Float[Tensor, "Q"], Float[Tensor, "Q"], Float[Tensor, "Q 3"]]:
        """Half the length, the envelope and the direction of the pairs within the cutoff."""
        short = lengths.index_select(0, near)
        vectors = pair_vectors(graph).index_select(0, near)
        return 0.5 * short, self.envelope(short), vectors / short[:, None]

    def _angular(self, cosine: Float[Tensor, "T"]) -> Float[Tensor, "A T"]:
        sine = torch.sqrt(1 - cosine.square())
        shifted = cosine * self.angle_cosines.to(cosine.dtype)[:, None]
        shifted = shifted + sine * self.angle_sines.to(cosine.dtype)[:, None]
        return (0.5 * (1 + shifted).clamp(min=0.0)) ** self.zeta


def neighbor_edge_pairs(
    graph: AtomicGraph, lengths: Float[Tensor, "P"], cutoff: float
) -> tuple[Int[Tensor, "T"], Int[Tensor, "T"]]:
    """All unordered pairs of edges shorter than ``cutoff`` into the same center."""
    near = (lengths < cutoff).repeat_interleave(2).nonzero().squeeze(-1)
    center, order = graph.edge_index[1].index_select(0, near).sort(stable=True)
    near = near.index_select(0, order)
    degree = torch.bincount(center, minlength=len(graph.atomic_numbers))
    end = torch.cumsum(degree, 0).index_select(0, center)
    place = torch.arange(len(near), device=near.device)
    following = end - place - 1  # edges of the same center that come later
    first = place.repeat_interleave(following)
    start = torch.cumsum(following, 0) - following
    second = first + 1 + torch.arange(len(first), device=near.device) - start.index_select(0, first)
    return near.index_select(0, first), near.index_select(0, second)


def _pair_rows(first: Int[Tensor, "T"], second: Int[Tensor, "T"], num_elements: int) -> Int[Tensor, "T"]:
    """Number of an unordered pair of elements, in the order (0,0), (0,1), …, (1,1), …."""
    low, high = torch.minimum(first, second), torch.maximum(first, second)
    return low * num_elements - low * (low - 1) // 2 + high - low


def evenly_spaced(start: float, step: float, count: int) -> tuple[float, ...]:
    """``count`` numbers from ``start`` on, as ANI's parameter files list them."""
    return tuple(round(start + step * index, 10) for index in range(count))


def centered_angles(count: int) -> tuple[float, ...]:
    """Angles in the middles of ``count`` equal parts of the half circle."""
    return tuple(math.pi * (2 * index + 1) / (2 * count) for index in range(count))
