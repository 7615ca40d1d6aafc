"""Atomic environment vectors: radial and angular symmetry functions of the ANI models."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from gnnpot.config.choices import EnvelopeName
from gnnpot.graph.geometry import Neighborhoods, pair_vectors
from gnnpot.graph.graph import AtomicGraph
from gnnpot.nn.envelopes import envelope
from gnnpot.ops.symmetry_sums import AngleParameters, ShellParameters, shell_sums, triplet_sums


class RadialFunctions(nn.Module):
    r"""Sums of Gaussian shells, :math:`\tfrac14 \sum_j e^{-\eta (r_{ij} - R_s)^2} f_c(r_{ij})`.

    One set for each element of the neighbor j.

    Source: Smith, Isayev, Roitberg, Chem. Sci. 8, 3192 (2017), eq. 3, with TorchANI's factor of a quarter.

    Args:
        cutoff: Cutoff of f_c (Å).
        eta: η (1/Å²).
        shifts: R_s (Å).
        envelope_name: f_c.
    """

    shifts: Float[Tensor, "S"]

    def __init__(
        self, cutoff: float, *, eta: float, shifts: Sequence[float], envelope_name: EnvelopeName
    ) -> None:
        super().__init__()
        self.eta = eta
        self.envelope = envelope(envelope_name, cutoff)
        self.register_buffer("shifts", torch.tensor(shifts, dtype=torch.float64), persistent=False)

    def width(self, num_elements: int) -> int:
        """How many numbers an atom has."""
        return num_elements * len(self.shifts)

    def forward(self, graph: AtomicGraph, rows: Int[Tensor, "N"], num_elements: int) -> Float[Tensor, "N X"]:
        """Sums of each atom, ``width(num_elements)`` numbers.

        Args:
            graph: Structures.
            rows: Number of each atom's element.
            num_elements: How many elements there are.
        """
        functions = ShellParameters(self.eta, self.shifts, self.envelope)
        edges = Neighborhoods.of(graph)
        return shell_sums(pair_vectors(graph), functions, edges, rows, num_elements).flatten(1)


class AngularFunctions(nn.Module):
    r"""Sums over pairs of neighbors j, k of an atom i.

    .. math:: 2 \sum_{j<k} \left(\tfrac{1 + \cos(\theta - \theta_s)}{2}\right)^{\zeta}
        e^{-\eta (\frac{r_{ij} + r_{ik}}{2} - R_s)^2} f_c(r_{ij}) f_c(r_{ik}),
        \quad \cos\theta = 0.95\, \hat r_{ij} \cdot \hat r_{ik}

    One set for each unordered pair of elements.  cos(θ − θ_s) is expanded into sine and cosine, so no
    arc cosine is taken and collinear neighbors have finite derivatives of every order.

    Source: Smith, Isayev, Roitberg, Chem. Sci. 8, 3192 (2017), eq. 4.

    Args:
        cutoff: Cutoff of f_c (Å).
        eta: η (1/Å²).
        zeta: ζ.
        shifts: R_s (Å).
        angle_shifts: θ_s.
        envelope_name: f_c.
    """

    shifts: Float[Tensor, "R"]
    angle_cosines: Float[Tensor, "A"]
    angle_sines: Float[Tensor, "A"]

    def __init__(
        self,
        cutoff: float,
        *,
        eta: float,
        zeta: float,
        shifts: Sequence[float],
        angle_shifts: Sequence[float],
        envelope_name: EnvelopeName,
    ) -> None:
        super().__init__()
        self.cutoff, self.eta, self.zeta = cutoff, eta, zeta
        self.envelope = envelope(envelope_name, cutoff)
        angles = torch.tensor(angle_shifts, dtype=torch.float64)
        self.register_buffer("shifts", torch.tensor(shifts, dtype=torch.float64), persistent=False)
        self.register_buffer("angle_cosines", torch.cos(angles), persistent=False)
        self.register_buffer("angle_sines", torch.sin(angles), persistent=False)

    def width(self, num_elements: int) -> int:
        """How many numbers an atom has."""
        return num_elements * (num_elements + 1) // 2 * len(self.shifts) * len(self.angle_cosines)

    def forward(self, graph: AtomicGraph, rows: Int[Tensor, "N"], num_elements: int) -> Float[Tensor, "N Y"]:
        """Sums of each atom, ``width(num_elements)`` numbers."""
        angles = (self.shifts, self.angle_cosines, self.angle_sines)
        functions = AngleParameters(self.cutoff, self.eta, self.zeta, *angles, self.envelope)
        sums = triplet_sums(pair_vectors(graph), functions, Neighborhoods.of(graph), rows, num_elements)
        return sums.view(len(rows), self.width(num_elements))
