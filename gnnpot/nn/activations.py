"""Activations as layers."""

from __future__ import annotations

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor, nn

from gnnpot.config.choices import ActivationName
from gnnpot.ops.activations import shifted_softplus, silu


class SiLU(nn.Module):
    """:func:`silu` as a layer."""

    def forward(self, x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Apply it to each element."""
        return silu(x)


class ShiftedSoftplus(nn.Module):
    """:func:`shifted_softplus` as a layer."""

    def forward(self, x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Apply it to each element."""
        return shifted_softplus(x)


ACTIVATION_LAYERS: dict[ActivationName, Callable[[], nn.Module]] = {
    "celu": lambda: nn.CELU(alpha=0.1),  # ANI's choice of alpha
    "gelu": nn.GELU,
    "silu": SiLU,
    "ssp": ShiftedSoftplus,
    "tanh": nn.Tanh,
}
