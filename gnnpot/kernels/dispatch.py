"""Functions that are differentiated twice by hand.

Training on forces differentiates a model twice.  Automatic differentiation then writes every product of
the chain rule to memory; for the few functions that see every edge, loops compiled by numba read their
inputs once instead.  A fused function is three such loops: values, first derivatives, second derivatives.
Where there is no numba, or on a GPU, the same functions are plain torch.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

SWITCH = "GNNPOT_KERNELS"  # environment variable; "torch" turns compiled loops off
_is_on: ContextVar[bool] = ContextVar("is_on", default=os.environ.get(SWITCH, "compiled") != "torch")
_recorder: ContextVar[Any] = ContextVar("recorder", default=None)
_differentiated_once: ContextVar[bool] = ContextVar("differentiated_once", default=False)


def twice_differentiable(
    values: Callable[..., Tensor],
    first: Callable[..., tuple[Tensor, ...]],
    second: Callable[..., tuple[Tensor, ...]],
) -> Callable[..., Tensor]:
    """A differentiable function of tensors from its hand-written derivatives.

    The result takes ``(topology, *inputs)``; ``topology`` is whatever the three need besides tensors
    that are differentiated.  The gradient of a third derivative is refused.

    Args:
        values: ``(topology, *inputs) -> output``.
        first: ``(topology, gradient of the output, *inputs) -> gradients of the inputs``.
        second: ``(topology, gradients of what first gave, gradient of the output, *inputs) -> gradients
            of the gradient of the output and of the inputs``.
    """

    class First(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, topology: Any, gradient: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
            ctx.topology = topology
            ctx.save_for_backward(gradient, *inputs)
            return first(topology, gradient.contiguous(), *inputs)

        @staticmethod
        @once_differentiable
        def backward(ctx: Any, *gradients: Tensor) -> Any:
            gradient, *inputs = ctx.saved_tensors
            upstream = tuple(part.contiguous() for part in gradients)
            return None, *second(ctx.topology, upstream, gradient.contiguous(), *inputs)

    apply_first: Callable[..., tuple[Tensor, ...]] = First.apply

    class Values(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, topology: Any, *inputs: Tensor) -> Tensor:
            ctx.topology = topology
            ctx.save_for_backward(*inputs)
            return values(topology, *inputs)

        @staticmethod
        def backward(ctx: Any, gradient: Tensor) -> Any:
            if torch.is_grad_enabled():
                return None, *apply_first(ctx.topology, gradient, *ctx.saved_tensors)
            return None, *first(ctx.topology, gradient.contiguous(), *ctx.saved_tensors)

    apply: Callable[..., Tensor] = Values.apply
    return lambda topology, *inputs: apply(topology, *(part.contiguous() for part in inputs))


def fusible(tensor: Tensor) -> bool:
    """Whether compiled loops take this tensor: the one place that decides between them and plain torch."""
    return tensor.device.type == "cpu" and _is_on.get() and _has_numba()


@contextmanager
def plain_torch() -> Iterator[None]:
    """Turn compiled loops off inside the block, to compare with them or to debug.

    The environment variable ``GNNPOT_KERNELS=torch`` does the same for a whole process.
    """
    token = _is_on.set(False)
    try:
        yield
    finally:
        _is_on.reset(token)


@contextmanager
def differentiated_once() -> Iterator[None]:
    """Say that what is computed inside is differentiated once at most, as in dynamics.

    Functions that are written out for the sake of their second derivatives are then left to torch.
    """
    token = _differentiated_once.set(True)
    try:
        yield
    finally:
        _differentiated_once.reset(token)


def second_derivatives() -> bool:
    """Whether what is computed may be differentiated twice."""
    return not _differentiated_once.get()


def over_items(loop: Callable[..., None], count: int, *arguments: Tensor | int | float) -> None:
    """Run ``loop(begin, end, …)`` over ``count`` items, on as many threads as torch uses.

    Args:
        loop: A compiled function that writes to its own items only.
        count: Number of items.
        arguments: Further arguments; tensors go as arrays on the same memory.
    """
    from gnnpot.kernels.loops import Call

    call = Call(loop, count, arguments)
    call()
    recorder = _recorder.get()
    if recorder is not None:
        recorder.loop(call)


def whole(function: Callable[..., Any], *arguments: Any) -> Any:
    """``function(*arguments)``, which a recorder takes as one step, whatever its numbers decide inside."""
    recorder = _recorder.get()
    return function(*arguments) if recorder is None else recorder.whole(function, arguments)


@contextmanager
def recorded_by(recorder: Any) -> Iterator[None]:
    """Have ``recorder`` hear of the loops and whole functions that are called inside, if it is not None."""
    token = _recorder.set(recorder)
    try:
        yield
    finally:
        _recorder.reset(token)


@cache
def _has_numba() -> bool:
    return find_spec("numba") is not None
