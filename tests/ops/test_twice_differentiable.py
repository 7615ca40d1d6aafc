"""Functions with hand-written derivatives against plain torch."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy

import pytest
import torch
import torch.nn.functional as F
from derivatives import derivatives
from structures import ethanol, rattled_crystal
from torch import Tensor, nn

from gnnpot.graph.geometry import Neighborhoods, pair_vectors
from gnnpot.graph.graph import AtomicGraph, collate
from gnnpot.kernels.dispatch import differentiated_once
from gnnpot.nn.bases import BesselBasis, GaussianBasis, SphericalBesselBasis
from gnnpot.nn.envelopes import envelope
from gnnpot.nn.splines import RadialGrid
from gnnpot.nn.symmetry_functions import AngularFunctions, RadialFunctions
from gnnpot.ops.activations import shifted_softplus, silu
from gnnpot.ops.harmonics import solid_harmonics
from gnnpot.ops.moments import moments, read_moments
from gnnpot.ops.neighbor_sums import (
    convolve,
    reverse_times_pairs,
    sum_edges,
    sum_opposite,
    times_pairs,
    times_rows,
)
from gnnpot.ops.splines import SplineWeights, convolve_table
from gnnpot.ops.tensor_products import Path, TensorProduct, convolve_tensors

pytest.importorskip("numba")


@pytest.fixture
def graph():
    return collate([AtomicGraph.from_ase(make(), 3.0, torch.float64) for make in (rattled_crystal, ethanol)])


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


def functions_of(graph: AtomicGraph):
    """Each fused function with inputs to try it on."""
    edges = Neighborhoods.of(graph)
    rows = torch.randint(9, (edges.num_pairs,))
    atoms, pairs = edges.num_atoms, edges.num_pairs
    frozen = torch.randn(12, 5).double()
    couplings = [torch.randn(sizes).double() for sizes in ((1, 3, 3), (3, 3, 1), (3, 1, 3))]
    couplings[0][0, 1, 2] = 0.0
    product = TensorProduct(
        [
            Path(first, degree, result, coupling)
            for first, degree, result, coupling in zip(
                (0, 1, 1), (1, 1, 0), (1, 0, 4), couplings, strict=True
            )
        ]
    )
    bessel, spherical = BesselBasis(4, 3.0), SphericalBesselBasis(5, 3, cutoff=3.0)
    bessel.requires_grad_(False)
    grid = RadialGrid(16, 3.0)
    lengths = (0.4 + 2.7 * torch.rand(40, dtype=torch.float64)).requires_grad_(True)  # some beyond the cutoff
    shells = {"eta": 8.0, "shifts": (0.8, 1.5, 2.4), "envelope_name": "polynomial"}
    angles = AngularFunctions(2.8, zeta=14.1, angle_shifts=(0.4, 2.5), **shells)
    elements = torch.randint(3, (atoms,))

    def of_vectors(functions: nn.Module) -> Callable[[Tensor], Tensor]:
        def call(vectors: Tensor) -> Tensor:
            moved = copy(graph)
            moved.pair_vectors = vectors
            return functions(moved, elements, 3)

        return call

    return {
        "angular_functions": (of_vectors(angles), pair_vectors(graph)),
        "radial_functions": (of_vectors(RadialFunctions(2.8, **shells)), pair_vectors(graph)),
        "polynomial": (envelope("polynomial", 3.0), lengths),
        "cosine": (envelope("cosine", 3.0), lengths),
        "bessel": (bessel, lengths),
        "spherical_bessel": (spherical, lengths),
        "spline_weights": (lambda r: grid.weights(r, envelope("cosine", 3.0)).weights, lengths),
        "convolve": (lambda x, w: convolve(x, w, edges), random(atoms, 5), random(pairs, 5)),
        "sum_opposite": (lambda x: sum_opposite(x, edges), random(pairs, 3)),
        "sum_edges": (lambda x, w: sum_edges(x, w, edges), random(2 * pairs, 3), random(pairs, 3)),
        "times_pairs": (times_pairs, random(2 * pairs, 3), random(pairs, 3)),
        "times_rows": (times_rows, random(pairs, 3), random(pairs)),
        "gaussian": (GaussianBasis(5, 3.0).double(), lengths),
        "moments": (
            lambda x, w, c: moments(x, w, c, edges),
            random(2 * pairs, 20), random(3, pairs, 20), random(pairs, 9),
        ),
        "reverse_times_pairs": (reverse_times_pairs, random(2 * pairs, 4), random(pairs, 4)),
        "read_moments": (lambda a, c: read_moments(a, c, edges), random(atoms, 9, 20), random(pairs, 9)),
        "convolve_table": (
            lambda x, b, table: convolve_table(x, table, SplineWeights(rows, b), edges),
            random(atoms, 5), random(pairs, 4), random(12, 5),
        ),
        "convolve_tensors": (
            lambda x, y, w: convolve_tensors(x, y, w, product, edges),
            random(atoms, 4, 5), random(pairs, 4), random(pairs, 3, 5),
        ),
        "solid_harmonics": (lambda u: solid_harmonics(u, 5), random(pairs, 3)),
        "convolve_frozen_table": (
            lambda x, b: convolve_table(x, frozen, SplineWeights(rows, b), edges),
            random(atoms, 5), random(pairs, 4),
        ),
        "silu": (silu, 3 * random(7, 4)),
        "shifted_softplus": (shifted_softplus, 3 * random(7, 4)),
    }  # fmt: skip


NAMES = (
    "convolve", "times_pairs", "moments", "read_moments", "reverse_times_pairs", "convolve_table",
    "convolve_frozen_table", "convolve_tensors", "solid_harmonics", "silu",
    "shifted_softplus", "polynomial", "cosine", "bessel", "spherical_bessel", "spline_weights",
    "angular_functions", "radial_functions", "sum_edges", "sum_opposite", "times_rows", "gaussian",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_values_and_two_derivatives_equal_those_of_plain_torch(name, graph, plain):
    torch.manual_seed(0)
    function, *inputs = functions_of(graph)[name]
    inputs = [part.detach().requires_grad_(True) for part in inputs]
    for got, expected in zip(
        derivatives(function, inputs), plain(derivatives, function, inputs), strict=True
    ):
        torch.testing.assert_close(got, expected, atol=1e-11, rtol=1e-11)


def test_inputs_in_any_layout_keep_their_second_derivatives(graph, plain):
    edges = Neighborhoods.of(graph)
    inputs = [random(5, edges.num_atoms), random(5, edges.num_pairs)]

    def function(x, w):
        return convolve(x.mT, w.mT, edges)

    for got, expected in zip(
        derivatives(function, inputs), plain(derivatives, function, inputs), strict=True
    ):
        torch.testing.assert_close(got, expected, atol=1e-11, rtol=1e-11)


@pytest.mark.parametrize("name", NAMES)
def test_several_threads_give_what_one_gives(name, graph, monkeypatch):
    torch.manual_seed(0)
    function, *inputs = functions_of(graph)[name]
    inputs = [part.detach().requires_grad_(True) for part in inputs]
    alone = derivatives(function, inputs)
    threads = torch.get_num_threads()
    monkeypatch.setattr("gnnpot.kernels.calls._LARGE", 0)
    monkeypatch.setattr("gnnpot.kernels.calls._GRAIN", 2)
    try:
        torch.set_num_threads(3)
        together = derivatives(function, inputs)
    finally:
        torch.set_num_threads(threads)
    for got, expected in zip(together, alone, strict=True):
        torch.testing.assert_close(got, expected, atol=1e-13, rtol=1e-13)


def test_activations_are_what_they_say():
    x = torch.linspace(-30, 30, 13, dtype=torch.float64)
    torch.testing.assert_close(silu(x), x * torch.sigmoid(x))
    torch.testing.assert_close(shifted_softplus(x), torch.log(0.5 * torch.exp(x) + 0.5))
    torch.testing.assert_close(silu(x.float()), F.silu(x.float()))


def test_a_spline_goes_through_its_values_and_is_twice_differentiable_between():
    grid = RadialGrid(64, 5.0)

    def function(r: Tensor) -> Tensor:
        return torch.stack([torch.sin(2 * r), torch.exp(-((r - 2.5) ** 2))], dim=1)

    def spline(r: Tensor) -> Tensor:
        rows, weights = grid.weights(r, envelope("polynomial", 1e6))
        table = grid.coefficients(function(grid.distances))
        return (table[rows[:, None] + torch.arange(4)] * weights[:, :, None]).sum(1)

    knots = torch.linspace(0.0, 5.0, 65, dtype=torch.float64)
    torch.testing.assert_close(spline(knots), function(knots), atol=1e-12, rtol=0)
    between = torch.linspace(0.3, 4.99, 500, dtype=torch.float64)
    assert (spline(between) - function(between)).abs().max() < 5 / 384 * 16 * (5 / 64) ** 4 * 1.1
    for side in (-1e-9, 1e-9):
        r = (knots[1:-1] + side).requires_grad_(True)
        (slope,) = torch.autograd.grad(spline(r)[:, 0].sum(), r, create_graph=True)
        (curvature,) = torch.autograd.grad(slope.sum(), r)
        torch.testing.assert_close(curvature, -4 * torch.sin(2 * r.detach()), atol=1e-2, rtol=0)


def test_what_is_differentiated_once_has_the_same_values_and_gradients():
    for function in (silu, shifted_softplus):
        x = random(50)
        expected = function(x)
        with differentiated_once():
            got = function(x)
        torch.testing.assert_close(got, expected, atol=1e-14, rtol=1e-14)
        torch.testing.assert_close(*(torch.autograd.grad(y.sum(), x)[0] for y in (got, expected)))
        assert type(got.grad_fn) is not type(expected.grad_fn)


def test_a_third_derivative_is_refused():
    x = random(4)
    (first,) = torch.autograd.grad(silu(x).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match=r"does not require grad|once_differentiable"):
        torch.autograd.grad(second.sum(), x)
