"""Chains of layers against the same layers by torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from derivatives import derivatives

from gnnpot.nn import chains, loops
from gnnpot.nn.chains import Layer, chain
from gnnpot.nn.dense import weights_aside

LINKS = [(0, None), (1, 2), (3, None), (4, 3), (5, 0), (6, 3)]  # values 3 are added twice
SIZES = [(32, 32), (32, 16), (48, 32), (32, 48), (32, 32), (32, 32)]


def layers_of(tensors, links=LINKS):
    weights, biases = tensors[: len(links)], [*tensors[len(links) :], None]
    return [Layer(*parts) for parts in zip(weights, biases, *zip(*links, strict=True), strict=True)]


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


def forces_and_gradients(function, tensors, inputs):
    """Values, derivatives by the inputs without those by the weights, and all derivatives of both."""
    values = function(layers_of(tensors), *inputs)
    energy = values.pow(3).sum()
    with weights_aside():
        forces = torch.autograd.grad(energy, inputs, create_graph=True)
    loss = energy + sum(part.pow(2).sum() for part in forces)
    needed = [part for part in (*inputs, *tensors) if part.requires_grad]
    return [values, *forces, *torch.autograd.grad(loss, needed)]


def test_values_forces_and_their_gradients_equal_those_of_torch(tensors, inputs):
    got = forces_and_gradients(chain, tensors, inputs)
    for one, other in zip(got, forces_and_gradients(plain, tensors, inputs), strict=True):
        torch.testing.assert_close(one, other, atol=1e-10, rtol=1e-10)


def test_several_threads_give_what_one_gives(tensors, inputs, monkeypatch):
    alone = forces_and_gradients(chain, tensors, inputs)
    monkeypatch.setattr("gnnpot.nn.loops.calls._GRAIN", 1)
    monkeypatch.setattr("gnnpot.nn.loops.calls._LARGE", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    for one, other in zip(alone, forces_and_gradients(chain, tensors, inputs), strict=True):
        torch.testing.assert_close(one, other, atol=1e-10, rtol=1e-10)


def test_frozen_weights_take_no_part(tensors, inputs):
    for part in tensors[1:4]:
        part.requires_grad_(False)
    got = forces_and_gradients(chain, tensors, inputs)
    for one, other in zip(got, forces_and_gradients(plain, tensors, inputs), strict=True):
        torch.testing.assert_close(one, other, atol=1e-10, rtol=1e-10)


def test_where_weights_are_not_aside_all_derivatives_are_there(tensors, inputs):
    parts = [*inputs, *tensors]

    def of(function):
        return lambda *parts: function(layers_of(parts[2:]), *parts[:2])

    for one, other in zip(derivatives(of(chain), parts), derivatives(of(plain), parts), strict=True):
        torch.testing.assert_close(one, other, atol=1e-10, rtol=1e-10)


def test_a_third_derivative_is_refused(tensors, inputs):
    with weights_aside():
        energy = chain(layers_of(tensors), *inputs).pow(3).sum()
        forces = torch.autograd.grad(energy, inputs, create_graph=True)
        with pytest.raises(RuntimeError, match=r"third|once"):
            torch.autograd.grad(forces[0].sum(), inputs, create_graph=True)[0].sum().backward()


def test_widths_that_fill_no_vectors_go_by_torch():
    weight, x = torch.randn(5, 16), torch.randn(3, 16)
    assert torch.equal(chain([Layer(weight, None, 0)], x), plain([Layer(weight, None, 0)], x))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_activation_is_right_everywhere(dtype):
    z = (
        np.concatenate([np.linspace(-100, 100, 4093), [-np.inf, np.inf, np.nan]])
        .astype(dtype)
        .reshape(-1, 16)
    )
    out = np.empty_like(z)
    loops.activate(0, len(z), z, z[:0], out, z)
    with np.errstate(all="ignore"):
        exact = z.astype(float) / (1 + np.exp(-z.astype(float)))
    finite = np.isfinite(z)
    np.testing.assert_allclose(out[finite], exact[finite], rtol=8 * np.finfo(dtype).eps, atol=1e-35)
    assert out[-1, -2] == np.inf
    assert np.isnan(out[-1, -1])
