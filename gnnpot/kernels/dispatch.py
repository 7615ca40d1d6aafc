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
from functools import cache, wraps
from importlib.util import find_spec
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

SWITCH = "GNNPOT_KERNELS"  # environment variable; "torch" turns compiled loops off
P = ParamSpec("P")
R = TypeVar("R", covariant=True)
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


def bilinear(
    values: Callable[..., Tensor],
    first: Callable[..., tuple[Tensor, ...]],
    both: Callable[..., Tensor],
) -> Callable[..., Tensor]:
    """A differentiable function that is linear in each of its two inputs.

    Its second derivatives follow from its first: they need no loops of their own but ``both``.

    Args:
        values: ``(topology, x, y) -> output``.
        first: ``(topology, gradient of the output, x, y) -> gradients of x and y``.
        both: ``(topology, a, y, x, b) -> values(topology, a, y) + values(topology, x, b)`` in one pass.
    """

    def second(
        topology: Any, upstream: tuple[Tensor, ...], gradient: Tensor, x: Tensor, y: Tensor
    ) -> tuple[Tensor, ...]:
        of_x, of_y = upstream
        return both(topology, of_x, y, x, of_y), *first(topology, gradient, of_x, of_y)

    return twice_differentiable(values, first, second)


def of_loops(name: str) -> Callable[..., Tensor]:
    """A differentiable function of tensors by the loops ``name``, ``name_first`` and ``name_second``.

    The output has the form of the first input, and each item of the loops is a row of the last.
    """

    def run(suffix: str, outputs: tuple[Tensor, ...], *inputs: Tensor) -> None:
        from gnnpot.kernels import loops

        over_items(getattr(loops, name + suffix), len(inputs[-1]), *inputs, *outputs)

    def values(_: None, *inputs: Tensor) -> Tensor:
        out = torch.empty_like(inputs[0])
        run("", (out,), *inputs)
        return out

    def first(_: None, gradient: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
        out = tuple(torch.empty_like(part) for part in inputs)
        run("_first", out, gradient, *inputs)
        return out

    def second(
        _: None, upstream: tuple[Tensor, ...], gradient: Tensor, *inputs: Tensor
    ) -> tuple[Tensor, ...]:
        out = tuple(torch.empty_like(part) for part in (gradient, *inputs))
        run("_second", out, *upstream, gradient, *inputs)
        return out

    return twice_differentiable(values, first, second)


def fusible(tensor: Tensor) -> bool:
    """Whether compiled loops may take this tensor: it is on a CPU, numba is there, and the switch is on."""
    return tensor.device.type == "cpu" and _is_on.get() and _has_numba()


class Operation(Protocol, Generic[P, R]):
    """A function in plain torch, which may have a compiled form."""

    def __call__(self, *arguments: P.args, **options: P.kwargs) -> R:
        """The result, by the compiled form where it takes the arguments."""

    def compiled(self, function: Callable[P, Any]) -> Callable[P, Any]:
        """Register ``function`` as the compiled form; it may return ``NotImplemented`` to decline a call."""


def operation(plain: Callable[P, R]) -> Operation[P, R]:
    """Let a function of tensors have a compiled form beside its definition in plain torch.

    The first argument is a tensor, and whether the compiled form is called for it is decided here.

    ```
    @operation
    def square(x): return x * x

    @square.compiled
    def _(x): return _square_by_loops(x)
    ```
    """
    form: Callable[..., Any] | None = None

    @wraps(plain)
    def call(*arguments: P.args, **options: P.kwargs) -> Any:
        first = arguments[0] if arguments else None
        if form is not None and isinstance(first, Tensor) and fusible(first):
            result = form(*arguments, **options)
            if result is not NotImplemented:
                return result
        return plain(*arguments, **options)

    def compiled(function: Callable[P, Any]) -> Callable[P, Any]:
        nonlocal form
        form = function
        return function

    call.compiled = compiled  # type: ignore[attr-defined]
    return cast("Operation[P, R]", call)


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


def is_recorded() -> bool:
    """Whether a recorder listens, which repeats at other numbers what is done now."""
    return _recorder.get() is not None


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
