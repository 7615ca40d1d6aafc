"""Spans of time as people write them: ``10ps`` of dynamics, ``3m`` of waiting."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, NonNegativeFloat, PlainSerializer, PositiveFloat

_AMOUNT = re.compile(r"\s*(\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+)\s*([A-Za-zµμ]*)\s*")
_CLOCK = re.compile(r"\s*(\d+):(\d{1,2})(?::(\d{1,2}(?:\.\d*)?))?\s*")
FEMTOSECONDS = {"fs": 1.0, "ps": 1e3, "ns": 1e6, "us": 1e9, "µs": 1e9, "μs": 1e9}
SECONDS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


def simulated_time(value: Any) -> Any:
    """Femtoseconds from ``"10ps"``; numbers are femtoseconds already.

    Raises:
        ValueError: A text that is no time.
    """
    return _amount(value, FEMTOSECONDS, "10ps or 500fs") if isinstance(value, str) else value


def wall_time(value: Any) -> Any:
    """Seconds from ``"3m"``, ``"1h 30m"`` or ``"1:30:00"``; numbers are seconds already.

    Raises:
        ValueError: A text that is no time.
    """
    if not isinstance(value, str):
        return value
    if clock := _CLOCK.fullmatch(value):
        hours, minutes, seconds = clock.groups(default="0")
        return 3600 * int(hours) + 60 * int(minutes) + float(seconds)
    parts = re.findall(r"[\d.]+(?:[eE][+-]?\d+)?\s*[A-Za-z]*", value)
    return sum(_amount(part, SECONDS, "90s, 3m or 1:30:00") for part in parts or [value])


SimulatedTime = Annotated[
    PositiveFloat, BeforeValidator(simulated_time, json_schema_input_type=float | str)
]  # fs
TimeFromZero = Annotated[
    NonNegativeFloat, BeforeValidator(simulated_time, json_schema_input_type=float | str)
]  # fs
WallTime = Annotated[PositiveFloat, BeforeValidator(wall_time, json_schema_input_type=float | str)]  # s


def _span(value: Any) -> Any:
    """A time span from a text as of :func:`wall_time`; ISO 8601 and all else is pydantic's."""
    if not isinstance(value, str) or value.lstrip().startswith("P"):
        return value
    seconds = 0.0 if value.lstrip().startswith("-") else wall_time(value)
    if not seconds > 0:
        raise ValueError(f"expected a time above 0 such as 90s, 3m or 1:30:00, got {value!r}")
    return timedelta(seconds=seconds)


def clock_time(value: timedelta | None) -> str | None:
    """A time span as ``h:mm:ss``."""
    if value is None:
        return None
    minutes, seconds = divmod(value.total_seconds(), 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:" + f"{seconds:09.6f}".rstrip("0").rstrip(".")


TimeSpan = Annotated[
    timedelta,
    BeforeValidator(_span, json_schema_input_type=float | str),
    PlainSerializer(clock_time, return_type=str | None, when_used="json"),
]


def _amount(text: str, units: Mapping[str, float], example: str) -> float:
    found = _AMOUNT.fullmatch(text)
    unit = found[2] if found else ""
    if found is None or (unit and unit not in units):
        raise ValueError(f"expected a time such as {example}, got {text!r}; use {', '.join(units)}")
    return float(found[1]) * units.get(unit, 1.0)
