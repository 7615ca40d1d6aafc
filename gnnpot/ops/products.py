"""Dense layers, the products of large matrices by compiled loops.

On a CPU torch multiplies matrices with MKL, which leaves the wide registers of AMD's processors unused, and
takes long to begin where matrices are small.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from gnnpot.kernels.dispatch import fusible, over_items, second_derivatives

_SMALLEST = 1 << 18  # multiplications in a product for which a call of compiled loops pays
_SMALLEST_THIN = 1 << 15  # the same with a thin matrix, with which MKL is slow
_SMALLEST_ONCE = 1 << 12  # the same in dynamics, where calls are recorded
_THIN = 8  # columns of a thin matrix
_FLAT = 6  # rows that fill a tile
_without_weight_gradients: ContextVar[bool] = ContextVar("without_weight_gradients", default=False)


def linear(
    x: Float[Tensor, "N I"], weight: Float[Tensor, "O I"], bias: Float[Tensor, "O"] | None = None
) -> Float[Tensor, "N O"]:
    """``x`` times the transposed ``weight``, and ``bias``; differentiable any number of times.

    Args:
        x: Features.
        weight: Weight of a layer; inside :func:`without_weight_gradients` its gradient is left out.
        bias: Vector to add to each row.
    """
    if _pays(x, weight) or (bias is None and _is_thin(x, weight)):
        return _linear(x, weight, bias)
    if bias is None and len(weight) < _THIN < len(x):  # the thin matrix first: see _Products
        return (weight @ x.mT).mT
    return F.linear(x, weight, bias)


def skips_weight_gradients() -> bool:
    """Whether this is inside :func:`without_weight_gradients`."""
    return _without_weight_gradients.get()


def products(x: Float[Tensor, "M P I"], maps: Float[Tensor, "M I O"]) -> Float[Tensor, "M P O"]:
    """Of each x the rows times its map, for maps between few and many; differentiable any number of times.

    Args:
        x: Features.
        maps: Made of weights; inside :func:`without_weight_gradients` their gradient is left out.
    """
    return _products(x, maps)


@contextmanager
def without_weight_gradients() -> Iterator[None]:
    """Have derivatives that are taken inside leave out those by the weights of dense layers.

    For derivatives by positions: autograd would compute those by weights for nothing.
    """
    token = _without_weight_gradients.set(True)
    try:
        yield
    finally:
        _without_weight_gradients.reset(token)


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _in_tiles(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        x, weight = ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.needs_input_grad
        if _without_weight_gradients.get():
            of_weight = of_bias = False
        return (
            linear(gradient, weight.mT) if of_x else None,
            linear(gradient.mT, x.mT) if of_weight else None,
            gradient.sum(0) if of_bias else None,
        )


_linear: Callable[..., Tensor] = _Linear.apply


class _Products(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, maps: Tensor) -> Tensor:
        ctx.save_for_backward(x, maps)
        if _pays(x[0], maps[0].mT) and _fills_vectors(maps):
            return _each_in_tiles(x, maps)
        if _is_thin(x[0], maps[0].mT):
            by_rows = x.stride(2) == 1
            return _thin_in_vectors(x, maps.mT) if by_rows else _each_in_tiles(maps.mT, x.mT).mT
        if maps.shape[2] <= _THIN < x.shape[1]:  # MKL is up to five times as fast with the thin matrix first
            return torch.bmm(maps.mT, x.mT).mT
        return torch.bmm(x, maps)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        x, maps = ctx.saved_tensors
        of_x, of_maps = ctx.needs_input_grad
        return (
            products(gradient, maps.mT) if of_x else None,
            products(x.mT, gradient) if of_maps and not _without_weight_gradients.get() else None,
        )


_products: Callable[..., Tensor] = _Products.apply


def _pays(x: Tensor, weight: Tensor) -> bool:
    return (
        x.dtype is torch.float32
        and x.ndim == 2
        and x.numel() * len(weight) >= _least(_SMALLEST)
        and len(x) >= _FLAT
        and len(weight) >= _THIN
        and x.device.type == "cpu"
        and fusible(x)
        and _has_wide_registers()
    )


def _is_thin(x: Tensor, weight: Tensor) -> bool:
    """Whether the product has few columns and is made by compiled loops, of x by rows or by columns."""
    return (
        x.dtype is torch.float32
        and x.ndim == 2
        and len(weight) < _THIN < len(x)
        and x.numel() * len(weight) >= _least(_SMALLEST_THIN)
        and fusible(x)
        and (_fills_vectors(x) if x.stride(1) == 1 else _fills_vectors(x.mT))
    )


def _least(size: int) -> int:
    """Multiplications for which a call pays, ``size`` of them where it is not recorded."""
    return size if second_derivatives() else _SMALLEST_ONCE


@cache
def _has_wide_registers() -> bool:
    from gnnpot.kernels import loops

    return loops.WIDE


def _fills_vectors(matrix: Tensor) -> bool:
    from gnnpot.kernels import loops

    return matrix.shape[-1] % loops.WIDTH == 0


def _in_tiles(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The product by compiled loops, which read the transposed weight row after row."""
    from gnnpot.kernels import loops

    rows, columns = len(x), len(weight)
    if columns < _THIN and x.stride(1) == 1:
        return _thin_in_vectors(x[None], weight[None])[0]
    rest = -columns % loops.WIDTH
    if rest and bias is None and rows % loops.WIDTH == 0:
        return _in_tiles(weight, x, None).mT.contiguous()
    if rest:
        weight = F.pad(weight, (0, 0, 0, rest))
        bias = None if bias is None else F.pad(bias, (0, rest))
    out = x.new_empty(rows, len(weight))
    x = x if x.is_contiguous() or x.mT.is_contiguous() else x.contiguous()
    over_items(loops.multiply, rows, x, by_rows(weight.mT), as_row(bias, out), out)
    return out[:, :columns].contiguous() if rest else out


def _each_in_tiles(x: Tensor, maps: Tensor) -> Tensor:
    from gnnpot.kernels import loops

    out = x.new_empty(len(x), x.shape[1], maps.shape[2])
    over_items(loops.multiply_each, x.shape[1], x, maps.contiguous(), as_row(None, out), out)
    return out


def _thin_in_vectors(x: Tensor, weights: Tensor) -> Tensor:
    """Of each x the product with its transposed weight, which has few rows."""
    from gnnpot.kernels import loops

    out = x.new_empty(*x.shape[:2], weights.shape[1])
    over_items(loops.multiply_thin, x.shape[1], x.contiguous(), weights.contiguous(), out)
    return out


def as_row(bias: Tensor | None, like: Tensor) -> Tensor:
    """The bias, or zeros: what each row of a product of the form of ``like`` begins with."""
    return (_zeros(like.shape[-1], like.dtype) if bias is None else bias)[None]


@cache
def _zeros(width: int, dtype: torch.dtype) -> Tensor:
    return torch.zeros(width, dtype=dtype)


def by_rows(x: Tensor) -> Tensor:
    """The matrix row after row in memory."""
    if x.is_contiguous() or not x.mT.is_contiguous() or not fusible(x):
        return x.contiguous()
    from gnnpot.kernels import loops

    out = torch.empty(x.shape, dtype=x.dtype)
    over_items(loops.transpose, -(-x.shape[1] // loops.WIDTH), x.mT, out)
    return out
