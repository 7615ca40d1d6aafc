"""How many neighbors an atom has, as a smooth function of their distances."""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor


def coordination(
    lengths: Float[Tensor, "P"], ends: Int[Tensor, "2 P"], num_atoms: int, cutoff: float
) -> Float[Tensor, "N"]:
    r"""Number of neighbors of each atom, those in the outer half of the cutoff counted in part.

    .. math:: n_i = \sum_j f(2 r_{ij} / r_c - 1), \quad f(x) = 1 - 10 x^3 + 15 x^4 - 6 x^5

    for 0 < x < 1, one below and zero above, so that n is twice continuously differentiable.

    Args:
        lengths: r of each unordered pair (Å).
        ends: The two atoms of each pair.
        num_atoms: Number of atoms.
        cutoff: r_c (Å).
    """
    x = (2.0 / cutoff * lengths - 1.0).clamp(0.0, 1.0)
    counts = 1.0 - x**3 * (10.0 + x * (6.0 * x - 15.0))
    zeros = lengths.new_zeros(num_atoms)
    return zeros.index_add(0, ends[0], counts).index_add(0, ends[1], counts)
