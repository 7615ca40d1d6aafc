"""Chains of layers against the same layers by torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from derivatives import derivatives

from gnnpot.kernels import chains as chain_loops
from gnnpot.kernels import loops
from gnnpot.ops import mlp as chains
from gnnpot.ops.mlp import Layer, chain
from gnnpot.ops.products import without_weight_gradients

LINKS = [(0, None), (1, 2), (3, None), (4, 3), (5, 0), (6, 3)]  # values 3 are added twice
SIZES = [(32, 32), (32, 16), (48, 32), (32, 48), (32, 32), (32, 32)]
ACTIVATIONS = {
    "silu": ["silu"] * 6,
    "softplus": ["ssp"] * 6,
    "both and none": ["ssp", "silu", "silu", "ssp", "silu", None],
    "one that goes by torch": ["silu", "tanh", "silu", "ssp", "silu", None],
}


@pytest.fixture(params=ACTIVATIONS)
def layers_of(request):
    """Makes layers of weights, and biases of all but the last."""

    def made(tensors):
        weights, biases = tensors[: len(LINKS)], [*tensors[len(LINKS) :], None]
        links = *zip(*LINKS, strict=True), ACTIVATIONS[request.param]
        return [Layer(*parts) for parts in zip(weights, biases, *links, strict=True)]

    return made


@pytest.fixture
def tensors():
    """Weights of all layers, and biases of all but the last."""
    torch.manual_seed(0)
    weights = [torch.randn(sizes).double() / 4 for sizes in SIZES]
    biases = [torch.randn(sizes[0]).double() for sizes in SIZES[:-1]]
    return [part.requires_grad_(True) for part in (*weights, *biases)]


@pytest.fixture(params=[2, 101])
def inputs(request):
    return [torch.randn(request.param, width).double().requires_grad_(True) for width in (32, 16)]


def plain(layers, *inputs):
    return chains._by_torch(layers, inputs)


def forces_and_gradients(function, layers_of, tensors, inputs):
    """Values, derivatives by the inputs without those by the weights, and all derivatives of both."""
    values = function(layers_of(tensors), *inputs)
    energy = values.pow(3).sum()
    with without_weight_gradients():
        forces = torch.autograd.grad(energy, inputs, create_graph=True)
    loss = energy + sum(part.pow(2).sum() for part in forces)
    needed = [part for part in (*inputs, *tensors) if part.requires_grad]
    return [values, *forces, *torch.autograd.grad(loss, needed)]


def test_values_forces_and_their_gradients_equal_those_of_torch(layers_of, tensors, inputs):
    got = forces_and_gradients(chain, layers_of, tensors, inputs)
    for one, other in zip(got, forces_and_gradients(plain, layers_of, tensors, inputs), strict=True):
        torch.testing.assert_close(one, other, atol=1e-10, rtol=1e-10)


def test_several_threads_give_what_one_gives(layers_of, tensors, inputs, monkeypatch):
    alone = forces_and_gradients(chain, layers_of, tensors, inputs)
    monkeypatch.setattr("gnnpot.kernels.calls._GRAIN", 1)
    monkeypatch.setattr("gnnpot.kernels.calls._LARGE", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    for one, other in zip(alone, forces_and_gradients(chain, layers_of, tensors, inputs), strict=True):
        torch.testing.assert_close(one, other, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("count", [1, 4, 7, 101])
@pytest.mark.parametrize("parts", [1, 2, 3, 8])
def test_no_two_threads_add_to_the_same_gradients_of_weights(count, parts):
    for threads in range(1, min(count, parts) + 1):
        begins = [count * number // threads for number in range(threads)]
        own = [chain_loops._part(begin, count, parts) for begin in begins]
        assert len(set(own)) == threads
        assert 0 <= min(own) <= max(own) < parts


def test_frozen_weights_take_no_part(layers_of, tensors, inputs):
    for part in tensors[1:4]:
        part.requires_grad_(False)
    got = forces_and_gradients(chain, layers_of, tensors, inputs)
    for one, other in zip(got, forces_and_gradients(plain, layers_of, tensors, inputs), strict=True):
        torch.testing.assert_close(one, other, atol=1e-10, rtol=1e-10)


def test_where_weights_are_not_aside_all_derivatives_are_there(layers_of, tensors, inputs):
    parts = [*inputs, *tensors]

    def of(function):
        return lambda *parts: function(layers_of(parts[2:]), *parts[:2])

    for one, other in zip(derivatives(of(chain), parts), derivatives(of(plain), parts), strict=True):
        torch.testing.assert_close(one, other, atol=1e-10, rtol=1e-10)


def test_inputs_that_depend_on_each_other_and_a_weight_that_stands_twice():
    torch.manual_seed(0)
    parts = [torch.randn(sizes).double().requires_grad_(True) for sizes in ((7, 32), (32, 32))]

    def of(function):
        def values(x, weight):
            return function([Layer(weight, None, 0), Layer(weight, None, 1, skip=2)], x, torch.tanh(x))

        return values

    for one, other in zip(derivatives(of(chain), parts), derivatives(of(plain), parts), strict=True):
        torch.testing.assert_close(one, other, atol=1e-10, rtol=1e-10)


def test_a_third_derivative_is_refused(layers_of, tensors, inputs):
    with without_weight_gradients():
        energy = chain(layers_of(tensors), *inputs).pow(3).sum()
        forces = torch.autograd.grad(energy, inputs, create_graph=True)
        with pytest.raises(RuntimeError, match=r"third|once"):
            torch.autograd.grad(forces[0].sum(), inputs, create_graph=True)[0].sum().backward()


def test_widths_that_fill_no_vectors_go_by_torch():
    weight, x = torch.randn(5, 16), torch.randn(3, 16)
    assert torch.equal(chain([Layer(weight, None, 0)], x), plain([Layer(weight, None, 0)], x))


ODD_LINKS = {
    "an input is not taken": [(0, None, "silu"), (2, None, "ssp")],
    "a layer is not taken": [(0, 1, "silu"), (0, 1, "silu")],
    "a layer in between has no activation": [(0, 1, None), (2, None, "silu")],
}


@pytest.mark.parametrize("name", ODD_LINKS)
def test_chains_that_compiled_loops_do_not_take_go_by_torch(name):
    torch.manual_seed(0)
    parts = [torch.randn(32, 32).double().requires_grad_(True) for _ in range(3)]

    def gradients(function):
        layers = [Layer(parts[2], None, *link) for link in ODD_LINKS[name]]
        with without_weight_gradients():
            return torch.autograd.grad(
                function(layers, *parts[:2]).pow(2).sum(), parts[:2], materialize_grads=True
            )

    for one, other in zip(gradients(chain), gradients(plain), strict=True):
        torch.testing.assert_close(one, other, atol=1e-10, rtol=1e-10)


def test_widths_of_inputs_are_any(tensors):
    torch.manual_seed(1)
    inputs = [torch.randn(40, width).double().requires_grad_(True) for width in (25, 7)]
    weights = [torch.randn(32, width).double().requires_grad_(True) for width in (25, 7)]

    def of(function):
        def values(x, other, one, two):
            return function([Layer(one, None, 0), Layer(two, None, 1, skip=2, activation="ssp")], x, other)

        return values

    parts = [*inputs, *weights]
    for one, other in zip(derivatives(of(chain), parts), derivatives(of(plain), parts), strict=True):
        torch.testing.assert_close(one, other, atol=1e-10, rtol=1e-10)


def silu(z):
    return z / (1 + np.exp(-z))


def softplus(z):
    return np.logaddexp(z, 0) - np.log(2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("name", "exact"), [("silu", silu), ("ssp", softplus)])
def test_activations_are_right_everywhere(dtype, name, exact):
    z = (
        np.concatenate([np.linspace(-100, 100, 4093), [-np.inf, np.inf, np.nan]])
        .astype(dtype)
        .reshape(-1, 16)
    )
    out, epsilon = np.empty_like(z), np.finfo(dtype).eps
    loops.activations.activate(chains._kinds()[name], z, z[:0], out, z)
    with np.errstate(all="ignore"):
        expected = exact(z.astype(float))
    finite, absolute = np.isfinite(z), 1e-35 if name == "silu" else 2 * epsilon
    np.testing.assert_allclose(out[finite], expected[finite], rtol=8 * epsilon, atol=absolute)
    assert out[-1, -2] == np.inf
    assert np.isnan(out[-1, -1])
