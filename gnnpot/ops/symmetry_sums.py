"""ANI's sums over neighbors and over pairs of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gnnpot.graph.geometry import Neighborhoods, both_directions
from gnnpot.graph.triplets import Triplets
from gnnpot.kernels.dispatch import operation, over_items, twice_differentiable, whole
from gnnpot.ops.radial_functions import RadialEnvelope

SHELL_FACTOR = 0.25  # of the radial functions, in TorchANI
ANGLE_FACTOR = 0.95  # of the cosine, in ANI: keeps derivatives finite for collinear atoms


class ShellParameters(NamedTuple):
    """Parameters of radial symmetry functions."""

    eta: float  # η (1/Å²)
    shifts: Float[Tensor, "S"]  # R_s (Å)
    envelope: RadialEnvelope  # f_c


class AngleParameters(NamedTuple):
    """Parameters of angular symmetry functions."""

    cutoff: float  # Å
    eta: float  # η (1/Å²)
    zeta: float
    shifts: Float[Tensor, "R"]  # R_s (Å)
    cosines: Float[Tensor, "A"]  # of θ_s
    sines: Float[Tensor, "A"]
    envelope: RadialEnvelope  # f_c


@operation
def shell_sums(
    vectors: Float[Tensor, "P 3"],
    functions: ShellParameters,
    edges: Neighborhoods,
    rows: Int[Tensor, "N"],
    num_elements: int,
) -> Float[Tensor, "N X S"]:
    r"""Sums :math:`\tfrac14 \sum_j e^{-\eta (r_{ij} - R_s)^2} f_c(r_{ij})` for each element of the neighbors.

    Args:
        vectors: Vectors of the even edges (Å).
        functions: η, R_s and f_c.
        edges: Neighborhoods of the same batch.
        rows: Number of each atom's element.
        num_elements: How many elements there are.
    """
    lengths = torch.linalg.vector_norm(vectors, dim=-1)
    distances = lengths[:, None] - functions.shifts.to(lengths.dtype)
    shells = SHELL_FACTOR * torch.exp(-functions.eta * distances.square())
    terms = shells * functions.envelope(lengths)[:, None]
    source, center = edges.edge_index
    places = center * num_elements + rows.index_select(0, source)
    sums = terms.new_zeros(len(rows) * num_elements, terms.shape[1])
    return sums.index_add(0, places, both_directions(terms)).view(len(rows), num_elements, terms.shape[1])


@operation
def triplet_sums(
    vectors: Float[Tensor, "P 3"],
    functions: AngleParameters,
    edges: Neighborhoods,
    rows: Int[Tensor, "N"],
    num_elements: int,
) -> Float[Tensor, "S R A"]:
    r"""Sums over pairs of neighbors, for each atom and pair of elements of the neighbors.

    .. math:: 2 \sum_{j<k} \left(\tfrac{1 + \cos(\theta - \theta_s)}{2}\right)^{\zeta}
        e^{-\eta (\frac{r_{ij} + r_{ik}}{2} - R_s)^2} f_c(r_{ij}) f_c(r_{ik}),
        \quad \cos\theta = 0.95\, \hat r_{ij} \cdot \hat r_{ik}

    Args:
        vectors: Vectors of the even edges (Å).
        functions: η, ζ, R_s, θ_s and f_c.
        edges: Neighborhoods of the same batch.
        rows: Number of each atom's element.
        num_elements: How many elements there are.
    """
    lengths = torch.linalg.vector_norm(vectors, dim=-1)
    triplets = Triplets.of(edges, lengths.detach(), functions.cutoff, rows, num_elements)
    one, other = triplets.first // 2, triplets.second // 2
    near, place = torch.unique(torch.cat([one, other]), return_inverse=True)
    one, other = place.view(2, len(one))
    length = lengths.index_select(0, near)
    direction, weight = vectors.index_select(0, near) / length[:, None], functions.envelope(length)

    cosine = (direction.index_select(0, one) * direction.index_select(0, other)).sum(-1)
    cosine = cosine * (1 - 2 * ((triplets.first ^ triplets.second) % 2)).to(cosine.dtype)
    weights = weight.index_select(0, one) * weight.index_select(0, other)
    angular = _angular(functions, ANGLE_FACTOR * cosine) * (2 * weights)
    mean = 0.5 * (length.index_select(0, one) + length.index_select(0, other))
    radial = torch.exp(-functions.eta * (mean - functions.shifts.to(mean.dtype)[:, None]).square())
    products = (radial[:, None, :] * angular).permute(2, 0, 1)
    total = products.new_zeros(len(triplets.start) - 1, *products.shape[1:])
    return total.index_add(0, triplets.sums(), products)


def _angular(functions: AngleParameters, cosine: Float[Tensor, "T"]) -> Float[Tensor, "A T"]:
    """Angular factors; cos(θ − θ_s) is expanded, so that no arc cosine is taken."""
    sine = torch.sqrt(1 - cosine.square())
    shifted = cosine * functions.cosines.to(cosine.dtype)[:, None]
    shifted = shifted + sine * functions.sines.to(cosine.dtype)[:, None]
    return (0.5 * (1 + shifted).clamp(min=0.0)) ** functions.zeta


def _power(base: Tensor, exponent: float) -> Tensor:
    """Powers; of a whole exponent by squaring, in a fifth of the time."""
    if exponent != int(exponent):
        return base**exponent
    if exponent == 1:
        return base
    rest = _power(base * base, exponent // 2)
    return rest * base if exponent % 2 else rest


class _Geometry:
    """What loops read of the pairs."""

    def __init__(self, envelope: RadialEnvelope, vectors: Float[Tensor, "P 3"]) -> None:
        self.lengths = torch.linalg.vector_norm(vectors, dim=-1)
        self.envelopes, self.inverse = envelope.derivatives(self.lengths), 1 / self.lengths
        self.directions = vectors * self.inverse[:, None]

    @property
    def arrays(self) -> tuple[Tensor, ...]:
        """In the order of the loops."""
        return self.envelopes, self.directions, self.inverse, self.lengths


class _Shells:
    """What the loops over shells read."""

    def __init__(
        self,
        functions: ShellParameters,
        geometry: _Geometry,
        edges: Neighborhoods,
        rows: Int[Tensor, "N"],
        num_elements: int,
    ) -> None:
        from gnnpot.kernels import loops

        self.edges, self.size = edges, (edges.num_atoms, num_elements, len(functions.shifts))
        self.atoms, self.pairs = (edges.order, edges.start, edges.edge_index, rows), (edges.edge_index, rows)
        settings = (functions.eta, functions.shifts)
        self.shells = geometry.lengths.new_empty(edges.num_pairs, len(functions.shifts))
        over_items(loops.shell_exponents, edges.num_pairs, geometry.lengths, *settings, self.shells)
        self.envelopes = geometry.envelopes
        self.functions: tuple[Any, ...] = (SHELL_FACTOR, *geometry.arrays, *settings, self.shells.exp_())


def _shell_values(shells: _Shells, vectors: Tensor) -> Tensor:
    from gnnpot.kernels import loops

    out = vectors.new_empty(shells.size)
    over_items(loops.sum_shells, len(out), *shells.atoms, SHELL_FACTOR, shells.envelopes, shells.shells, out)
    return out


def _shell_first(shells: _Shells, gradient: Tensor, vectors: Tensor) -> tuple[Tensor, ...]:
    from gnnpot.kernels import loops

    out = torch.empty_like(vectors)
    over_items(loops.sum_shells_first, len(out), *shells.pairs, *shells.functions, gradient, out)
    return (out,)


def _shell_second(
    shells: _Shells, upstream: tuple[Tensor, ...], gradient: Tensor, vectors: Tensor
) -> tuple[Tensor, ...]:
    from gnnpot.kernels import loops

    out = gradient.new_empty(shells.size), torch.empty_like(vectors)
    inputs = (*shells.functions, *upstream)
    over_items(loops.sum_shells_second_atoms, len(out[0]), *shells.atoms, *inputs, out[0])
    over_items(loops.sum_shells_second_pairs, len(out[1]), *shells.pairs, *inputs, gradient, out[1])
    return out


_shells = twice_differentiable(_shell_values, _shell_first, _shell_second)


class _TripletSums:
    """Sums over triplets with their derivatives; which triplets there are, the vectors decide."""

    def __init__(
        self, functions: AngleParameters, edges: Neighborhoods, rows: Int[Tensor, "N"], num_elements: int
    ) -> None:
        self.functions, self.edges = functions, edges
        self.rows, self.num_elements = rows, num_elements

    def values(self, vectors: Float[Tensor, "P 3"]) -> Float[Tensor, "S R A"]:
        """The sums; what the derivatives need too is kept."""
        from gnnpot.kernels import loops

        functions = self.functions
        geometry = _Geometry(functions.envelope, vectors)
        lengths, envelope = geometry.lengths, geometry.envelopes[0]
        triplets = Triplets.of(self.edges, lengths, functions.cutoff, self.rows, self.num_elements)
        angles = (functions.shifts, functions.cosines, functions.sines)
        settings = (ANGLE_FACTOR, functions.eta, *angles)
        shells, bases = (lengths.new_empty(len(part), len(triplets.first)) for part in angles[:2])
        pairs = (triplets.first, triplets.second)
        arguments = (*pairs, geometry.directions, lengths, *settings, shells, bases)
        over_items(loops.triplet_arguments, len(triplets.first), *arguments)
        powers = _power(bases, functions.zeta)
        shells.exp_()

        one, other = (envelope.index_select(0, edges >> 1) for edges in pairs)  # // 2, which is slow
        out = lengths.new_empty(len(triplets.start) - 1, len(shells), len(powers))
        over_items(loops.sum_triplets, len(out), triplets.start, 2 * one * other, shells, powers, out)
        self._tables: tuple[Any, ...] = (
            triplets.num_sums, triplets.start, *pairs, *geometry.arrays, ANGLE_FACTOR, functions.eta,
            functions.zeta, *angles, shells, bases, powers,
        )  # fmt: skip
        return out

    def first(self, gradient: Float[Tensor, "S R A"]) -> Float[Tensor, "P 3"]:
        """Gradient of the vectors."""
        from gnnpot.kernels import loops

        return self._of_pairs(loops.sum_triplets_first, gradient)

    def second(
        self, upstream: Float[Tensor, "P 3"], gradient: Float[Tensor, "S R A"]
    ) -> tuple[Float[Tensor, "S R A"], Float[Tensor, "P 3"]]:
        """Gradients of the upstream gradient and of the vectors."""
        from gnnpot.kernels import loops

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


_triplets = twice_differentiable(_triplet_values, _triplet_first, _triplet_second)


@shell_sums.compiled
def _(
    vectors: Tensor, functions: ShellParameters, edges: Neighborhoods, rows: Tensor, num_elements: int
) -> Tensor:
    geometry = _Geometry(functions.envelope, vectors.detach())
    return _shells(_Shells(functions, geometry, edges, rows, num_elements), vectors)


@triplet_sums.compiled
def _(
    vectors: Tensor, functions: AngleParameters, edges: Neighborhoods, rows: Tensor, num_elements: int
) -> Tensor:
    return _triplets(_TripletSums(functions, edges, rows, num_elements), vectors)
