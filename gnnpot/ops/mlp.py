"""Chains of dense layers, differentiated twice by hand.

Layer after layer, each product, activation and derivative of an edge's features goes to memory and back.  The
loops of a chain take some rows at a time through all of its layers, and all that is kept of those are the
arguments of the activations; values are made of them again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from gnnpot.config.choices import ActivationName
from gnnpot.kernels.dispatch import fusible, over_items
from gnnpot.ops.activations import ACTIVATIONS
from gnnpot.ops.products import as_row, linear, skips_weight_gradients

_MOST_INPUTS = 2


class Layer(NamedTuple):
    """A layer a(x Wᵀ + b) of a chain.

    All values of a chain are numbered: first the inputs, then those of the layers.

    Args:
        weight: W.
        bias: b, if any.
        source: Number of x.
        skip: Number of the values that are added to those of the layer, if any.
        activation: Name of a, or none for the identity.
    """

    weight: Float[Tensor, "O I"]
    bias: Float[Tensor, "O"] | None
    source: int
    skip: int | None = None
    activation: ActivationName | None = "silu"


def layer_of(
    linear: nn.Module, source: int = 0, skip: int | None = None, activation: ActivationName | None = "silu"
) -> Layer:
    """A linear layer, with the update that a transfer may have put on it, as one of a chain."""
    weight, bias = cast("Tensor", linear.weight), cast("Tensor | None", linear.bias)
    return Layer(weight, bias, source, skip, activation)


def chain(layers: Sequence[Layer], *inputs: Float[Tensor, "N _"]) -> Float[Tensor, "N O"]:
    """Values of the last layer.

    Inside :func:`~gnnpot.ops.products.without_weight_gradients` derivatives leave out those by the weights,
    and what they give can be differentiated once more, by everything; elsewhere any number of times.

    Args:
        layers: Each of values before it.
        inputs: Features of the same rows.
    """
    if not _fits(layers, inputs):
        return _by_torch(layers, inputs)
    layers, parts = _widened(layers, inputs)
    links = tuple((*layer[2:], *layer.weight.shape) for layer in layers)
    wiring = _Wiring(tuple(part.shape[1] for part in parts), links)
    tensors = [layer.weight for layer in layers] + [layer.bias for layer in layers]
    return _values(wiring, *(part.contiguous() for part in parts), *tensors)[0]


class _Wiring(NamedTuple):
    """What the layers of a chain take."""

    widths: tuple[int, ...]  # of the inputs
    links: tuple[tuple[Any, ...], ...]  # of each layer source, skip, activation, and form of the weight

    @property
    def forms(self) -> list[tuple[int, int]]:
        """Of the weights."""
        return [link[3:] for link in self.links]

    def split(self, tensors: Sequence[Any]) -> list[Sequence[Any]]:
        """Inputs, weights, biases and what follows."""
        first, count = len(self.widths), len(self.links)
        bounds = [0, first, first + count, first + 2 * count, len(tensors)]
        return [tensors[begin:end] for begin, end in pairwise(bounds)]


@cache
def _table(wiring: _Wiring) -> Int[Tensor, "layers 8"]:
    """The layers as compiled loops read them."""
    from gnnpot.kernels.activations import NONE

    later, rows = _MOST_INPUTS - len(wiring.widths), []
    weight = value = argument = 0
    for source, skip, activation, outputs, inputs in wiring.links:
        places = (-1 if place is None else place for place in (source, skip))
        numbers = (place + later * (place >= len(wiring.widths)) for place in places)
        kind = _kinds()[activation]
        rows.append((*numbers, kind, inputs, outputs, weight, value, argument))
        weight, value = weight + outputs * inputs, value + outputs
        argument += outputs * (kind != NONE)
    return torch.tensor(rows)


@cache
def _kinds() -> dict[str | None, int]:
    """The activations that compiled loops know."""
    from gnnpot.kernels import activations

    return {None: activations.NONE, "silu": activations.SILU, "ssp": activations.SOFTPLUS}


class _Values(torch.autograd.Function):
    """The last values, and the arguments of all activations, of which forces are functions, too."""

    @staticmethod
    def forward(ctx: Any, wiring: _Wiring, *tensors: Any) -> tuple[Tensor, Tensor]:
        from gnnpot.kernels import loops

        inputs, weights, biases, _ = wiring.split(tensors)
        table, flat = _table(wiring), _flat(weights)
        panels, turned = torch.empty_like(flat), torch.empty_like(flat)
        over_items(loops.lay_out, len(table), table, flat, panels, turned)
        starts = _flat(as_row(bias, weight.mT) for weight, bias in zip(weights, biases, strict=True))
        rows, x = len(inputs[0]), _padded(inputs)
        active = sum(len(weight) for weight, link in zip(weights, wiring.links, strict=True) if link[2])
        arguments, out = starts.new_empty(rows * active), starts.new_empty(rows, len(weights[-1]))
        over_items(loops.chain, rows, table, *x, turned, starts, arguments, out)
        ctx.wiring = wiring
        ctx.save_for_backward(*tensors, arguments, panels, turned)
        ctx.set_materialize_grads(False)
        return out, arguments

    @staticmethod
    def backward(ctx: Any, gradient: Tensor | None, change: Tensor | None) -> Any:
        wiring, tensors = ctx.wiring, ctx.saved_tensors
        inputs, weights, _, (arguments, panels, turned) = wiring.split(tensors)
        if gradient is None:
            gradient = arguments.new_zeros(len(inputs[0]), len(weights[-1]))
        if not torch.is_grad_enabled():
            _, *needed, _ = wiring.split(ctx.needs_input_grad[1:])
            if skips_weight_gradients():
                needed = [[False] * len(weights)] * 2
            return None, *_gradients(wiring, gradient.contiguous(), change, tensors, needed)
        if change is not None:
            raise RuntimeError("a chain of layers is not differentiated a third time")
        if skips_weight_gradients():
            of_inputs = _gradients_of_inputs(wiring, (panels, turned), gradient, arguments, *weights)
            return None, *of_inputs, *[None] * (2 * len(weights))
        return None, *_gradients_by_torch(wiring, gradient, tensors)


_values: Callable[..., tuple[Tensor, Tensor]] = _Values.apply


class _First(torch.autograd.Function):
    """Gradients of the inputs."""

    @staticmethod
    def forward(
        ctx: Any, wiring: _Wiring, panels: tuple[Tensor, Tensor], *tensors: Tensor
    ) -> tuple[Tensor, ...]:
        gradient, arguments = tensors[0].contiguous(), tensors[1]  # then come the weights
        of_values = gradient.new_empty(len(gradient) * sum(form[0] for form in wiring.forms[:-1]))
        ctx.wiring = wiring
        ctx.save_for_backward(panels[1], of_values, gradient, arguments)
        given = gradient, arguments, of_values[:0], panels[0]
        return _of_inputs(wiring, given, (), (of_values, gradient[:0], gradient[:0]))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *upstream: Tensor) -> Any:
        from gnnpot.kernels import loops

        turned, of_values, gradient, arguments = ctx.saved_tensors
        needed = ctx.needs_input_grad[4:]
        out, changes = torch.empty_like(gradient), torch.empty_like(arguments)
        of_weights = _shares(turned, len(turned), any(needed))
        inputs = *_padded([part.contiguous() for part in upstream]), turned, of_values, gradient, arguments
        over_items(loops.chain_second, len(gradient), _table(ctx.wiring), *inputs, out, changes, of_weights)
        return None, None, out, changes, *_parts(of_weights, ctx.wiring.forms, needed)


_gradients_of_inputs: Callable[..., tuple[Tensor, ...]] = _First.apply


def _gradients(
    wiring: _Wiring,
    gradient: Tensor,
    change: Tensor | None,
    tensors: Sequence[Any],
    needed: Sequence[Sequence[bool]],
) -> list[Tensor | None]:
    """Gradients of the inputs, and of those weights and biases that need one."""
    inputs, _, _, (arguments, panels, _) = wiring.split(tensors)
    nothing, forms = gradient.new_empty(0), wiring.forms
    given = gradient, arguments, nothing if change is None else change, panels
    is_needed = any(map(any, needed))
    of_weights = _shares(panels, len(panels), is_needed)
    of_biases = _shares(panels, sum(form[0] for form in forms), is_needed)
    of_inputs = _of_inputs(wiring, given, inputs, (nothing, of_weights, of_biases))
    return [
        *of_inputs,
        *_parts(of_weights, forms, needed[0]),
        *_parts(of_biases, [form[:1] for form in forms], needed[1]),
    ]


def _of_inputs(
    wiring: _Wiring, given: Sequence[Tensor], inputs: Sequence[Tensor], results: Sequence[Tensor]
) -> tuple[Tensor, ...]:
    """Gradients of the inputs.

    Args:
        wiring: The wiring of the chain.
        given: Gradient of the last values, arguments, change of the gradients by those, panels of weights.
        inputs: Inputs of the chain, which the gradients of weights need.
        results: Where the gradients by the values of layers, by weights and by biases are written.
    """
    from gnnpot.kernels import loops

    gradient, (of_values, *of_parameters) = given[0], results
    out = [gradient.new_empty(len(gradient), width) for width in wiring.widths]
    arrays = *given, *_padded(inputs or out), of_values, *_padded(out), *of_parameters
    over_items(loops.chain_first, len(gradient), _table(wiring), *arrays)
    return tuple(out)


def _gradients_by_torch(wiring: _Wiring, gradient: Tensor, tensors: Sequence[Any]) -> list[Tensor | None]:
    """The same, differentiable again.

    Each is taken by an alias: an input may depend on another, and a weight may stand in several layers.
    """
    aliases = [part if part is None else part.view_as(part) for part in tensors]
    inputs, weights, biases, _ = wiring.split(aliases)
    links = [link[:3] for link in wiring.links]
    layers = [Layer(*layer) for layer in zip(weights, biases, *zip(*links, strict=True), strict=True)]
    parts = *inputs, *weights, *biases
    wanted = [part for part in parts if part is not None and part.requires_grad]
    found = iter(torch.autograd.grad(_by_torch(layers, inputs), wanted, gradient, create_graph=True))
    return [next(found) if part is not None and part.requires_grad else None for part in parts]


def _by_torch(layers: Sequence[Layer], inputs: Sequence[Tensor]) -> Tensor:
    values = [*inputs]
    for layer in layers:
        out = linear(values[layer.source], layer.weight, layer.bias)
        out = out if layer.activation is None else ACTIVATIONS[layer.activation](out)
        values.append(out if layer.skip is None else out + values[layer.skip])
    return values[-1]


def _fits(layers: Sequence[Layer], inputs: Sequence[Tensor]) -> bool:
    """Whether compiled loops take the chain: of it they want that all values but the last are taken."""
    if not fusible(inputs[0]) or not len(inputs[0]) or len(inputs) > _MOST_INPUTS:
        return False
    from gnnpot.kernels import loops

    known = all(layer.activation in _kinds() and len(layer.weight) % loops.WIDTH == 0 for layer in layers)
    active = all(layer.activation is not None for layer in layers[:-1])
    taken = {place for layer in layers for place in (layer.source, layer.skip)}
    return known and active and taken.issuperset(range(len(inputs) + len(layers) - 1))


def _widened(layers: Sequence[Layer], inputs: Sequence[Tensor]) -> tuple[Sequence[Layer], Sequence[Tensor]]:
    """With columns of zeros in inputs that fill no vectors, and in the weights on them."""
    from gnnpot.kernels import loops

    missing = [-part.shape[1] % loops.WIDTH for part in inputs]
    if not any(missing):
        return layers, inputs
    missing += [0] * len(layers)
    widened = [layer._replace(weight=F.pad(layer.weight, (0, missing[layer.source]))) for layer in layers]
    return widened, [F.pad(part, (0, columns)) for part, columns in zip(inputs, missing, strict=False)]


def _flat(parts: Iterable[Tensor]) -> Tensor:
    """All elements in one row."""
    return torch.cat([part.reshape(-1) for part in parts])


def _padded(inputs: Sequence[Tensor]) -> list[Tensor]:
    """As many arrays as compiled loops take."""
    return [*inputs, inputs[0][:0]][:_MOST_INPUTS]


def _shares(like: Tensor, size: int, is_needed: bool) -> Tensor:
    """Zeros to which each thread adds what it finds, or nothing."""
    return like.new_zeros(torch.get_num_threads() if is_needed else 0, size)


def _parts(shares: Tensor, forms: Sequence[tuple[int, ...]], needed: Sequence[bool]) -> list[Tensor | None]:
    """Those parts that are needed of what all threads found."""
    if not any(needed):
        return [None] * len(forms)
    total = shares[0] if len(shares) == 1 else shares.sum(0)
    parts = total.split([math.prod(form) for form in forms])
    triples = zip(parts, forms, needed, strict=True)
    return [part.view(form) if is_needed else None for part, form, is_needed in triples]
