"""Functions of a distance on a grid, with cubic splines between."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gnnpot.nn.envelopes import Envelope
from gnnpot.ops.products import linear
from gnnpot.ops.splines import SplineWeights, spline_weights

_TAIL = 24  # values beyond each end that a coefficient at the end still feels: z²⁴ is 2e-14


class RadialGrid(nn.Module):
    r"""Cubic B-splines on evenly spaced distances from zero to the cutoff: C² between them.

    The spline through values :math:`f_k` has the coefficients
    :math:`c_k = \sqrt 3 \sum_n z^{|n|} f_{k+n}, z = \sqrt 3 - 2`.

    Source: Unser, Aldroubi, Eden, IEEE Trans. Signal Process. 41, 821 (1993).

    Args:
        num_knots: Number of intervals between zero and the cutoff.
        cutoff: Longest distance (Å).
    """

    distances: Float[Tensor, "K"]

    def __init__(self, num_knots: int, cutoff: float) -> None:
        super().__init__()
        self.num_knots = num_knots
        self.spacing = cutoff / num_knots
        places = torch.arange(-1 - _TAIL, num_knots + 2 + _TAIL, dtype=torch.float64)
        self.register_buffer("distances", self.spacing * places, persistent=False)
        self._matrix: Tensor | None = None

    def coefficients(self, values: Float[Tensor, "K F"]) -> Float[Tensor, "C F"]:
        """Table of the spline through ``values`` at :attr:`distances`, some of which lie beyond its ends."""
        return linear(self._prefilter(values), values.mT)

    def _prefilter(self, like: Tensor) -> Float[Tensor, "C K"]:
        """The matrix of the sums over n, made once for each type and device."""
        if self._matrix is None or self._matrix.dtype != like.dtype or self._matrix.device != like.device:
            places = torch.arange(len(self.distances), device=like.device)
            steps = (places - places[_TAIL:-_TAIL, None]).abs()
            factors = 3**0.5 * (3**0.5 - 2) ** steps.double()
            self._matrix = torch.where(steps <= _TAIL, factors, 0.0).to(like.dtype)
        return self._matrix

    def weights(self, lengths: Float[Tensor, "P"], envelope: Envelope) -> SplineWeights:
        """The four B-splines at each length, times the envelope."""
        return spline_weights(lengths, self.spacing, self.num_knots, envelope)
