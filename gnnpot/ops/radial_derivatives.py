"""Functions of a length that are computed together with their derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jaxtyping import Float
from torch import Tensor

from gnnpot.kernels.dispatch import over_items, twice_differentiable

RadialDerivatives = Float[Tensor, "3 P ..."]  # values, slopes and curvatures


def radial_derivatives(
    loop: Callable[..., None], lengths: Float[Tensor, "P"], *arguments: Any, shape: tuple[int, ...] = ()
) -> RadialDerivatives:
    """What a compiled ``loop`` makes of lengths and further arguments.

    Args:
        loop: A compiled loop of :mod:`gnnpot.kernels.radial`.
        lengths: Lengths at which to evaluate (Å).
        arguments: Arguments of the loop between the lengths and its result.
        shape: Shape of the value for one length.
    """
    out = lengths.new_empty(3, len(lengths), *shape)
    over_items(loop, len(lengths), lengths, *arguments, out)
    return out


def as_function(derivatives: RadialDerivatives, lengths: Float[Tensor, "P"]) -> Float[Tensor, "P ..."]:
    """The values of ``derivatives``, which was evaluated at ``lengths``, as a function of them."""
    return _values(derivatives, lengths)


def _first(derivatives: RadialDerivatives, gradient: Tensor, lengths: Tensor) -> tuple[Tensor, ...]:
    return (_per_length(gradient * derivatives[1]),)


def _second(
    derivatives: RadialDerivatives, upstream: tuple[Tensor, ...], gradient: Tensor, lengths: Tensor
) -> tuple[Tensor, ...]:
    (of_lengths,) = upstream
    along = of_lengths.view(-1, *(1 for _ in derivatives.shape[2:]))
    return along * derivatives[1], of_lengths * _per_length(gradient * derivatives[2])


def _per_length(values: Float[Tensor, "P ..."]) -> Float[Tensor, "P"]:
    return values.flatten(1).sum(1) if values.ndim > 1 else values


_values = twice_differentiable(lambda derivatives, lengths: derivatives[0], _first, _second)
