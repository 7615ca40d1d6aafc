"""Dense layers by compiled loops against those by torch."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from derivatives import derivatives

from gnnpot.kernels import loops
from gnnpot.nn.mlp import Linear
from gnnpot.ops import products as dense
from gnnpot.ops.products import linear, products, without_weight_gradients


@pytest.fixture
def eager(monkeypatch):
    """Takes compiled loops for products of any size, on any processor."""
    for name in ("_SMALLEST", "_THIN", "_FLAT"):
        monkeypatch.setattr(dense, name, 1)
    monkeypatch.setattr(dense, "_has_wide_registers", lambda: True)


LAYOUTS = {
    "rows": lambda x: x,
    "columns": lambda x: x.mT.contiguous().mT,
    "a part": lambda x: torch.cat([x, x], dim=1)[:, : x.shape[1]],
    "repeated": lambda x: x[:1].expand_as(x),
}


@pytest.mark.parametrize("of_weight", LAYOUTS)
@pytest.mark.parametrize("of_x", LAYOUTS)
@pytest.mark.parametrize("sizes", [(50, 6, 9), (50, 9, 6), (50, 20, 37), (3, 20, 7), (1, 1, 1)])
@pytest.mark.parametrize("with_bias", [False, True])
def test_values_and_two_derivatives_equal_those_of_torch(eager, of_x, of_weight, sizes, with_bias):
    torch.manual_seed(0)
    rows, inputs, outputs = sizes
    x, weight = LAYOUTS[of_x](torch.randn(rows, inputs)), LAYOUTS[of_weight](torch.randn(outputs, inputs))
    parts = [x, weight, torch.randn(outputs)] if with_bias else [x, weight]
    parts = [part.detach().requires_grad_(True) for part in parts]
    assert dense._pays(x, weight)
    torch.testing.assert_close(linear(*parts), F.linear(*parts), atol=2e-4, rtol=2e-4)
    got_all = derivatives(lambda *inputs: linear(*inputs).tanh(), parts)
    expected_all = derivatives(lambda *inputs: F.linear(*inputs).tanh(), parts)
    for got, expected in zip(got_all, expected_all, strict=True):
        torch.testing.assert_close(got, expected, atol=2e-4, rtol=2e-4)


@pytest.mark.parametrize("sizes", [(700, 128, 1), (700, 64, 6), (128, 700, 6), (701, 16, 7)])
@pytest.mark.parametrize("by_columns", [False, True])
def test_thin_products_and_two_derivatives_equal_those_of_torch(monkeypatch, sizes, by_columns):
    torch.manual_seed(0)
    monkeypatch.setattr(dense, "_SMALLEST_THIN", 1)
    rows, inputs, outputs = sizes
    x = torch.randn(inputs, rows).mT if by_columns else torch.randn(rows, inputs)
    parts = [x.requires_grad_(True), (torch.randn(outputs, inputs) / inputs**0.5).requires_grad_(True)]
    assert dense._is_thin(*parts) == ((rows if by_columns else inputs) % loops.WIDTH == 0)
    torch.testing.assert_close(linear(*parts), F.linear(*parts), atol=2e-4, rtol=2e-4)
    got_all = derivatives(lambda *inputs: linear(*inputs).tanh(), parts)
    expected_all = derivatives(lambda *inputs: F.linear(*inputs).tanh(), parts)
    for got, expected in zip(got_all, expected_all, strict=True):
        torch.testing.assert_close(got, expected, atol=1e-3, rtol=1e-3)


def test_thin_products_of_many_matrices_equal_those_of_torch(monkeypatch):
    torch.manual_seed(0)
    monkeypatch.setattr(dense, "_SMALLEST_THIN", 1)
    parts = [torch.randn(3, 40, 32).requires_grad_(True), (torch.randn(3, 32, 6) / 6).requires_grad_(True)]
    assert dense._is_thin(parts[0][0], parts[1][0].mT)
    got_all = derivatives(lambda *inputs: products(*inputs).tanh(), parts)
    expected_all = derivatives(lambda *inputs: torch.bmm(*inputs).tanh(), parts)
    for got, expected in zip(got_all, expected_all, strict=True):
        torch.testing.assert_close(got, expected, atol=2e-4, rtol=2e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("sizes", [(16, 16), (50, 37), (3, 40), (40, 3)])
def test_matrices_are_transposed_by_squares_and_what_remains(sizes, dtype):
    x = torch.randn(sizes, dtype=dtype).mT
    rows = dense.by_rows(x)
    assert rows.is_contiguous()
    assert torch.equal(rows, x)


def test_float64_and_small_products_are_those_of_torch():
    x, weight = torch.randn(400, 200), torch.randn(100, 200)
    assert torch.equal(linear(x.double(), weight.double()), F.linear(x.double(), weight.double()))
    assert torch.equal(linear(x[:2], weight), F.linear(x[:2], weight))


@pytest.mark.parametrize("sizes", [(40, 6, 30), (40, 30, 6), (5, 30, 6), (9, 8, 9)])
def test_products_and_their_derivatives_equal_those_of_torch(sizes):
    torch.manual_seed(0)
    rows, inputs, outputs = sizes
    shapes = ((3, rows, inputs), (3, inputs, outputs))
    parts = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    got_all = derivatives(lambda *inputs: products(*inputs).tanh(), parts)
    expected_all = derivatives(lambda *inputs: torch.bmm(*inputs).tanh(), parts)
    for got, expected in zip(got_all, expected_all, strict=True):
        torch.testing.assert_close(got, expected, atol=1e-12, rtol=1e-12)
    with without_weight_gradients():
        by_x, by_maps = torch.autograd.grad(products(*parts).sum(), parts, allow_unused=True)
    assert by_maps is None
    torch.testing.assert_close(by_x, torch.autograd.grad(torch.bmm(*parts).sum(), parts)[0])


def test_derivatives_by_positions_leave_weights_out_but_can_be_differentiated_by_them(eager):
    torch.manual_seed(0)
    layer, x = Linear(8, 5), torch.randn(40, 8, requires_grad=True)
    energy = layer(x).square().sum()
    with without_weight_gradients():
        by_x, by_weight = torch.autograd.grad(energy, [x, layer.weight], create_graph=True, allow_unused=True)
    assert by_weight is None
    got = torch.autograd.grad(by_x.square().sum(), [layer.weight, layer.bias])
    plain = F.linear(x, layer.weight, layer.bias).square().sum()
    (by_x,) = torch.autograd.grad(plain, x, create_graph=True)
    expected = torch.autograd.grad(by_x.square().sum(), [layer.weight, layer.bias])
    torch.testing.assert_close(got, expected, atol=1e-3, rtol=1e-4)
    assert torch.autograd.grad(layer(x).sum(), layer.weight)[0].abs().max() > 0  # outside they are there


def test_products_in_tiles_equal_those_of_torch(eager):
    torch.manual_seed(0)
    x, maps = torch.randn(1, 40, 6).expand(3, -1, -1), torch.randn(3, 32, 6).mT
    torch.testing.assert_close(products(x, maps), torch.bmm(x, maps), atol=1e-5, rtol=1e-5)
    parts = [part.detach().requires_grad_(True) for part in (x, maps)]
    got_all = derivatives(lambda *inputs: products(*inputs).tanh(), parts)
    expected_all = derivatives(lambda *inputs: torch.bmm(*inputs).tanh(), parts)
    for got, expected in zip(got_all, expected_all, strict=True):
        torch.testing.assert_close(got, expected, atol=2e-4, rtol=2e-4)


def begin_and_end(loop, count, *arguments):
    """Run a loop over the first half of its items, then over the others."""
    call = loops.Call(loop, count, arguments)
    for begin, end in ((0, count // 2), (count // 2, count)):
        call._entry.run(call._words, begin, end)
        yield end


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("sizes", [(1, 1, 16), (13, 300, 112), (29, 513, 48), (6, 7, 64), (8, 96, 176)])
def test_tiles_of_any_size_make_the_product(sizes, dtype):
    rows, depth, columns = sizes
    random = torch.Generator().manual_seed(0)
    a, b, start = (
        torch.randn(size, generator=random, dtype=dtype)
        for size in ((rows, depth), (depth, columns), (rows, columns))
    )
    exact = (start.double() + a.double() @ b.double()).to(dtype)
    factors = [b]
    if depth % loops.WIDTH == 0:
        factors += [panels_of(b)[0], panels_of(b.mT.contiguous())[1]]
    for x in (a, a.mT.contiguous().mT):
        for factor in factors:
            out = torch.full_like(start, torch.nan)
            for end in begin_and_end(loops.multiply, rows, x, factor, start, out):
                assert out[end:].isnan().all()
            torch.testing.assert_close(out, exact, atol=1000 * torch.finfo(dtype).eps, rtol=0)


def panels_of(weight):
    """Those of a matrix and of its transpose."""
    table = torch.tensor([[0, -1, 0, weight.shape[1], len(weight), 0, 0, 0]])
    out, turned = torch.empty(2, weight.numel(), dtype=weight.dtype)
    for _ in begin_and_end(loops.lay_out, 1, table, weight.reshape(-1), out, turned):
        pass
    return out, turned
