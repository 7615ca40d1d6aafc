"""What tests compare of two ways to evaluate a function."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def derivatives(function: Callable[..., Tensor], inputs: list[Tensor]) -> list[Tensor]:
    """Value, gradients, and gradients of a function of the gradients."""
    torch.manual_seed(1)
    value = function(*inputs)
    weights = torch.randn(value.shape, dtype=value.dtype).requires_grad_(True)
    first = torch.autograd.grad((value * weights).sum(), inputs, create_graph=True)
    mixed = sum((part * torch.randn(part.shape, dtype=part.dtype)).sum() for part in first)
    return [value, *first, *torch.autograd.grad(mixed, [weights, *inputs], materialize_grads=True)]
