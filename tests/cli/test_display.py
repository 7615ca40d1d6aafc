"""What is seen of a training: 80 columns, something at least every ten seconds, no time below zero."""

from __future__ import annotations

import time

import gnnpot.commands.display as display
from gnnpot.commands.display import TimeLeft
from gnnpot.commands.progress import TrainingDisplay


def row(epoch: int) -> dict[str, float]:
    errors = {"energy": 123.4567, "forces": 1234.567, "stress": 23456.7}
    return {"epoch": float(epoch), **{f"validation_{name}_rmse": value for name, value in errors.items()}}


def test_lines_of_epochs_fit_into_80_columns(capsys):
    with TrainingDisplay() as shown:
        shown.step(0.0, 0.0)
        shown.step(0.001, 36.0)
        shown.epoch(row(1), row(1))
        shown.step(1.0, 36000.0)
        shown.epoch(row(1000), row(1))
    lines = capsys.readouterr().err.splitlines()
    assert max(map(len, lines)) <= 80
    assert "energy (meV/atom)" in lines[1]
    assert "stress (MPa)" in lines[1]
    assert lines[2].split() == ["1", "123.5", "1235", "2.346e+04", "*", "9:59:24", "left"]
    assert lines[3].split()[:4] == ["1000", "123.5", "1235", "2.346e+04"]


def test_something_is_said_when_nothing_else_is(capsys, monkeypatch):
    monkeypatch.setattr(display, "QUIET", 0.2)
    with TrainingDisplay() as shown:
        shown.stage("compiling loops")
        time.sleep(1.2)
    assert "compiling loops  (0:00:0" in capsys.readouterr().err


def test_the_time_left_is_never_below_zero():
    left = TimeLeft()
    left(0.0, 0.0)
    assert left(0.5, 10.0) == "0:00:10 left"
    assert left(1.2, 30.0) == "0:00:00 left"
