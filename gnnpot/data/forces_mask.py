"""Where the forces of a frame count: not on atoms that were held, whose labels are zero by decree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from ase import Atoms
from ase.constraints import FixAtoms, FixCartesian, FixScaled
from jaxtyping import Bool, Float

from gnnpot.data.keys import NONE, LabelKeys
from gnnpot.errors import DataError

MASK = "forces_mask"  # array of the structures that we read, where it is not true for all of their forces
MOVE_MASK = "move_mask"  # column of the extended XYZ that ASE writes
CONSTRAINT = "a constraint"

Array = np.ndarray


class ForcesMask(NamedTuple):
    """Where the forces of a frame count.

    Attributes:
        counts: One value for each component.
        source: The key that the mask came from.
    """

    counts: Bool[Array, "N 3"]
    source: str


def forces_mask(
    atoms: Atoms, values: Mapping[str, Any], forces: Float[Array, "N 3"], origin: str, keys: LabelKeys
) -> ForcesMask | None:
    """Where forces count, or None where all of them do.

    A named mask decides.  Without one, forces of atoms that ``move_mask`` or a constraint of ASE holds do
    not count if they are exactly zero while those of others are not: a reference method gives true forces
    on held atoms, but who writes ``atoms.get_forces()`` of constrained atoms writes zeros.

    Args:
        atoms: The frame as read, with its constraints.
        values: All that the file holds by name.
        forces: The labels (eV/Å).
        origin: File and number of the frame, for messages.
        keys: Name of the mask.

    Raises:
        DataError: The mask is not of truths, one for the frame, each atom or each component.
    """
    if keys.forces_mask == NONE:
        return None
    name = keys.named.get(MASK, MASK)
    if name in values:
        counts = _truths(values[name], len(atoms), name, origin)
        mask = ForcesMask(counts ^ keys.forces_mask_is_inverse, name)
    else:
        mask = _held(atoms, values, forces, origin)
    return None if mask.counts.all() else mask


def _truths(value: Any, size: int, name: str, origin: str) -> Bool[Array, "N 3"]:
    truths = np.asarray(value)
    if truths.ndim == 1 and truths.shape != (1,):
        truths = truths[:, None]
    if truths.shape not in ((), (1,), (size, 1), (size, 3)) or not np.isin(truths, (0, 1)).all():
        raise DataError(
            f"expected T or F as {name!r} in {origin}, once or for each atom, got {str(value)[:40]}; mend it"
        )
    return np.broadcast_to(truths.astype(bool), (size, 3))


def _held(atoms: Atoms, values: Mapping[str, Any], forces: Float[Array, "N 3"], origin: str) -> ForcesMask:
    """The atoms that move, if those that do not have forces of zero and the others have not."""
    if MOVE_MASK in values:
        moves, source = _truths(values[MOVE_MASK], len(atoms), MOVE_MASK, origin), MOVE_MASK
    else:
        moves, source = _free(atoms), CONSTRAINT
    decreed = not forces[~moves].any() and (forces[moves].any() or not moves.any())
    return ForcesMask(moves if decreed else np.ones_like(moves), source)


def _free(atoms: Atoms) -> Bool[Array, "N 3"]:
    """The components of forces that the constraints of a frame leave."""
    left = np.ones((len(atoms), 3))
    for constraint in atoms.constraints:
        if isinstance(constraint, FixAtoms | FixCartesian | FixScaled):
            constraint.adjust_forces(atoms, left)
    return left != 0
