"""Where errors fall and properties get worse, and what else to know of several runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

from gnnpot.overview.results import Results
from gnnpot.properties.table import rows
from gnnpot.units import ERROR_UNITS

_WORSE = 2.0  # percentage points of a deviation, below which it is no worse
_SHOWN = 3  # quantities in one warning


def warnings_of(found: Sequence[Results]) -> list[str]:
    """One sentence for each thing to know."""
    return [*_verdicts(found), *_different_sets(found), *_negative_transfer(found)]


def _verdicts(found: Sequence[Results]) -> Iterator[str]:
    for one in found:
        yield from (f"{one.name}: {text}" for text in one.transfer.get("verdict", ()))


def _different_sets(found: Sequence[Results]) -> Iterator[str]:
    """Errors of different sets stand in one table."""
    sets = {(one.metrics.get("split"), one.metrics.get("num_structures")) for one in found if one.metrics}
    if len(sets) > 1:
        told = ", ".join(f"{count} {split} structures" for split, count in sorted(sets, key=str))
        yield f"the errors are of different sets: {told}; compare with --data, which judges all on the same"


def _negative_transfer(found: Sequence[Results]) -> Iterator[str]:
    """Pairs of runs of which the one with smaller errors predicts properties worse."""
    metrics = {one.name: one.metrics for one in found if one.metrics}
    for summary in (one.properties for one in found if one.properties):
        for first, second in combinations([name for name in summary["models"] if name in metrics], 2):
            for better, worse in ((first, second), (second, first)):
                fallen = _fallen(metrics[worse], metrics[better])
                lost = _lost(summary, worse, better)
                if fallen and lost:
                    yield (
                        f"{better} has smaller errors than {worse} ({fallen}), but predicts properties "
                        f"worse: {'; '.join(lost[:_SHOWN])}"
                    )


def _fallen(before: Any, after: Any) -> str:
    """The errors that are smaller ``after``, if all are."""
    there = [name for name in ERROR_UNITS if before.get(name) and after.get(name)]
    if not there or any(after[name]["rmse"] >= before[name]["rmse"] for name in there):
        return ""
    return ", ".join(
        f"{name} {after[name]['rmse']:.3g} against {before[name]['rmse']:.3g} {ERROR_UNITS[name]}"
        for name in there
    )


def _lost(summary: Any, before: str, after: str) -> list[str]:
    """The quantities whose deviation from the reference grew, the largest growth first."""
    names, grown = list(summary["models"]), []
    for row in rows(summary):
        pair = [_percent(row.values[names.index(name)], row.reference) for name in (before, after)]
        if None not in pair and pair[1] - pair[0] > _WORSE:
            words = f"{row.quantity} off by {pair[1]:.1f} rather than {pair[0]:.1f} %"
            grown.append((pair[1] - pair[0], words))
    return [words for _, words in sorted(grown, reverse=True)]


def _percent(value: Any, reference: Any) -> Any:
    numeric = all(isinstance(one, int | float) and not isinstance(one, bool) for one in (value, reference))
    if not numeric or abs(reference) < 1e-3:
        return None
    return 100 * abs(value - reference) / abs(reference)
