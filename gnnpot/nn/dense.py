"""Dense layers by the faster of two libraries.

On a CPU torch multiplies matrices with MKL, which leaves the wide registers of AMD's processors unused;
oneDNN, which torch brings too, uses them and is up to 2.3 times as fast.
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
from torch import Tensor, nn

from gnnpot.nn.fused import fusible, over_items

_SMALLEST = 1 << 21  # multiplications in a product for which oneDNN's longer call pays
_SMALLEST_TURNED = 1 << 22  # the same where a matrix is to be transposed
_THIN = 8  # columns of a thin matrix
_weights_aside: ContextVar[bool] = ContextVar("weights_aside", default=False)


class Linear(nn.Linear):
    """torch's dense layer by :func:`linear`."""

    def forward(self, x: Float[Tensor, "N I"]) -> Float[Tensor, "N O"]:
        """Of each row the product with the weight, and the bias."""
        return linear(x, self.weight, self.bias)


def linear(
    x: Float[Tensor, "N I"], weight: Float[Tensor, "O I"], bias: Float[Tensor, "O"] | None = None
) -> Float[Tensor, "N O"]:
    """``x`` times the transposed ``weight``, and ``bias``; differentiable any number of times.

    Args:
        x: Features.
        weight: Of a layer; inside :func:`weights_aside` its gradient is left out.
        bias: To add to each row.
    """
    if _pays(x, weight):
        return _linear(x, weight, bias)
    return F.linear(x, weight, bias)


def products(x: Float[Tensor, "M P I"], maps: Float[Tensor, "M I O"]) -> Float[Tensor, "M P O"]:
    """Of each x the rows times its map, for maps between few and many; differentiable any number of times.

    Args:
        x: Features.
        maps: Made of weights; inside :func:`weights_aside` their gradient is left out.
    """
    return _products(x, maps)


@contextmanager
def weights_aside() -> Iterator[None]:
    """Have derivatives that are taken inside leave out those by the weights of dense layers.

    For derivatives by positions: autograd would compute those by weights for nothing.
    """
    token = _weights_aside.set(True)
    try:
        yield
    finally:
        _weights_aside.reset(token)


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _onednn(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        x, weight = ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.needs_input_grad
        if _weights_aside.get():
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
        if maps.shape[2] <= _THIN < x.shape[1]:  # MKL is up to five times as fast with the thin matrix first
            return torch.bmm(maps.mT, x.mT).mT
        return torch.bmm(x, maps)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        x, maps = ctx.saved_tensors
        of_x, of_maps = ctx.needs_input_grad
        return (
            products(gradient, maps.mT) if of_x else None,
            products(x.mT, gradient) if of_maps and not _weights_aside.get() else None,
        )


_products: Callable[..., Tensor] = _Products.apply


def _pays(x: Tensor, weight: Tensor) -> bool:
    return (
        x.dtype is torch.float32
        and x.ndim == 2
        and x.numel() * len(weight) >= (_SMALLEST if x.is_contiguous() else _SMALLEST_TURNED)
        and x.device.type == "cpu"
        and _has_onednn()
    )


@cache
def _has_onednn() -> bool:
    """Whether there are wide registers, and this version of torch takes the call and answers right."""
    if torch.backends.cpu.get_cpu_capability() != "AVX512" or not torch.backends.mkldnn.is_available():
        return False
    x, weight, bias = torch.arange(6.0).view(2, 3), torch.arange(12.0).view(4, 3), torch.arange(4.0)
    try:
        return torch.allclose(_call(x, weight, bias), F.linear(x, weight, bias))
    except (AttributeError, RuntimeError, TypeError):
        return False


def _onednn(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    if bias is None and not x.is_contiguous() and len(weight) < len(x):  # the smaller one is turned
        return _call(_by_rows(weight), _dense(x), None).mT.contiguous()
    return _call(_by_rows(x), _dense(weight), bias)


def _by_rows(x: Tensor) -> Tensor:
    """The matrix row after row in memory: oneDNN would turn it slowly."""
    if x.is_contiguous() or not x.mT.is_contiguous() or not fusible(x):
        return x.contiguous()
    from gnnpot.nn import loops

    out = torch.empty(x.shape, dtype=x.dtype)
    over_items(loops.transpose, -(-x.shape[1] // loops.WIDTH), x.mT, out)
    return out


def _call(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    product: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return product


def _dense(matrix: Tensor) -> Tensor:
    """The matrix without gaps between rows or columns, with which oneDNN is slow."""
    return matrix if matrix.is_contiguous() or matrix.mT.is_contiguous() else matrix.contiguous()
