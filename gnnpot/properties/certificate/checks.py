"""One demand, the number that answers it, and the verdict."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

from gnnpot.errors import GnnpotError, one_line

Verdict = Literal["pass", "warn", "fail", "not applicable"]


class Bounds(NamedTuple):
    """Up to where a value passes, and from where it fails."""

    passes: float
    fails: float

    def verdict(self, value: float) -> Verdict:
        """Of a value of which less is better; NaN fails."""
        if not math.isfinite(value):
            return "fail"
        return "pass" if value <= self.passes else "warn" if value <= self.fails else "fail"


@dataclass(frozen=True)
class Check:
    """What was demanded, and how far it holds.

    Attributes:
        name: Name of the demand.
        verdict: ``pass``, ``warn`` or ``fail``, or ``not applicable``.
        value: The number; NaN where there is none.
        unit: Unit of the number.
        says: Meaning of the number, and what to do about it.
        bounds: Up to where it passes, and from where it fails.
    """

    name: str
    verdict: Verdict
    value: float
    unit: str
    says: str
    bounds: Bounds | None = None

    def as_dict(self) -> dict[str, Any]:
        """The check as plain data; null stands for no number."""
        return {
            "verdict": self.verdict,
            "value": self.value if math.isfinite(self.value) else None,
            "unit": self.unit,
            "says": self.says,
            "passes_up_to": None if self.bounds is None else self.bounds.passes,
            "fails_above": None if self.bounds is None else self.bounds.fails,
        }


class Curve(NamedTuple):
    """The figure behind a check.

    Attributes:
        places: Distance (Å) or volume (over that at rest).
        values: Energy (eV).
    """

    places: tuple[float, ...]
    values: tuple[float, ...]


@dataclass(frozen=True)
class Certificate:
    """All checks of one potential.

    Attributes:
        checks: Checks in the order in which they were made.
        dimers: Energy of two atoms (eV) over their distance (Å) by pair of elements.
        compression: Energy per atom (eV) over the volume at rest; None of what is no crystal.
    """

    UNITS: ClassVar[Mapping[str, str]] = {"dimers": "eV over Å", "compression": "eV/atom over V/V0"}

    checks: tuple[Check, ...]
    dimers: Mapping[str, Curve]
    compression: Curve | None = None

    @property
    def verdict(self) -> Verdict:
        """The worst of all."""
        verdicts = {check.verdict for check in self.checks}
        return "fail" if "fail" in verdicts else "warn" if "warn" in verdicts else "pass"

    def counts(self) -> dict[str, int]:
        """How many checks have which verdict."""
        return {
            verdict: sum(check.verdict == verdict for check in self.checks)
            for verdict in ("pass", "warn", "fail", "not applicable")
        }

    def as_dict(self) -> dict[str, Any]:
        """The certificate as plain data, units beside the numbers."""
        return {
            "verdict": self.verdict,
            "counts": self.counts(),
            "checks": {check.name: check.as_dict() for check in self.checks},
            "dimers": {name: _plain(curve) for name, curve in self.dimers.items()},
            "compression": None if self.compression is None else _plain(self.compression),
        }


def judged(name: str, value: float, unit: str, says: str, *, bounds: Bounds) -> Check:
    """A check of a value of which less is better."""
    return Check(name, bounds.verdict(value), float(value), unit, says, bounds)


def not_applicable(name: str, reason: str) -> Check:
    """A demand that does not concern this structure or calculator."""
    return Check(name, "not applicable", math.nan, "", reason)


def attempted(names: Sequence[str], checks: Callable[[], Sequence[Check]]) -> list[Check]:
    """The checks, or each of these names as failed, where the calculator cannot even be asked."""
    try:
        return list(checks())
    except (GnnpotError, ValueError, ArithmeticError) as error:
        return [
            Check(name, "fail", math.nan, "", f"could not be computed: {one_line(error)}") for name in names
        ]


def _plain(curve: Curve) -> dict[str, list[float | None]]:
    return {
        "places": list(curve.places),
        "values": [value if math.isfinite(value) else None for value in curve.values],
    }
