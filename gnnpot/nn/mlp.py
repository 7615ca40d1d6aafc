"""Dense stacks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from gnnpot.config.choices import ActivationName
from gnnpot.nn.activations import ACTIVATION_LAYERS
from gnnpot.ops.mlp import chain, layer_of
from gnnpot.ops.products import linear


class Linear(nn.Linear):
    """torch's dense layer by :func:`linear`."""

    def forward(self, x: Float[Tensor, "N I"]) -> Float[Tensor, "N O"]:
        """Of each row the product with the weight, and the bias."""
        return linear(x, self.weight, self.bias)


class Dense(nn.Sequential):
    """Linear layers of these widths, with an activation after each but the last.

    Args:
        widths: Widths of the input and of all layers.
        activation: Name of the activation.
    """

    def __init__(self, widths: Sequence[int], activation: ActivationName) -> None:
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(widths):
            layers += [Linear(inputs, outputs), ACTIVATION_LAYERS[activation]()]
        super().__init__(*layers[:-1])
        self.activation = activation

    def forward(
        self, x: Float[Tensor, "N I"], skip: Float[Tensor, "N O"] | None = None
    ) -> Float[Tensor, "N O"]:
        """Values of the last layer, with ``skip``."""
        inputs = [x] if skip is None else [x, skip]
        layers = [
            layer_of(layer, number and number + len(inputs) - 1, activation=self.activation)
            for number, layer in enumerate(layer for layer in self if isinstance(layer, nn.Linear))
        ]
        layers[-1] = layers[-1]._replace(skip=None if skip is None else 1, activation=None)
        return chain(layers, *inputs)

    def hidden(self, x: Float[Tensor, "N I"]) -> Float[Tensor, "N H"]:
        """Values of the last hidden layer, in which those of the last layer are linear."""
        *layers, _ = [layer for layer in self if isinstance(layer, nn.Linear)]
        if not layers:
            return x
        return chain(
            [layer_of(layer, number, activation=self.activation) for number, layer in enumerate(layers)], x
        )


class PerElement(nn.Module):
    """One network for each element; every atom goes through that of its own.

    Args:
        networks: One network for each of the model's elements, in their order, with one output.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, x: Float[Tensor, "N F"], rows: Int[Tensor, "N"]) -> Float[Tensor, "N"]:
        """Output of the network of each atom.

        Args:
            x: Features of the atoms.
            rows: Place of each atom's element in the list of networks.
        """
        if len(self.networks) == 1:
            return self.networks[0](x).squeeze(-1)
        order = torch.argsort(rows)
        parts = x.index_select(0, order).split(torch.bincount(rows, minlength=len(self.networks)).tolist())
        outputs = torch.cat([network(part) for network, part in zip(self.networks, parts, strict=True)])
        return torch.zeros_like(x[:, 0]).index_copy(0, order, outputs.squeeze(-1))
