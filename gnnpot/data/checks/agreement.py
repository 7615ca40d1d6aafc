"""In words: whether forces and stress are the derivatives of the energies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gnnpot.data.checks.forces import ForcesCheck
from gnnpot.data.checks.stress import StressCheck
from gnnpot.data.checks.stress_diagnosis import COMPRESSED

AGREEMENT = "agreement of the labels: 1 where forces and stress are the derivatives of the energy"


def agreement(forces: Sequence[ForcesCheck], stress: Sequence[StressCheck]) -> Iterator[str]:
    """A line for each group whose frames tell, with the number that is 1 where all is right."""
    for check in forces:
        if check.ratio is not None:
            yield f"forces   {_ratio(check)} pairs of close frames"
    told = False
    for one in stress:
        correlation = one.volume_correlation or 0.0
        if one.ratio is not None:
            yield f"stress   {_ratio(one)} pairs of strained frames"
        elif abs(correlation) > COMPRESSED:
            sign = "the sign is right" if correlation > 0 else "the sign is wrong"
            yield f"stress   {_where(one)}: {sign}, by the volumes (correlation {correlation:.2f})"
        else:
            continue
        told = True
    if stress and not told:
        yield "stress   not told: no frames differ enough in strain or volume"


def _ratio(check: ForcesCheck | StressCheck) -> str:
    return f"{_where(check)}: {check.ratio:.4g}, by the energies of {check.pairs}"


def _where(check: ForcesCheck | StressCheck) -> str:
    return f"{check.file}, group {check.group}" if check.group else check.file
