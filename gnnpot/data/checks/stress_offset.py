r"""A pressure in stress labels that the energies do not have, as plane waves of a fixed cutoff leave.

The stress is that of a fixed number of plane waves, the energies are those of a fixed cutoff.  The
difference is isotropic and inversely proportional to the volume per atom v,
:math:`\tfrac23 \, dE/d\ln E_{cut} / v` with the energy E of an atom, so that cells with vacuum have less.

Source: G. P. Francis and M. C. Payne, J. Phys. Condens. Matter 2, 4395 (1990).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from gnnpot.data.checks.near_frames import Steps

Array = np.ndarray

_FLOOR = 0.03  # least error of a step, as a share of what is typical
_MIN_STEPS = 12
_SMALLEST_SPREAD = 1e-3  # of the logarithm of the volume


class Offset(NamedTuple):
    """What stress labels have too much on their diagonal.

    Attributes:
        value: Isotropic stress at the reference volume, positive under tension (eV/Å³).
        error: Its standard error (eV/Å³).
    """

    value: float
    error: float


def constant_offset(
    table: Steps, rest: Float[Array, "P"], error: Float[Array, "P"], *, ratio: float, atom_volume: float
) -> Offset | None:
    """The isotropic stress that the labels of strained frames have too much, or None.

    What the energies' own curvature adds over large strains, of third order in them, is fitted beside.

    Args:
        table: Steps between strained frames.
        rest: What the forces leave of the differences of energies to the stress (eV).
        error: Expected errors of the work of the stress.
        ratio: Stress labels over those that the energies imply; about 1 is taken as 1.
        atom_volume: Volume per atom at which the stress is given (Å³).
    """
    if len(rest) < _MIN_STEPS:
        return None
    scale = 1.0 if 0.7 < ratio < 1.4 else ratio
    theta = table.log_volume
    if np.sqrt(np.mean(theta**2)) < _SMALLEST_SPREAD:
        return None
    error = np.maximum(error, _FLOOR * np.sqrt(np.mean(np.square(table.work)))) / abs(scale)
    excess = table.work / scale - rest
    offset = atom_volume * table.num_atoms * theta
    columns = np.stack([offset, table.dilation * theta**2, table.dilation * table.stretch], axis=1)
    columns, excess = columns / error[:, None], excess / error
    sizes = np.linalg.norm(columns, axis=0)
    values, *_ = np.linalg.lstsq(columns / sizes, excess, rcond=1e-6)
    left = excess - columns / sizes @ values
    variance = float(left @ left) / max(len(left) // 4 - 3, 1)  # a frame is in several steps
    spread = np.linalg.pinv((columns / sizes).T @ (columns / sizes), rcond=1e-6)[0, 0]
    return Offset(float(values[0] / sizes[0]), float(np.sqrt(variance * spread) / sizes[0]))
