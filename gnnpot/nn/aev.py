"""Atomic environment vectors: radial and angular symmetry functions of the ANI models."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from gnnpot.data.graph import AtomicGraph
from gnnpot.geometry import Neighborhoods, both_directions, pair_lengths, pair_vectors
from gnnpot.nn.fused import fusible, over_items, twice_differentiable, whole
from gnnpot.nn.radial import Envelope, EnvelopeName, envelope
from gnnpot.nn.triplets import Triplets

_SHELL_FACTOR = 0.25  # of the radial functions, in TorchANI
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
        vectors, lengths, edges = pair_vectors(graph), pair_lengths(graph), Neighborhoods.of(graph)
        if fusible(vectors):
            geometry = _Geometry(self.envelope, vectors.detach(), lengths.detach())
            return _shell_sums(_Shells(self, geometry, edges, rows, num_elements), vectors).flatten(1)
        distances = lengths[:, None] - self.shifts.to(lengths.dtype)
        terms = _SHELL_FACTOR * torch.exp(-self.eta * distances.square()) * self.envelope(lengths)[:, None]
        source, center = graph.edge_index
        places = center * num_elements + rows.index_select(0, source)
        sums = terms.new_zeros(len(rows) * num_elements, terms.shape[1])
        return sums.index_add(0, places, both_directions(terms)).view(len(rows), -1)


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
        vectors, edges = pair_vectors(graph), Neighborhoods.of(graph)
        if fusible(vectors):
            return _triplet_sums(_TripletSums(self, edges, rows, num_elements), vectors).view(len(rows), -1)
        lengths = pair_lengths(graph)
        triplets = Triplets.of(edges, lengths.detach(), self.cutoff, rows, num_elements)
        return self._plain_sums(triplets, vectors, lengths).view(len(rows), -1)

    def _plain_sums(
        self, triplets: Triplets, vectors: Float[Tensor, "P 3"], lengths: Float[Tensor, "P"]
    ) -> Float[Tensor, "S R A"]:
        one, other = triplets.first // 2, triplets.second // 2
        near, place = torch.unique(torch.cat([one, other]), return_inverse=True)
        one, other = place.split(len(one))
        length = lengths.index_select(0, near)
        direction, weight = vectors.index_select(0, near) / length[:, None], self.envelope(length)

        cosine = (direction.index_select(0, one) * direction.index_select(0, other)).sum(-1)
        cosine = cosine * (1 - 2 * ((triplets.first ^ triplets.second) % 2)).to(cosine.dtype)
        weights = weight.index_select(0, one) * weight.index_select(0, other)
        angular = self._angular(_ANGLE_FACTOR * cosine) * (2 * weights)
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


class _Geometry:
    """What loops read of the pairs."""

    def __init__(
        self, envelope: Envelope, vectors: Float[Tensor, "P 3"], lengths: Float[Tensor, "P"]
    ) -> None:
        self.envelopes, self.lengths, self.inverse = envelope.jet(lengths), lengths, 1 / lengths
        self.directions = vectors * self.inverse[:, None]

    @property
    def arrays(self) -> tuple[Tensor, ...]:
        """In the order of the loops."""
        return self.envelopes, self.directions, self.inverse, self.lengths


class _Shells:
    """What the loops over shells read."""

    def __init__(
        self,
        functions: RadialFunctions,
        geometry: _Geometry,
        edges: Neighborhoods,
        rows: Int[Tensor, "N"],
        num_elements: int,
    ) -> None:
        from gnnpot.nn import loops

        self.edges, self.size = edges, (edges.num_atoms, num_elements, len(functions.shifts))
        self.atoms, self.pairs = (edges.order, edges.start, edges.edge_index, rows), (edges.edge_index, rows)
        settings = (functions.eta, functions.shifts)
        self.shells = geometry.lengths.new_empty(edges.num_pairs, len(functions.shifts))
        over_items(loops.shell_exponents, edges.num_pairs, geometry.lengths, *settings, self.shells)
        self.envelopes = geometry.envelopes
        self.functions: tuple[Any, ...] = (_SHELL_FACTOR, *geometry.arrays, *settings, self.shells.exp_())


def _shell_values(shells: _Shells, vectors: Tensor) -> Tensor:
    from gnnpot.nn import loops

    out = vectors.new_empty(shells.size)
    over_items(loops.sum_shells, len(out), *shells.atoms, _SHELL_FACTOR, shells.envelopes, shells.shells, out)
    return out


def _shell_first(shells: _Shells, gradient: Tensor, vectors: Tensor) -> tuple[Tensor, ...]:
    from gnnpot.nn import loops

    out = torch.empty_like(vectors)
    over_items(loops.sum_shells_first, len(out), *shells.pairs, *shells.functions, gradient, out)
    return (out,)


def _shell_second(
    shells: _Shells, upstream: tuple[Tensor, ...], gradient: Tensor, vectors: Tensor
) -> tuple[Tensor, ...]:
    from gnnpot.nn import loops

    out = gradient.new_empty(shells.size), torch.empty_like(vectors)
    inputs = (*shells.functions, *upstream)
    over_items(loops.sum_shells_second_atoms, len(out[0]), *shells.atoms, *inputs, out[0])
    over_items(loops.sum_shells_second_pairs, len(out[1]), *shells.pairs, *inputs, gradient, out[1])
    return out


_shell_sums = twice_differentiable(_shell_values, _shell_first, _shell_second)


class _TripletSums:
    """Sums over triplets with their derivatives; which triplets there are, the vectors decide."""

    def __init__(
        self, functions: AngularFunctions, edges: Neighborhoods, rows: Int[Tensor, "N"], num_elements: int
    ) -> None:
        self.functions, self.edges = functions, edges
        self.rows, self.num_elements = rows, num_elements

    def values(self, vectors: Float[Tensor, "P 3"]) -> Float[Tensor, "S R A"]:
        """The sums; what the derivatives need too is kept."""
        from gnnpot.nn import loops

        functions = self.functions
        geometry = _Geometry(functions.envelope, vectors, torch.linalg.vector_norm(vectors, dim=-1))
        lengths, envelope = geometry.lengths, geometry.envelopes[0]
        triplets = Triplets.of(self.edges, lengths, functions.cutoff, self.rows, self.num_elements)
        angles = (functions.shifts, functions.angle_cosines, functions.angle_sines)
        settings = (_ANGLE_FACTOR, functions.eta, *angles)
        shells, bases = (lengths.new_empty(len(part), len(triplets.first)) for part in angles[:2])
        pairs = (triplets.first, triplets.second)
        arguments = (*pairs, geometry.directions, lengths, *settings, shells, bases)
        over_items(loops.triplet_arguments, len(triplets.first), *arguments)
        powers = bases**functions.zeta
        shells.exp_()

        one, other = (envelope.index_select(0, edges // 2) for edges in pairs)
        out = lengths.new_empty(len(triplets.start) - 1, len(shells), len(powers))
        over_items(loops.sum_triplets, len(out), triplets.start, 2 * one * other, shells, powers, out)
        self._tables: tuple[Any, ...] = (
            triplets.num_sums, triplets.start, *pairs, *geometry.arrays, _ANGLE_FACTOR, functions.eta,
            functions.zeta, *angles, shells, bases, powers,
        )  # fmt: skip
        return out

    def first(self, gradient: Float[Tensor, "S R A"]) -> Float[Tensor, "P 3"]:
        """Gradient of the vectors."""
        from gnnpot.nn import loops

        return self._of_pairs(loops.sum_triplets_first, gradient)

    def second(
        self, upstream: Float[Tensor, "P 3"], gradient: Float[Tensor, "S R A"]
    ) -> tuple[Float[Tensor, "S R A"], Float[Tensor, "P 3"]]:
        """Gradients of the upstream gradient and of the vectors."""
        from gnnpot.nn import loops

        out = torch.empty_like(gradient)
        return out, self._of_pairs(loops.sum_triplets_second, upstream, gradient, out)

    def _of_pairs(self, loop: Callable[..., None], *tensors: Tensor) -> Float[Tensor, "P 3"]:
        """What a loop over atoms adds to the edges, for each pair."""
        of_edges = tensors[0].new_zeros(2 * self.edges.num_pairs, 3)
        over_items(loop, self.edges.num_atoms, *self._tables, *tensors, of_edges)
        return of_edges[0::2] + of_edges[1::2]


def _triplet_values(sums: _TripletSums, vectors: Tensor) -> Tensor:
    return whole(sums.values, vectors)


def _triplet_first(sums: _TripletSums, gradient: Tensor, vectors: Tensor) -> tuple[Tensor, ...]:
    return (whole(sums.first, gradient),)


def _triplet_second(
    sums: _TripletSums, upstream: tuple[Tensor, ...], gradient: Tensor, vectors: Tensor
) -> tuple[Tensor, ...]:
    (of_vectors,) = upstream
    return sums.second(of_vectors, gradient)


_triplet_sums = twice_differentiable(_triplet_values, _triplet_first, _triplet_second)


def evenly_spaced(start: float, step: float, count: int) -> tuple[float, ...]:
    """``count`` numbers from ``start`` on, as ANI's parameter files list them."""
    return tuple(round(start + step * index, 10) for index in range(count))


def centered_angles(count: int) -> tuple[float, ...]:
    """Angles in the middles of ``count`` equal parts of the half circle."""
    return tuple(math.pi * (2 * index + 1) / (2 * count) for index in range(count))
