"""Short-range repulsion, for distances that no training set contains."""

from __future__ import annotations

import torch
from ase.data import covalent_radii
from jaxtyping import Float
from torch import Tensor, nn

from gnnpot.graph.geometry import pair_lengths
from gnnpot.graph.graph import AtomicGraph
from gnnpot.nn.envelopes import PolynomialEnvelope
from gnnpot.units import EV_ANGSTROM

_FEW = 4096  # pairs among which the close ones are not worth looking for
_SCREENING_COEFFICIENTS = (0.18175, 0.50986, 0.28022, 0.02817)
_SCREENING_EXPONENTS = (3.19980, 0.94229, 0.40290, 0.20162)


class ZBLRepulsion(nn.Module):
    r"""The universal repulsion of two nuclei, switched off before chemistry begins.

    .. math:: E_{ij} = \frac{Z_i Z_j e^2}{4\pi\epsilon_0 r} \sum_k c_k e^{-d_k r / a}\, u(r / r_c),
        \quad a = \frac{0.46850\,\text{Å}}{Z_i^{0.23} + Z_j^{0.23}}

    with the polynomial envelope u and r_c = ``reach`` times the sum of the covalent radii, so that it is
    zero at bond lengths and C² everywhere.  It never reaches beyond the cutoff of the model beside it, where
    neighbor lists may end: r_c is that at most.

    Source: Ziegler, Biersack, Littmark, *The Stopping and Range of Ions in Solids* (Pergamon, 1985);
    covalent radii of Cordero et al., Dalton Trans. 2832 (2008), through ASE.

    Args:
        reach: r_c in units of the sum of the two covalent radii.
    """

    radii: Float[Tensor, "119"]

    def __init__(self, reach: float = 0.8) -> None:
        super().__init__()
        self.reach = reach
        self.envelope = PolynomialEnvelope(cutoff=1.0)
        radii = torch.as_tensor(covalent_radii, dtype=torch.float64)
        self.register_buffer("radii", radii, persistent=False)

    def atomic_energies(self, graph: AtomicGraph, cutoff: float) -> Float[Tensor, "N"]:
        """Half of each pair's energy for each of its two atoms (eV).

        Args:
            graph: With all pairs within ``cutoff``.
            cutoff: Upper bound of r_c (Å).
        """
        lengths = pair_lengths(graph)
        source, center = graph.edge_index[:, 0::2]
        radii = self.radii[graph.atomic_numbers[source]] + self.radii[graph.atomic_numbers[center]]
        cutoffs = (self.reach * radii).clamp(max=cutoff).to(lengths.dtype)
        energies = torch.zeros_like(graph.positions[:, 0])
        if len(lengths) > _FEW:
            close = (lengths < cutoffs).nonzero().squeeze(-1)
            if len(close) == 0:
                return energies
            lengths, cutoffs = lengths[close], cutoffs[close]
            source, center = source[close], center[close]
        z_source, z_center = graph.atomic_numbers[source], graph.atomic_numbers[center]
        screened = screened_repulsion(lengths, z_source, z_center) * self.envelope(lengths / cutoffs)
        return energies.index_add(0, center, 0.5 * screened).index_add(0, source, 0.5 * screened)


def screened_repulsion(lengths: Float[Tensor, "P"], z_source: Tensor, z_center: Tensor) -> Float[Tensor, "P"]:
    """The ZBL energy of pairs of nuclei at these distances (eV)."""
    z_source, z_center = z_source.to(lengths.dtype), z_center.to(lengths.dtype)
    x = lengths * (z_source**0.23 + z_center**0.23) / 0.46850
    screening = sum(
        c * torch.exp(-d * x) for c, d in zip(_SCREENING_COEFFICIENTS, _SCREENING_EXPONENTS, strict=True)
    )
    return EV_ANGSTROM * z_source * z_center / lengths * screening
