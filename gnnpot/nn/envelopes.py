"""Envelopes: functions of a distance that end smoothly at the cutoff."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from gnnpot.config.choices import EnvelopeName
from gnnpot.ops.radial_derivatives import RadialDerivatives
from gnnpot.ops.radial_functions import (
    cosine_derivatives,
    cosine_envelope,
    polynomial_derivatives,
    polynomial_envelope,
)


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
        return polynomial_envelope(lengths, self.cutoff, self.exponent)

    def derivatives(self, lengths: Float[Tensor, "P"]) -> RadialDerivatives:
        """U, U′ and U″ at these lengths, by a compiled loop."""
        return polynomial_derivatives(lengths, self.cutoff, self.exponent)


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
        return cosine_envelope(lengths, self.cutoff)

    def derivatives(self, lengths: Float[Tensor, "P"]) -> RadialDerivatives:
        """Its values, slopes and curvatures at these lengths, by a compiled loop."""
        return cosine_derivatives(lengths, self.cutoff)


Envelope = PolynomialEnvelope | CosineEnvelope


def envelope(name: EnvelopeName, cutoff: float) -> Envelope:
    """The envelope of this name."""
    return CosineEnvelope(cutoff) if name == "cosine" else PolynomialEnvelope(cutoff)
