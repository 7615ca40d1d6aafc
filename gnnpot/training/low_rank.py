"""Low-rank updates of dense layers."""

from __future__ import annotations

import math
from collections.abc import Iterable
from copy import deepcopy
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import parametrize, skip_init

from gnnpot.nn.mlp import Linear

Module = TypeVar("Module", bound=nn.Module)


class LowRank(nn.Module):
    r"""The weight of a layer plus an update of low rank, :math:`W + B A`, which starts at zero.

    Source: Hu et al., ICLR 2022, arXiv:2106.09685, eq. 3, without its constant factor.

    Args:
        weight: W.
        rank: Rows of A and columns of B.
        generator: Draws A.
    """

    def __init__(self, weight: Float[Tensor, "O I"], rank: int, generator: torch.Generator) -> None:
        super().__init__()
        outputs, inputs = weight.shape
        first = torch.randn(rank, inputs, generator=generator, dtype=torch.float64) / math.sqrt(inputs)
        self.first = nn.Parameter(first.to(weight))
        self.second = nn.Parameter(weight.new_zeros(outputs, rank))

    def forward(self, weight: Float[Tensor, "O I"]) -> Float[Tensor, "O I"]:
        """The updated weight."""
        return weight + self.second @ self.first


def add_low_rank(layers: Iterable[nn.Linear], rank: int) -> list[nn.Linear]:
    """Freeze the weights of these layers and train low-rank updates of them; gives the layers changed.

    Layers in which the update would be no smaller than the weight keep it.
    """
    generator = torch.Generator().manual_seed(0)
    changed = []
    for layer in layers:
        weight = layer.weight
        if rank * sum(weight.shape) < weight.numel():
            parametrize.register_parametrization(layer, "weight", LowRank(weight, rank, generator))
            layer.parametrizations.weight.original.requires_grad_(False)  # type: ignore[union-attr]
            changed.append(layer)
    return changed


def merged(module: Module) -> Module:
    """The module with its updates added to plain weights: a copy, if there are any."""
    if not any(parametrize.is_parametrized(layer) for layer in module.modules()):
        return module
    plain = deepcopy(module)
    for owner in list(plain.modules()):
        for name, child in list(owner.named_children()):
            if isinstance(child, nn.Linear) and parametrize.is_parametrized(child):
                setattr(owner, name, _plain(child))
    return plain


@torch.no_grad()
def _plain(layer: nn.Linear) -> nn.Linear:
    """A new layer of the same values: torch's own removal would also undo the layer that was copied."""
    weight, bias = layer.weight, layer.bias
    linear = skip_init(
        Linear, layer.in_features, layer.out_features, bias=bias is not None,
        device=weight.device, dtype=weight.dtype,
    )  # fmt: skip
    linear.weight.copy_(weight)
    if bias is not None:
        linear.bias.copy_(bias)
    return linear
