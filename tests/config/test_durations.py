"""Spans of time as people write them."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from gnnpot.config.durations import SimulatedTime, WallTime


@pytest.mark.parametrize(
    ("written", "femtoseconds"),
    [
        ("10ps", 10_000),
        ("500 fs", 500),
        ("1.5ns", 1.5e6),
        ("2e3fs", 2000),
        (250.0, 250),
        ("40", 40),
        (".5ps", 500),
    ],
)
def test_simulated_times_are_femtoseconds(written, femtoseconds):
    assert TypeAdapter(SimulatedTime).validate_python(written) == pytest.approx(femtoseconds)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("3m", 180),
        ("90s", 90),
        ("1:30:00", 5400),
        ("0:45", 2700),
        ("1h 30m", 5400),
        (20, 20),
        ("2d", 172800),
        ("7", 7),
    ],
)
def test_waiting_times_are_seconds(written, seconds):
    assert TypeAdapter(WallTime).validate_python(written) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("kind", "written"),
    [
        (SimulatedTime, "10 pc"),
        (SimulatedTime, "soon"),
        (SimulatedTime, "-1ps"),
        (WallTime, "3 weeks"),
        (WallTime, ""),
    ],
)
def test_what_is_no_time_is_refused_with_an_example(kind, written):
    with pytest.raises(ValidationError, match=r"expected a time such as|greater than 0"):
        TypeAdapter(kind).validate_python(written)
