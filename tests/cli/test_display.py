"""What is seen of a training: 80 columns, something at least every ten seconds, no time below zero."""

from __future__ import annotations

import sys
import time
from io import StringIO

from gnnpot.cli.starting import importing
from rich.console import Console

import gnnpot.commands.display as display
from gnnpot.commands.display import TimeLeft, print_prose
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


def test_sentences_are_broken_between_words_in_a_terminal_and_whole_elsewhere():
    text = "  forces   alloy.xyz, group md: 0.9355, by the energies of 564 pairs of close frames"
    for is_terminal, lines in ((True, 2), (False, 1)):
        console = Console(file=StringIO(), width=70, force_terminal=is_terminal, color_system=None)
        print_prose(console, text, indent=4)
        printed = console.file.getvalue().splitlines()
        assert len(printed) == lines
        assert max(map(len, printed)) <= 70 or not is_terminal
        assert " ".join(" ".join(printed).split()) == " ".join(text.split())


def test_a_terminal_says_that_libraries_are_imported(monkeypatch):
    screen = StringIO()
    screen.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    with importing():
        until = time.monotonic() + 10
        while "importing torch" not in screen.getvalue() and time.monotonic() < until:
            time.sleep(0.05)
    assert "importing torch" in screen.getvalue()
