"""Chains of dense layers with silu, differentiated twice by hand.

Layer after layer, each product, activation and derivative of an edge's features goes to memory and back.  In
a chain a layer is one compiled loop that activates some rows while they are in the cache, and all that is
kept of it are the arguments of its activation; its values are made of them again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from gnnpot.nn.activations import silu
from gnnpot.nn.dense import as_row, by_rows, linear, product, weights_are_aside
from gnnpot.nn.fused import fusible, over_items


class Layer(NamedTuple):
    """A layer silu(x Wᵀ + b) of a chain.

    All values of a chain are numbered: first the inputs, then those of the layers.

    Args:
        weight: W.
        bias: b, if any.
        source: Number of x.
        skip: Number of the values that are added to those of the layer, if any.
    """

    weight: Float[Tensor, "O I"]
    bias: Float[Tensor, "O"] | None
    source: int
    skip: int | None = None


def chain(layers: Sequence[Layer], *inputs: Float[Tensor, "N I"]) -> Float[Tensor, "N O"]:
    """Values of the last layer.

    Inside :func:`~gnnpot.nn.dense.weights_aside` derivatives leave out those by the weights, and what they
    give can be differentiated once more, by everything; elsewhere any number of times.

    Args:
        layers: Each of values before it.
        inputs: Of the same rows.
    """
    if not _fits(layers, inputs):
        return _by_torch(layers, inputs)
    links = tuple((layer.source, layer.skip) for layer in layers)
    tensors = [layer.weight for layer in layers] + [layer.bias for layer in layers]
    values = [part.contiguous() for part in inputs]
    return _values(Wiring(len(inputs), links), *values, *tensors)[0]


class Wiring(NamedTuple):
    """What the layers of a chain take."""

    num_inputs: int
    links: tuple[tuple[int, int | None], ...]  # source and skip of each layer

    def split(self, tensors: Sequence[Any]) -> list[Sequence[Any]]:
        """Inputs, weights, biases and what follows of layers."""
        rest, count = tensors[self.num_inputs :], len(self.links)
        return [tensors[: self.num_inputs], *(rest[at : at + count] for at in range(0, len(rest), count))]


class _Values(torch.autograd.Function):
    """The last values, and the arguments of all activations, of which forces are functions, too."""

    @staticmethod
    def forward(ctx: Any, wiring: Wiring, *tensors: Any) -> tuple[Tensor, ...]:
        inputs, weights, biases = wiring.split(tensors)
        values, arguments = [*inputs], []
        for (source, skip), weight, bias in zip(wiring.links, weights, biases, strict=True):
            argument, value = _layer(values[source], weight, bias, None if skip is None else values[skip])
            arguments.append(argument)
            values.append(value)
        ctx.wiring = wiring
        ctx.save_for_backward(*tensors, *arguments)
        ctx.set_materialize_grads(False)
        return values[-1], *arguments

    @staticmethod
    def backward(ctx: Any, gradient: Tensor | None, *changes: Tensor | None) -> Any:
        wiring, tensors = ctx.wiring, ctx.saved_tensors
        _, weights, biases, arguments = wiring.split(tensors)
        gradient = torch.zeros_like(arguments[-1]) if gradient is None else gradient.contiguous()
        if not torch.is_grad_enabled():
            _, *needed, _ = wiring.split((*ctx.needs_input_grad[1:], *arguments))
            if weights_are_aside():
                needed = [[False] * len(weights)] * 2
            return None, *_gradients(wiring, gradient, changes, tensors, needed)
        if any(change is not None for change in changes):
            raise RuntimeError("a chain of layers is not differentiated a third time")
        if weights_are_aside():
            of_inputs = _gradients_of_inputs(wiring, gradient, *arguments, *weights)
            return None, *of_inputs, *[None] * (len(weights) + len(biases))
        return None, *_gradients_by_torch(wiring, gradient, tensors)


_values: Callable[..., tuple[Tensor, ...]] = _Values.apply


class _First(torch.autograd.Function):
    """Gradients of the inputs."""

    @staticmethod
    def forward(ctx: Any, wiring: Wiring, gradient: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        count = len(wiring.links)
        back = _Back(wiring, gradient, tensors[:count], tensors[count:])
        of_values = [of_value for _, of_value, _ in back]
        ctx.wiring = wiring
        ctx.save_for_backward(*reversed(of_values), *tensors)
        return back.of_inputs()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *upstream: Tensor) -> Any:
        count = len(ctx.wiring.links)
        of_values, arguments, weights = (ctx.saved_tensors[part * count :][:count] for part in range(3))
        needed = ctx.needs_input_grad[-count:]
        changes, of_arguments, of_weights = [part.contiguous() for part in upstream], [], []
        for layer, (source, skip) in enumerate(ctx.wiring.links):
            skipped = None if skip is None else changes[skip]
            change, slope, of_argument = _second(
                changes[source], weights[layer], of_values[layer], arguments[layer], skipped
            )
            of_weights.append(product(slope.mT, changes[source].mT) if needed[layer] else None)
            of_arguments.append(of_argument)
            changes.append(change)
        return None, changes[-1], *of_arguments, *of_weights


_gradients_of_inputs: Callable[..., tuple[Tensor, ...]] = _First.apply


class _Back:
    """A walk from the last layer to the inputs: of each the gradient by its values and by its argument."""

    def __init__(
        self,
        wiring: Wiring,
        gradient: Tensor,
        arguments: Sequence[Tensor],
        weights: Sequence[Tensor],
        changes: Sequence[Tensor | None] | None = None,
    ) -> None:
        self.wiring, self.arguments, self.weights = wiring, arguments, weights
        self.changes = changes or [None] * len(weights)
        self._sums = {wiring.num_inputs + len(weights) - 1: gradient}

    def __iter__(self) -> Iterator[tuple[int, Tensor, Tensor]]:
        sums = self._sums
        for layer, (source, skip) in reversed(list(enumerate(self.wiring.links))):
            gradient = sums.pop(self.wiring.num_inputs + layer)
            if skip is not None:
                sums[skip] = sums[skip] + gradient if skip in sums else gradient
            slope, sums[source] = _first(
                gradient, self.arguments[layer], self.changes[layer], self.weights[layer], sums.get(source)
            )
            yield layer, gradient, slope

    def of_inputs(self) -> tuple[Tensor, ...]:
        """Gradients of the inputs, after the walk."""
        return tuple(self._sums[place] for place in range(self.wiring.num_inputs))


def _gradients(
    wiring: Wiring,
    gradient: Tensor,
    changes: Sequence[Tensor | None],
    tensors: Sequence[Any],
    needed: Sequence[Sequence[bool]],
) -> list[Tensor | None]:
    """Gradients of the inputs, and of those weights and biases that need one."""
    inputs, weights, _, arguments = wiring.split(tensors)
    back = _Back(wiring, gradient, arguments, weights, changes)
    gradients: list[list[Tensor | None]] = [[None] * len(weights), [None] * len(weights)]
    values = [*inputs]
    if any(needed[0]):
        for (_, skip), argument in zip(wiring.links[:-1], arguments, strict=False):
            values.append(_activated(argument, None if skip is None else values[skip]))
    for layer, _, slope in back:
        if needed[0][layer]:
            gradients[0][layer] = product(slope.mT, values[wiring.links[layer][0]].mT)
        if needed[1][layer]:
            gradients[1][layer] = slope.sum(0)
    return [*back.of_inputs(), *gradients[0], *gradients[1]]


def _gradients_by_torch(wiring: Wiring, gradient: Tensor, tensors: Sequence[Any]) -> list[Tensor | None]:
    """The same, differentiable again."""
    inputs, weights, biases, _ = wiring.split(tensors)
    parts = *inputs, *weights, *biases
    wanted = [part for part in parts if part is not None and part.requires_grad]
    layers = [Layer(*layer) for layer in zip(weights, biases, *zip(*wiring.links, strict=True), strict=True)]
    found = iter(torch.autograd.grad(_by_torch(layers, inputs), wanted, gradient, create_graph=True))
    return [next(found) if part is not None and part.requires_grad else None for part in parts]


def _by_torch(layers: Sequence[Layer], inputs: Sequence[Tensor]) -> Tensor:
    values = [*inputs]
    for layer in layers:
        out = silu(linear(values[layer.source], layer.weight, layer.bias))
        values.append(out if layer.skip is None else out + values[layer.skip])
    return values[-1]


def _fits(layers: Sequence[Layer], inputs: Sequence[Tensor]) -> bool:
    if not fusible(inputs[0]) or not len(inputs[0]):
        return False
    from gnnpot.nn import loops

    return not any(size % loops.WIDTH for layer in layers for size in layer.weight.shape)


def _layer(x: Tensor, weight: Tensor, bias: Tensor | None, skip: Tensor | None) -> tuple[Tensor, Tensor]:
    """Argument of the activation of a layer, and the values."""
    from gnnpot.nn import loops

    argument = x.new_empty(len(x), len(weight))
    start, out = as_row(bias, argument), torch.empty_like(argument)
    over_items(loops.layer, len(x), x, by_rows(weight.mT), start, _rows(skip, x), argument, out)
    return argument, out


def _activated(argument: Tensor, skip: Tensor | None) -> Tensor:
    """The values from the argument."""
    from gnnpot.nn import loops

    out = torch.empty_like(argument)
    over_items(loops.activate, len(out), argument, _rows(skip, out), out)
    return out


def _first(
    gradient: Tensor, argument: Tensor, change: Tensor | None, weight: Tensor, start: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Gradients by the argument, with a change of it, and by x, with what it is already."""
    from gnnpot.nn import loops

    slope, out = torch.empty_like(argument), gradient.new_empty(len(gradient), weight.shape[1])
    inputs = gradient, argument, _rows(change, out), weight.contiguous()
    over_items(
        loops.layer_first, len(out), *inputs, as_row(None, out) if start is None else start, slope, out
    )
    return slope, out


def _second(
    change: Tensor, weight: Tensor, gradient: Tensor, argument: Tensor, skip: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """How the values change with x, the gradient by the argument, and how it changes."""
    from gnnpot.nn import loops

    out, slope, of_argument = (torch.empty_like(argument) for _ in range(3))
    inputs = change, by_rows(weight.mT), as_row(None, out), gradient, argument, _rows(skip, out)
    over_items(loops.layer_second, len(out), *inputs, out, slope, of_argument)
    return out, slope, of_argument


def _rows(values: Tensor | None, like: Tensor) -> Tensor:
    return like[:0] if values is None else values
