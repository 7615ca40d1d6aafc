"""Functions of a distance: envelopes and bases."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import brentq
from scipy.special import spherical_jn
from torch import Tensor, nn

from gnnpot.nn.fused import twice_differentiable

EnvelopeName = Literal["cosine", "polynomial"]


class PolynomialEnvelope(nn.Module):
    r"""The polynomial envelope of DimeNet.

    .. math:: u(x) = 1 - \tfrac{(p+1)(p+2)}{2} x^p + p(p+2) x^{p+1} - \tfrac{p(p+1)}{2} x^{p+2}

    for :math:`x = r / r_c < 1`, else 0: value, slope and curvature vanish at the cutoff.

    Source: Gasteiger et al., ICLR 2020, arXiv:2003.03123, eq. 8.

    Args:
        cutoff: r_c (Å).
        exponent: p, the order of the flat top.
    """

    def __init__(self, cutoff: float, exponent: int = 6) -> None:
        super().__init__()
        self.cutoff = cutoff
        self.exponent = exponent

    def forward(self, lengths: Float[Tensor, "P"]) -> Float[Tensor, "P"]:
        """U at these lengths."""
        p = self.exponent
        x = lengths / self.cutoff
        u = 1 - x**p * ((p + 1) * (p + 2) / 2 - x * (p * (p + 2) - x * (p * (p + 1) / 2)))
        return torch.where(x < 1, u, 0.0)


class CosineEnvelope(nn.Module):
    r"""Behler's cutoff function :math:`\tfrac12 (\cos \pi r / r_c + 1)`; its curvature jumps at r_c.

    Source: Behler and Parrinello, Phys. Rev. Lett. 98, 146401 (2007), eq. 3.

    Args:
        cutoff: r_c (Å).
    """

    def __init__(self, cutoff: float) -> None:
        super().__init__()
        self.cutoff = cutoff

    def forward(self, lengths: Float[Tensor, "P"]) -> Float[Tensor, "P"]:
        """Its values at these lengths."""
        values = 0.5 * torch.cos(lengths * (math.pi / self.cutoff)) + 0.5
        return torch.where(lengths < self.cutoff, values, 0.0)


def envelope(name: EnvelopeName, cutoff: float) -> nn.Module:
    """The envelope of this name."""
    return CosineEnvelope(cutoff) if name == "cosine" else PolynomialEnvelope(cutoff)


class GaussianBasis(nn.Module):
    r"""Gaussians :math:`e^{-(r - \mu_k)^2 / 2\Delta^2}` at evenly spaced centers from 0 to the cutoff.

    Source: Schütt et al., J. Chem. Phys. 148, 241722 (2018), with the width equal to the spacing.

    Args:
        num_basis: K.
        cutoff: Position of the last center (Å).
    """

    centers: Float[Tensor, "K"]

    def __init__(self, num_basis: int, cutoff: float) -> None:
        super().__init__()
        self.register_buffer("centers", torch.linspace(0.0, cutoff, num_basis), persistent=False)
        self.width = cutoff / (num_basis - 1) if num_basis > 1 else cutoff

    def forward(self, lengths: Float[Tensor, "P"]) -> Float[Tensor, "P K"]:
        """Values of all Gaussians at these lengths."""
        return torch.exp((-0.5 / self.width**2) * (lengths[:, None] - self.centers) ** 2)


class BesselBasis(nn.Module):
    r"""Bessel functions :math:`\sin(f_k r / r_c)\, u(r) / (r / r_c)` with trainable frequencies.

    Source: Gasteiger et al., ICLR 2020, arXiv:2003.03123, eq. 7, without its constant factor.

    Args:
        num_basis: K; the frequencies start at kπ.
        cutoff: r_c (Å).
        exponent: Order p of the polynomial envelope u.
    """

    def __init__(self, num_basis: int, cutoff: float, exponent: int = 6) -> None:
        super().__init__()
        self.cutoff = cutoff
        self.envelope = PolynomialEnvelope(cutoff, exponent)
        self.frequencies = nn.Parameter(
            math.pi * torch.arange(1, num_basis + 1, dtype=torch.get_default_dtype())
        )

    def forward(self, lengths: Float[Tensor, "P"]) -> Float[Tensor, "P K"]:
        """Values of all functions at these lengths."""
        x = lengths / self.cutoff
        return (self.envelope(lengths) / x)[:, None] * torch.sin(self.frequencies * x[:, None])


class SphericalBesselBasis(nn.Module):
    r"""Radial parts :math:`R_{ln}(r) = N_{ln}\, j_l(z_{ln} r / r_c)\, u(r) / (r / r_c)` of DimeNet.

    z_ln is the n-th positive root of j_l and :math:`N_{ln} = \sqrt{2} / |j_{l+1}(z_{ln})|`.  The functions
    j_l come from the upward recursion, evaluated in float64 because it loses digits where x < l.

    Source: Gasteiger et al., ICLR 2020, arXiv:2003.03123, eq. 6.

    Args:
        num_spherical: L, orders l = 0 … L - 1.
        num_radial: K, roots of each order.
        cutoff: r_c (Å).
        exponent: Order p of the polynomial envelope u.
    """

    roots: Float[Tensor, "L K"]
    norms: Float[Tensor, "L K"]

    def __init__(self, num_spherical: int, num_radial: int, *, cutoff: float, exponent: int = 6) -> None:
        super().__init__()
        self.cutoff = cutoff
        self.envelope = PolynomialEnvelope(cutoff, exponent)
        roots = spherical_bessel_roots(num_spherical, num_radial)
        slopes = np.stack([np.abs(spherical_jn(order + 1, row)) for order, row in enumerate(roots)])
        self.register_buffer("roots", torch.from_numpy(roots), persistent=False)
        self.register_buffer("norms", torch.from_numpy(math.sqrt(2.0) / slopes), persistent=False)

    def forward(self, lengths: Float[Tensor, "P"]) -> Float[Tensor, "P L K"]:
        """Values of all functions at these lengths."""
        return _radial_functions(_SphericalBessel(self, lengths.detach().double()), lengths)


class _SphericalBessel:
    r"""R, R′ and R″ at some lengths, each computed at its first use.

    .. math:: R = g\, j, \quad j_l' = \tfrac{l}{y} j_l - j_{l+1}, \quad
        j_l'' = \left( \tfrac{l (l+1)}{y^2} - 1 \right) j_l - \tfrac{2}{y} j_l'

    with g = N u(x) / x, x = r / r_c and y = z_ln x; primes of j are by y, those of g and R by x.
    """

    def __init__(self, basis: SphericalBesselBasis, lengths: Float[Tensor, "P"]) -> None:
        self.cutoff = basis.cutoff
        self.roots, self.norms = basis.roots.double(), basis.norms.double()
        self.orders = torch.arange(len(self.roots), device=lengths.device)[:, None]
        self.x = (lengths / basis.cutoff)[:, None, None]
        self.factors = envelope_over_x(self.x, basis.envelope.exponent)

    @cached_property
    def inverse(self) -> Float[Tensor, "P L K"]:
        """1 / y."""
        return 1 / (self.x * self.roots)

    @cached_property
    def functions(self) -> tuple[Float[Tensor, "P L K"], Float[Tensor, "P L K"]]:
        """Functions j_l and j_{l+1} of y, by upward recursion."""
        argument = self.x * self.roots
        inverse = self.inverse
        sine = torch.sin(argument).mul_(inverse)
        previous, current = sine, torch.cos(argument).neg_().add_(sine).mul_(inverse)
        chosen, following = [previous[:, 0]], [current[:, 0]]
        for order in range(1, len(self.roots)):
            previous, current = (
                current[:, 1:],
                (2 * order + 1) * inverse[:, order:] * current[:, 1:] - previous[:, 1:],
            )
            chosen.append(previous[:, 0])
            following.append(current[:, 0])
        return torch.stack(chosen, dim=1), torch.stack(following, dim=1)

    @cached_property
    def values(self) -> Float[Tensor, "P L K"]:
        """R."""
        return self.functions[0] * self.factors[0] * self.norms

    @cached_property
    def slopes(self) -> Float[Tensor, "P L K"]:
        """The slopes dR / dr."""
        g, dg, _ = self.factors
        slopes = dg * self.functions[0] + g * self.roots * self._by_argument
        return slopes * (self.norms / self.cutoff)

    @cached_property
    def curvatures(self) -> Float[Tensor, "P L K"]:
        """d²R / dr²."""
        g, dg, ddg = self.factors
        j, dj = self.functions[0], self._by_argument
        ddj = (self.orders * (self.orders + 1) * self.inverse.square() - 1) * j - 2 * self.inverse * dj
        curvatures = ddg * j + (2 * dg * self.roots) * dj + (g * self.roots.square()) * ddj
        return curvatures * (self.norms / self.cutoff**2)

    @cached_property
    def _by_argument(self) -> Float[Tensor, "P L K"]:
        current, following = self.functions
        return self.orders * self.inverse * current - following


def envelope_over_x(x: Tensor, exponent: int) -> tuple[Tensor, Tensor, Tensor]:
    """The polynomial envelope over its argument, u(x) / x, and its first two derivatives; zero beyond 1."""
    p = exponent
    a, b, c = -(p + 1) * (p + 2) / 2, p * (p + 2), -p * (p + 1) / 2
    power = x ** (p - 3)
    inside, inverse = x < 1, 1 / x
    value = inverse + power * x**2 * (a + x * (b + x * c))
    slope = -(inverse**2) + power * x * (a * (p - 1) + x * (b * p + x * c * (p + 1)))
    curvature = 2 * inverse**3 + power * (a * (p - 1) * (p - 2) + x * (b * p * (p - 1) + x * c * (p + 1) * p))
    value, slope, curvature = (torch.where(inside, part, 0.0) for part in (value, slope, curvature))
    return value, slope, curvature


def _bessel_first(functions: _SphericalBessel, gradient: Tensor, lengths: Tensor) -> tuple[Tensor, ...]:
    return ((gradient * functions.slopes.to(gradient.dtype)).sum((1, 2)),)


def _bessel_second(
    functions: _SphericalBessel, upstream: tuple[Tensor, ...], gradient: Tensor, lengths: Tensor
) -> tuple[Tensor, ...]:
    (of_lengths,) = upstream
    curved = (gradient * functions.curvatures.to(gradient.dtype)).sum((1, 2))
    return of_lengths[:, None, None] * functions.slopes.to(gradient.dtype), of_lengths * curved


_radial_functions = twice_differentiable(
    lambda functions, lengths: functions.values.to(lengths.dtype), _bessel_first, _bessel_second
)


def spherical_bessel_roots(num_spherical: int, num_radial: int) -> Float[np.ndarray, "L K"]:
    """The first positive roots of the spherical Bessel functions j_0 … j_{L-1}.

    The roots of j_{l+1} lie between neighboring roots of j_l.
    """
    brackets = np.pi * np.arange(1, num_radial + num_spherical)
    rows = [brackets[:num_radial]]
    for order in range(1, num_spherical):
        ends = zip(brackets[:-1], brackets[1:], strict=True)
        brackets = np.array([brentq(lambda x, n=order: spherical_jn(n, x), a, b) for a, b in ends])
        rows.append(brackets[:num_radial])
    return np.stack(rows)
