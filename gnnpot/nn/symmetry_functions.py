"""Atomic environment vectors: radial and angular symmetry functions of the ANI models."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from gnnpot.config.choices import EnvelopeName
from gnnpot.graph.geometry import Neighborhoods, both_directions, pair_lengths, pair_vectors
from gnnpot.graph.graph import AtomicGraph
from gnnpot.graph.triplets import Triplets
from gnnpot.kernels.dispatch import fusible
from gnnpot.nn.envelopes import envelope
from gnnpot.ops.symmetry_sums import (
    ANGLE_FACTOR,
    SHELL_FACTOR,
    AngleParameters,
    ShellParameters,
    shell_sums,
    triplet_sums,
)


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

    def width(self, num_elements: int) -> int:
        """How many numbers an atom has."""
        return num_elements * len(self.shifts)

    def forward(self, graph: AtomicGraph, rows: Int[Tensor, "N"], num_elements: int) -> Float[Tensor, "N X"]:
        """Sums of each atom, ``width(num_elements)`` numbers.

        Args:
            graph: Structures.
            rows: Number of each atom's element.
            num_elements: How many elements there are.
        """
        vectors, edges = pair_vectors(graph), Neighborhoods.of(graph)
        if fusible(vectors):
            parameters = ShellParameters(self.eta, self.shifts, self.envelope.derivatives)
            return shell_sums(parameters, vectors, edges, rows, num_elements).flatten(1)
        lengths = pair_lengths(graph)
        distances = lengths[:, None] - self.shifts.to(lengths.dtype)
        terms = SHELL_FACTOR * torch.exp(-self.eta * distances.square()) * self.envelope(lengths)[:, None]
        source, center = graph.edge_index
        places = center * num_elements + rows.index_select(0, source)
        sums = terms.new_zeros(len(rows) * num_elements, terms.shape[1])
        return sums.index_add(0, places, both_directions(terms)).view(len(rows), self.width(num_elements))


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

    def width(self, num_elements: int) -> int:
        """How many numbers an atom has."""
        return num_elements * (num_elements + 1) // 2 * len(self.shifts) * len(self.angle_cosines)

    def forward(self, graph: AtomicGraph, rows: Int[Tensor, "N"], num_elements: int) -> Float[Tensor, "N Y"]:
        """Sums of each atom, ``width(num_elements)`` numbers."""
        vectors, edges = pair_vectors(graph), Neighborhoods.of(graph)
        if fusible(vectors):
            angles = (self.shifts, self.angle_cosines, self.angle_sines)
            parameters = AngleParameters(self.cutoff, self.eta, self.zeta, *angles, self.envelope.derivatives)
            sums = triplet_sums(parameters, vectors, edges, rows, num_elements)
        else:
            lengths = pair_lengths(graph)
            triplets = Triplets.of(edges, lengths.detach(), self.cutoff, rows, num_elements)
            sums = self._plain_sums(triplets, vectors, lengths)
        return sums.view(len(rows), self.width(num_elements))

    def _plain_sums(
        self, triplets: Triplets, vectors: Float[Tensor, "P 3"], lengths: Float[Tensor, "P"]
    ) -> Float[Tensor, "S R A"]:
        one, other = triplets.first // 2, triplets.second // 2
        near, place = torch.unique(torch.cat([one, other]), return_inverse=True)
        one, other = place.view(2, len(one))
        length = lengths.index_select(0, near)
        direction, weight = vectors.index_select(0, near) / length[:, None], self.envelope(length)

        cosine = (direction.index_select(0, one) * direction.index_select(0, other)).sum(-1)
        cosine = cosine * (1 - 2 * ((triplets.first ^ triplets.second) % 2)).to(cosine.dtype)
        weights = weight.index_select(0, one) * weight.index_select(0, other)
        angular = self._angular(ANGLE_FACTOR * cosine) * (2 * weights)
        mean = 0.5 * (length.index_select(0, one) + length.index_select(0, other))
        radial = torch.exp(-self.eta * (mean - self.shifts.to(mean.dtype)[:, None]).square())
        products = (radial[:, None, :] * angular).permute(2, 0, 1)
        total = products.new_zeros(len(triplets.start) - 1, *products.shape[1:])
        return total.index_add(0, triplets.sums(), products)

    def _angular(self, cosine: Float[Tensor, "T"]) -> Float[Tensor, "A T"]:
        sine = torch.sqrt(1 - cosine.square())
        shifted = cosine * self.angle_cosines.to(cosine.dtype)[:, None]
        shifted = shifted + sine * self.angle_sines.to(cosine.dtype)[:, None]
        return (0.5 * (1 + shifted).clamp(min=0.0)) ** self.zeta
