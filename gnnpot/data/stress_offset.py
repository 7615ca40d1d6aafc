"""The constant pressure that stress labels have too much, to be taken off before training."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import hypot
from types import MappingProxyType

import numpy as np

from gnnpot import units
from gnnpot.data.checks.stress import StressCheck
from gnnpot.data.checks.stress_diagnosis import shows_offset
from gnnpot.data.keys import LabelKeys
from gnnpot.data.offset_table import OffsetTable
from gnnpot.errors import DataError

_SAME, _SIGMAS = 1.0 * units.GPa, 5.0  # how far offsets of one method may lie apart
_LEAST_ERROR = 0.01 * units.GPa
_RATIOS = (0.7, 1.4)  # of labels whose unit and sign are right
_OPEN = ("auto", "fit")  # values of keys.stress_offset that leave it to the data
_NONE: Mapping[str, LabelKeys] = MappingProxyType({})


@dataclass(frozen=True)
class StressOffset:
    """What is taken off the diagonal of stress labels, in proportion to the density of the atoms.

    Attributes:
        value: Isotropic stress at the reference volume, positive under tension (eV/Å³).
        error: Its standard error (eV/Å³).
        atom_volume: Reference volume per atom, that of the strained frames (Å³).
        checks: The strained frames that say so.
        place: File and group whose labels it is taken off, a whole file's group None; None for all labels.
    """

    value: float
    error: float
    atom_volume: float
    checks: tuple[StressCheck, ...]
    place: tuple[str, str | None] | None

    @classmethod
    def joined(
        cls, checks: Sequence[StressCheck], place: tuple[str, str | None] | None = None
    ) -> StressOffset:
        """What several groups say together, each with the inverse square of its error."""
        reference = checks[0].volume / checks[0].num_atoms
        parts = [_at(reference, check) for check in checks]
        weights = np.array([error**-2.0 for _, error in parts])
        value = float(weights @ [offset for offset, _ in parts] / weights.sum())
        return cls(value, float(weights.sum() ** -0.5), reference, tuple(checks), place)

    def fits(self, checks: Sequence[StressCheck]) -> bool:
        """Whether none of the groups says something else."""
        parts = [_at(self.atom_volume, check) for check in checks]
        return all(
            abs(offset - self.value) <= max(_SAME, _SIGMAS * hypot(own, self.error)) for offset, own in parts
        )

    @property
    def per_atom(self) -> float:
        """The stress times the volume per atom (eV)."""
        return self.value * self.atom_volume

    @property
    def setting(self) -> str:
        """The same as a value of ``keys.stress_offset``."""
        return f"{self.per_atom:.4g} eV/atom"

    @property
    def where(self) -> str:
        """What it is taken off, in words."""
        file, group = self.place or ("all files", None)
        return f"{file}, group {group}" if group else file

    def __str__(self) -> str:
        value, error = self.value / units.GPa, self.error / units.GPa
        return f"{value:+.2f} ± {error:.2f} GPa"


@dataclass(frozen=True)
class StressOffsets:
    """What is taken off the stress labels of a run: one offset for all labels, or one for each method.

    Attributes:
        offsets: One, or several with a file or a group each.
        given: Files whose offset their keys tell, so that none is taken off here.
    """

    offsets: tuple[StressOffset, ...]
    given: tuple[str, ...] = ()

    @property
    def table(self) -> OffsetTable:
        """The offsets by file and group."""
        own: dict[tuple[str, str | None], float] = dict.fromkeys(((file, None) for file in self.given), 0.0)
        own |= {offset.place: offset.per_atom for offset in self.offsets if offset.place}
        return OffsetTable(sum(offset.per_atom for offset in self.offsets if offset.place is None), own)

    @property
    def setting(self) -> str:
        """The same as a value of ``keys.stress_offset``, or as one for each place."""
        if self.offsets[0].place is None:
            return self.offsets[0].setting
        return "; ".join(f"{offset.setting} in {offset.where}" for offset in self.offsets)

    def __str__(self) -> str:
        if self.offsets[0].place is None:
            groups = ", ".join(_name(check) for check in self.offsets[0].checks)
            told = f"{self.offsets[0]} are taken off the labels of bulk"
            source = f"as the energies of strained frames say ({groups})"
        else:
            parts = (f"{offset} off those of {offset.where}" for offset in self.offsets)
            told = f"labels of bulk are of several methods: {', '.join(parts)} are taken"
            source = "as the energies of strained frames say; all other labels stay as they are"
        return (
            f"{told}, less where there is vacuum ({self.setting}), {source}; "
            "keys.stress_offset: none leaves them as they are"
        )


def stress_offsets(
    checks: Sequence[StressCheck],
    keys: LabelKeys,
    own: Mapping[str, LabelKeys] = _NONE,
    *,
    judged: Sequence[StressCheck] = (),
) -> StressOffsets | None:
    """What to take off stress labels, by the user's word and the energies of strained frames.

    ``fit`` takes what the energies say; ``auto`` does only where labels contradict them beyond doubt, by more
    than 1 GPa and five standard errors.  One offset is taken off all labels if no group contradicts it; else
    each file has its own, or each group of a file whose groups differ.

    Args:
        checks: Stress labels of training structures held against energies, a group each.
        keys: Keys of the run.
        own: Keys of files that have some of their own, by path.
        judged: The same as ``checks`` for structures that are not trained on.

    Raises:
        DataError: An offset is to be fitted, and nothing tells it.
    """
    words = defaultdict(lambda: keys.stress_offset, {file: own[file].stress_offset for file in own})
    telling, others = (
        [check for check in some if words[check.file] in _OPEN and _tells(check)] for some in (checks, judged)
    )
    offsets = _offsets(telling, others, everywhere=keys.stress_offset in _OPEN)
    for file in dict.fromkeys([*(check.file for check in checks), *own] or ["the training files"]):
        told = any(offset.place is None or offset.place[0] == file for offset in offsets)
        if words[file] == "fit" and not told:
            raise DataError(
                f"expected strained frames with energies and stress in {file} to fit keys.stress_offset to, "
                "got too few; give it a value, or none"
            )
    shown = tuple(offset for offset in offsets if _is_wanted(offset, words))
    given = tuple(file for file in own if words[file] not in _OPEN)
    return StressOffsets(shown, given) if shown else None


def _offsets(
    telling: Sequence[StressCheck], others: Sequence[StressCheck], *, everywhere: bool
) -> list[StressOffset]:
    """One offset if all agree on it, else one for each file, or for each group of a file."""
    if not telling:
        return []
    whole = StressOffset.joined(telling)
    if everywhere and whole.fits([*telling, *others]):
        return [whole]
    offsets = []
    for file in dict.fromkeys(check.file for check in (*telling, *others)):
        members = [check for check in (*telling, *others) if check.file == file]
        one = StressOffset.joined(members, (file, None))
        several = [StressOffset.joined([check], (file, check.group)) for check in members]
        offsets += [one] if one.fits(members) else several
    return offsets


def _is_wanted(offset: StressOffset, words: Mapping[str, str]) -> bool:
    """Whether the user asks for it, or the labels show it beyond doubt."""
    return any(words[check.file] == "fit" or shows_offset(check) for check in offset.checks)


def _tells(check: StressCheck) -> bool:
    right = check.ratio is not None and _RATIOS[0] < check.ratio < _RATIOS[1]
    return right and check.offset is not None and check.offset_error is not None


def _at(atom_volume: float, check: StressCheck) -> tuple[float, float]:
    """The offset of a group and its error at another volume per atom."""
    scale = check.volume / check.num_atoms / atom_volume
    return (check.offset or 0.0) * scale, (check.offset_error or 0.0) * scale + _LEAST_ERROR


def _name(check: StressCheck) -> str:
    return f"{check.file}, group {check.group}" if check.group else check.file
