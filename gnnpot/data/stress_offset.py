"""The constant pressure that stress labels have too much, to be taken off before training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import hypot

import numpy as np

from gnnpot import units
from gnnpot.data.checks.stress import StressCheck
from gnnpot.data.checks.stress_diagnosis import shows_offset
from gnnpot.data.keys import LabelKeys
from gnnpot.errors import DataError

_SAME, _SIGMAS = 1.0 * units.GPa, 5.0  # how far offsets of one method may lie apart
_LEAST_ERROR = 0.01 * units.GPa
_RATIOS = (0.7, 1.4)  # of labels whose unit and sign are right


@dataclass(frozen=True)
class StressOffset:
    """What is taken off the diagonal of every stress label, in proportion to the density of the atoms.

    Attributes:
        value: Isotropic stress at the reference volume, positive under tension (eV/Å³).
        error: Its standard error (eV/Å³).
        atom_volume: Reference volume per atom, that of the strained frames (Å³).
        groups: Where the strained frames are that say so.
    """

    value: float
    error: float
    atom_volume: float
    groups: tuple[str, ...]

    @property
    def per_atom(self) -> float:
        """The stress times the volume per atom (eV)."""
        return self.value * self.atom_volume

    @property
    def setting(self) -> str:
        """The same as a value of ``keys.stress_offset``."""
        return f"{self.per_atom:.4g} eV/atom"

    def __str__(self) -> str:
        value, error, groups = self.value / units.GPa, self.error / units.GPa, ", ".join(self.groups)
        return (
            f"{value:+.2f} ± {error:.2f} GPa are taken off the labels of bulk, less where there is vacuum "
            f"({self.setting}), as the energies of strained frames say ({groups}); "
            "keys.stress_offset: none leaves them as they are"
        )


def stress_offset(checks: Sequence[StressCheck], keys: LabelKeys) -> StressOffset | None:
    """What to take off stress labels, by the user's word and the energies of strained frames.

    ``fit`` takes what the energies say; ``auto`` does only where labels contradict them beyond doubt, by more
    than 1 GPa and five standard errors.  Groups are joined with the inverse squares of their errors.

    Args:
        checks: Stress labels held against energies, a group each.
        keys: Keys of the run.

    Raises:
        DataError: It is to be fitted, and nothing tells it or groups tell different ones.
    """
    if keys.stress_offset not in ("auto", "fit"):
        return None
    telling = [check for check in checks if _tells(check)]
    if keys.stress_offset == "auto":
        telling = [check for check in telling if shows_offset(check)]
    reference = telling[0].volume / telling[0].num_atoms if telling else 1.0
    parts = [(check, *_at(reference, check)) for check in telling]
    if not parts:
        if keys.stress_offset == "fit":
            raise DataError(
                "expected strained frames with energies and stress to fit keys.stress_offset to, got too "
                "few; give it a value, or none"
            )
        return None
    weights = np.array([error**-2.0 for _, _, error in parts])
    value = float(weights @ [offset for _, offset, _ in parts] / weights.sum())
    error = float(weights.sum() ** -0.5)
    far = [
        check for check, offset, own in parts if abs(offset - value) > max(_SAME, _SIGMAS * hypot(own, error))
    ]
    if far:
        if keys.stress_offset == "auto":
            return None
        told = ", ".join(f"{offset / units.GPa:+.1f} GPa in {_name(check)}" for check, offset, _ in parts)
        raise DataError(
            f"expected one offset of all stress labels, got {told}; give each file its own: "
            "{path: ..., keys: {stress_offset: ...}}"
        )
    return StressOffset(value, error, reference, tuple(_name(check) for check in telling))


def _tells(check: StressCheck) -> bool:
    right = check.ratio is not None and _RATIOS[0] < check.ratio < _RATIOS[1]
    return right and check.offset is not None and check.offset_error is not None


def _at(atom_volume: float, check: StressCheck) -> tuple[float, float]:
    """The offset of a group and its error at another volume per atom."""
    scale = check.volume / check.num_atoms / atom_volume
    return (check.offset or 0.0) * scale, (check.offset_error or 0.0) * scale + _LEAST_ERROR


def _name(check: StressCheck) -> str:
    return f"{check.file}, group {check.group}" if check.group else check.file
