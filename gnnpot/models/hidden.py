"""The last hidden layer of any model: features of atoms in which their energies are linear."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gnnpot.errors import DataError
from gnnpot.graph.graph import AtomicGraph
from gnnpot.models.base import AtomicEnergyModel
from gnnpot.nn.mlp import Dense, PerElement


def hidden_features(model: AtomicEnergyModel, graph: AtomicGraph) -> Float[Tensor, "N F"]:
    """Inputs of the model's last layers, side by side.

    A model with several readouts has those of each; one with a network for each element has columns of its
    own for each.

    Args:
        model: Any model whose energies are outputs of linear layers of width one.
        graph: One structure, or a batch.

    Raises:
        DataError: The model has no such layers.
    """
    with watched(model) as hidden:
        model.atomic_energies(graph)
    return hidden()


@contextmanager
def watched(model: AtomicEnergyModel) -> Iterator[Callable[[], Float[Tensor, "N F"]]]:
    """Watch the model make the energies of one graph; gives what tells its hidden features afterwards.

    Args:
        model: Any model whose energies are outputs of linear layers of width one.

    Raises:
        DataError: The model has no such layers.
    """
    outputs = list(_outputs(model))
    if not outputs:
        raise DataError(
            f"expected a model that ends with linear layers of width 1, got {model.config.kind}; choose by "
            "spread instead of features"
        )
    calls: list[tuple[nn.Module, tuple[Any, ...]]] = []

    def note(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        calls.append((module, inputs))

    with ExitStack() as stack:
        for module in outputs:
            stack.callback(module.register_forward_pre_hook(note).remove)
        yield lambda: torch.cat([_hidden(module, *inputs) for module, inputs in calls], dim=1)


def last_layer(model: AtomicEnergyModel) -> list[str]:
    """Names of the weights and biases in which the energies are linear, those of the model's last layers."""
    last = {layer for module in _outputs(model) for layer in _last_linear(module)}
    layers = [(prefix, module) for prefix, module in model.named_modules() if module in last]
    return [f"{prefix}.{name}" for prefix, module in layers for name, _ in module.named_parameters()]


def _outputs(model: AtomicEnergyModel) -> Iterator[nn.Module]:
    """The modules that end with a layer of width one, the outermost only."""
    inside: set[nn.Module] = set()
    for module in model.modules():
        is_output = isinstance(module, PerElement) or _width(module) == 1
        if is_output and module not in inside:
            inside |= set(module.modules())
            yield module


def _last_linear(module: nn.Module) -> list[nn.Module]:
    if isinstance(module, PerElement):
        return [layer for network in module.networks for layer in _last_linear(network)]
    return [module[-1]] if isinstance(module, Dense) else [module]


def _width(module: nn.Module) -> int:
    layers = list(module) if isinstance(module, Dense) else [module]
    return layers[-1].out_features if isinstance(layers[-1], nn.Linear) else 0


def _hidden(module: nn.Module, x: Tensor, *rows: Tensor) -> Tensor:
    if isinstance(module, Dense):
        return module.hidden(x)
    if not isinstance(module, PerElement):
        return x
    if len(module.networks) == 1:
        return _hidden(module.networks[0], x)
    parts = [_hidden(network, x) for network in module.networks]
    return torch.cat([part * (rows[0] == number)[:, None] for number, part in enumerate(parts)], dim=1)
