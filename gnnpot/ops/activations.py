"""Activations with few passes over memory in all derivatives."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from gnnpot.config.choices import ActivationName
from gnnpot.kernels.dispatch import operation, over_items, second_derivatives, twice_differentiable

_LINEAR = 40.0  # from where on softplus is its argument, to all digits of float64


@operation
def silu(x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """The function x / (1 + e⁻ˣ)."""
    return F.silu(x)


@operation
def shifted_softplus(x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    r"""ln(½ eˣ + ½), SchNet's activation: smooth, zero at zero.

    Source: Schütt et al., J. Chem. Phys. 148, 241722 (2018).
    """
    return F.softplus(x, threshold=_LINEAR) - math.log(2.0)


ACTIVATIONS: dict[ActivationName, Callable[[Tensor], Tensor]] = {
    "celu": partial(F.celu, alpha=0.1),  # ANI's choice of alpha
    "gelu": F.gelu,
    "silu": silu,
    "ssp": shifted_softplus,
    "tanh": torch.tanh,
}


def _silu_values(_: None, x: Tensor) -> Tensor:
    return F.silu(x)


def _silu_first(_: None, gradient: Tensor, x: Tensor) -> tuple[Tensor, ...]:
    return (torch.ops.aten.silu_backward.default(gradient, x),)


def _silu_second(_: None, upstream: tuple[Tensor, ...], gradient: Tensor, x: Tensor) -> tuple[Tensor, ...]:
    from gnnpot.kernels import loops

    out = torch.sigmoid(x), torch.empty_like(x)
    over_items(loops.silu_second, x.numel(), *_flat(*upstream, gradient, x, *out))
    return out


_silu = twice_differentiable(_silu_values, _silu_first, _silu_second)


def _softplus_values(_: None, x: Tensor) -> Tensor:
    return F.softplus(x, threshold=_LINEAR).sub_(math.log(2.0))


def _softplus_first(_: None, gradient: Tensor, x: Tensor) -> tuple[Tensor, ...]:
    return (torch.sigmoid(x).mul_(gradient),)


def _softplus_second(
    _: None, upstream: tuple[Tensor, ...], gradient: Tensor, x: Tensor
) -> tuple[Tensor, ...]:
    from gnnpot.kernels import loops

    out = torch.sigmoid(x), torch.empty_like(x)
    over_items(loops.softplus_second, x.numel(), *_flat(*upstream, gradient, *out))
    return out


_softplus = twice_differentiable(_softplus_values, _softplus_first, _softplus_second)


@silu.compiled
def _(x: Tensor) -> Any:
    return _silu(None, x) if second_derivatives() else NotImplemented


@shifted_softplus.compiled
def _(x: Tensor) -> Any:
    return _softplus(None, x) if second_derivatives() else NotImplemented


def _flat(*tensors: Tensor) -> list[Tensor]:
    return [tensor.view(-1) for tensor in tensors]
