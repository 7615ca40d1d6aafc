"""Functions of the lengths of pairs, of which the compiled forms give slopes and curvatures along."""

from __future__ import annotations

import math
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from gnnpot.kernels.dispatch import operation
from gnnpot.ops.radial_derivatives import RadialDerivatives, as_function, radial_derivatives


@runtime_checkable
class RadialEnvelope(Protocol):
    """A function of a length that ends smoothly at a cutoff."""

    def __call__(self, lengths: Float[Tensor, "P"]) -> Float[Tensor, "P"]:
        """Values at these lengths (Å)."""

    def derivatives(self, lengths: Float[Tensor, "P"]) -> RadialDerivatives:
        """Values, slopes and curvatures, by a compiled loop."""


@operation
def polynomial_envelope(lengths: Float[Tensor, "P"], cutoff: float, exponent: int) -> Float[Tensor, "P"]:
    r"""The envelope :math:`1 - \tfrac{(p+1)(p+2)}{2} x^p + p(p+2) x^{p+1} - \tfrac{p(p+1)}{2} x^{p+2}`.

    Args:
        lengths: Lengths r of the pairs (Å).
        cutoff: Cutoff r_c (Å), with x = r / r_c; the envelope is 0 from x = 1 on.
        exponent: Order p of the envelope.
    """
    p, x = exponent, lengths / cutoff
    u = 1 - x**p * ((p + 1) * (p + 2) / 2 - x * (p * (p + 2) - x * (p * (p + 1) / 2)))
    return torch.where(x < 1, u, 0.0)


@polynomial_envelope.compiled
def _(lengths: Tensor, cutoff: float, exponent: int) -> Tensor:
    return as_function(polynomial_derivatives(lengths, cutoff, exponent), lengths)


def polynomial_derivatives(lengths: Float[Tensor, "P"], cutoff: float, exponent: int) -> RadialDerivatives:
    """Values, slopes and curvatures of the polynomial envelope, by a compiled loop."""
    from gnnpot.kernels import loops

    return radial_derivatives(loops.polynomial_derivatives, lengths, cutoff, exponent)


@operation
def cosine_envelope(lengths: Float[Tensor, "P"], cutoff: float) -> Float[Tensor, "P"]:
    r"""The envelope :math:`\tfrac12 (\cos \pi r / r_c + 1)` below the cutoff r_c (Å), 0 beyond."""
    values = 0.5 * torch.cos(lengths * (math.pi / cutoff)) + 0.5
    return torch.where(lengths < cutoff, values, 0.0)


@cosine_envelope.compiled
def _(lengths: Tensor, cutoff: float) -> Tensor:
    return as_function(cosine_derivatives(lengths, cutoff), lengths)


def cosine_derivatives(lengths: Float[Tensor, "P"], cutoff: float) -> RadialDerivatives:
    """Values, slopes and curvatures of the cosine envelope, by a compiled loop."""
    from gnnpot.kernels import loops

    return radial_derivatives(loops.cosine_derivatives, lengths, cutoff)


@operation
def gaussians(lengths: Float[Tensor, "P"], centers: Float[Tensor, "K"], width: float) -> Float[Tensor, "P K"]:
    r"""The functions :math:`e^{-(r - \mu_k)^2 / 2 w^2}` of centers μ and width w (Å)."""
    return torch.exp((-0.5 / width**2) * (lengths[:, None] - centers) ** 2)


@gaussians.compiled
def _(lengths: Tensor, centers: Tensor, width: float) -> Tensor:
    from gnnpot.kernels import loops

    functions = radial_derivatives(loops.gaussian_derivatives, lengths, centers, width, shape=centers.shape)
    return as_function(functions, lengths)


@operation
def sine_bessels(
    lengths: Float[Tensor, "P"], frequencies: Float[Tensor, "K"], cutoff: float, exponent: int
) -> Float[Tensor, "P K"]:
    r"""The functions :math:`\sin(f_k x)\, u(x) / x` of x = r / r_c, with the polynomial envelope u.

    Args:
        lengths: Lengths r of the pairs (Å).
        frequencies: Frequencies f; the compiled form takes those that are not trained.
        cutoff: Cutoff r_c (Å).
        exponent: Order of the envelope.
    """
    x = lengths / cutoff
    scaled = polynomial_envelope(lengths, cutoff, exponent) / x
    return scaled[:, None] * torch.sin(frequencies * x[:, None])


@sine_bessels.compiled
def _(lengths: Tensor, frequencies: Tensor, cutoff: float, exponent: int) -> Any:
    if frequencies.requires_grad:
        return NotImplemented
    from gnnpot.kernels import loops

    settings, shape = (cutoff, exponent, frequencies), frequencies.shape
    return as_function(radial_derivatives(loops.bessel_derivatives, lengths, *settings, shape=shape), lengths)


@operation
def spherical_bessels(
    lengths: Float[Tensor, "P"],
    roots: Float[Tensor, "L K"],
    norms: Float[Tensor, "L K"],
    cutoff: float,
    exponent: int,
) -> Float[Tensor, "P L K"]:
    r"""The functions :math:`N_{ln}\, j_l(z_{ln} x)\, u(x) / x` of x = r / r_c.

    The functions j_l come from the upward recursion, evaluated in float64 because it loses digits where
    the argument is below l.

    Args:
        lengths: Lengths r of the pairs (Å).
        roots: Roots z of the Bessel functions.
        norms: Norms N of the functions.
        cutoff: Cutoff r_c (Å).
        exponent: Order of the polynomial envelope u.
    """
    x = lengths.double() / cutoff
    argument = x[:, None, None] * roots.double()
    inverse = 1 / argument
    previous = torch.sin(argument) * inverse
    current = (previous - torch.cos(argument)) * inverse
    functions = [previous[:, 0]]
    for order in range(1, len(roots)):
        functions.append(current[:, order])
        previous, current = current, (2 * order + 1) * inverse * current - previous
    scaled = (polynomial_envelope(lengths.double(), cutoff, exponent) / x)[:, None, None] * norms.double()
    return (scaled * torch.stack(functions, dim=1)).to(lengths.dtype)


@spherical_bessels.compiled
def _(lengths: Tensor, roots: Tensor, norms: Tensor, cutoff: float, exponent: int) -> Tensor:
    from gnnpot.kernels import loops

    roots, norms = roots.double(), norms.double()
    argument = (lengths.detach().double() / cutoff)[:, None, None] * roots
    tables = (cutoff, exponent, roots, norms, torch.sin(argument), torch.cos(argument))
    loop = loops.spherical_bessel_derivatives
    return as_function(radial_derivatives(loop, lengths, *tables, shape=roots.shape), lengths)
