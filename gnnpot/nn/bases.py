"""Bases: sets of functions of a distance."""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import brentq
from scipy.special import spherical_jn
from torch import Tensor, nn

from gnnpot.kernels.dispatch import fusible
from gnnpot.nn.envelopes import PolynomialEnvelope
from gnnpot.ops.radial_derivatives import RadialDerivatives, as_function, radial_derivatives


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
        if fusible(lengths):
            from gnnpot.kernels import loops

            shape = self.centers.shape
            return as_function(
                radial_derivatives(
                    loops.gaussian_derivatives, lengths, self.centers, self.width, shape=shape
                ),
                lengths,
            )
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
        if fusible(lengths) and not self.frequencies.requires_grad:
            from gnnpot.kernels import loops

            settings = (self.cutoff, self.envelope.exponent, self.frequencies)
            shape = self.frequencies.shape
            return as_function(
                radial_derivatives(loops.bessel_derivatives, lengths, *settings, shape=shape), lengths
            )
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
        if fusible(lengths):
            return as_function(self._derivatives(lengths), lengths)
        x = lengths.double() / self.cutoff
        argument = x[:, None, None] * self.roots.double()
        inverse = 1 / argument
        previous = torch.sin(argument) * inverse
        current = (previous - torch.cos(argument)) * inverse
        functions = [previous[:, 0]]
        for order in range(1, len(self.roots)):
            functions.append(current[:, order])
            previous, current = current, (2 * order + 1) * inverse * current - previous
        scaled = (self.envelope(lengths.double()) / x)[:, None, None] * self.norms.double()
        return (scaled * torch.stack(functions, dim=1)).to(lengths.dtype)

    def _derivatives(self, lengths: Float[Tensor, "P"]) -> RadialDerivatives:
        from gnnpot.kernels import loops

        roots, norms = self.roots.double(), self.norms.double()
        argument = (lengths.detach().double() / self.cutoff)[:, None, None] * roots
        tables = (roots, norms, torch.sin(argument), torch.cos(argument))
        settings = (self.cutoff, self.envelope.exponent)
        return radial_derivatives(
            loops.spherical_bessel_derivatives, lengths, *settings, *tables, shape=roots.shape
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
