"""The energy of atoms that are about to lose their last neighbor."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from gnnpot.graph.coordination import coordination
from gnnpot.graph.geometry import pair_lengths
from gnnpot.graph.graph import AtomicGraph
from gnnpot.kernels.dispatch import is_recorded


def bonded_part(graph: AtomicGraph, cutoff: float) -> Float[Tensor, "N"] | None:
    r"""What of a network's energy each atom has, or None where every atom has all of it.

    .. math:: b(n) = 1 - (1 - n)^3

    for a coordination n < 1 (:func:`~gnnpot.graph.coordination.coordination`), else 1: zero of a free atom,
    one in any bonded structure, and twice continuously differentiable between.

    Args:
        graph: With all pairs within ``cutoff``.
        cutoff: Reach of the network (Å).
    """
    if "bonded_within" in graph and graph.bonded_within <= cutoff:
        return None
    lengths, ends, size = pair_lengths(graph), graph.edge_index[:, 0::2], len(graph.atomic_numbers)
    if is_recorded():  # the same steps will be made at other positions
        return _of_coordination(coordination(lengths, ends, size, cutoff))
    near = lengths.detach() <= 0.5 * cutoff
    if _all_have(near, ends, size):
        return None
    number = coordination(lengths, ends, size, cutoff)
    return None if bool((number.detach() >= 1.0).all()) else _of_coordination(number)


def _of_coordination(number: Float[Tensor, "N"]) -> Float[Tensor, "N"]:
    return 1.0 - (1.0 - number).clamp(min=0.0) ** 3


def _all_have(near: Tensor, ends: Tensor, size: int) -> bool:
    """Whether each atom is in one of the pairs that are near."""
    found = torch.zeros(size, dtype=torch.bool, device=near.device)
    found[ends[:, near].flatten()] = True
    return bool(found.all())
