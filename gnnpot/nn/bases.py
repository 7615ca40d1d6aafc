"""Bases: sets of functions of a distance."""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import brentq
from scipy.special import spherical_jn
from torch import Tensor, nn

from gnnpot.ops.radial_functions import gaussians, sine_bessels, spherical_bessels


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
        return gaussians(lengths, self.centers, self.width)


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
        self.exponent = exponent
        self.frequencies = nn.Parameter(
            math.pi * torch.arange(1, num_basis + 1, dtype=torch.get_default_dtype())
        )

    def forward(self, lengths: Float[Tensor, "P"]) -> Float[Tensor, "P K"]:
        """Values of all functions at these lengths."""
        return sine_bessels(lengths, self.frequencies, self.cutoff, self.exponent)


class SphericalBesselBasis(nn.Module):
    r"""Radial parts :math:`R_{ln}(r) = N_{ln}\, j_l(z_{ln} r / r_c)\, u(r) / (r / r_c)` of DimeNet.

    z_ln is the n-th positive root of j_l and :math:`N_{ln} = \sqrt{2} / |j_{l+1}(z_{ln})|`.

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
        self.exponent = exponent
        roots = spherical_bessel_roots(num_spherical, num_radial)
        slopes = np.stack([np.abs(spherical_jn(order + 1, row)) for order, row in enumerate(roots)])
        self.register_buffer("roots", torch.from_numpy(roots), persistent=False)
        self.register_buffer("norms", torch.from_numpy(math.sqrt(2.0) / slopes), persistent=False)

    def forward(self, lengths: Float[Tensor, "P"]) -> Float[Tensor, "P L K"]:
        """Values of all functions at these lengths."""
        return spherical_bessels(lengths, self.roots, self.norms, self.cutoff, self.exponent)


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
