"""The programs of ``benchmarks/`` run, and say what they cannot measure."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture
def program(monkeypatch):
    """Import a program, to call its functions."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    return import_module


def finished(program: str, *words: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(BENCHMARKS / program), *map(str, words)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def run(program: str, *words: object) -> str:
    done = finished(program, *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def refusal(program: str, *words: object) -> str:
    """The line that refuses; nothing was measured or drawn before."""
    done = finished(program, *words)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"{program}: ")
    return line


def test_throughput_is_written_and_drawn(tmp_path):
    output = tmp_path / "new" / "folder" / "throughput.json"
    words = ["--models", "ani", "--tasks", "train", "--sizes", 8, "--batches", "--seconds", 0.01]
    table = run("throughput.py", *words, "--output", output)
    (row,) = json.loads(output.read_text())["rows"]
    assert row["atoms"] == 8
    assert row["us_per_atom"] > 0
    assert f"{row['us_per_atom']:.3g}" in table
    assert output.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


def test_the_table_names_what_exceeded_the_limits_if_nothing_was_measured(tmp_path):
    output = tmp_path / "throughput.json"
    words = ["--models", "ani", "--tasks", "md", "--sizes", 8, "--batches", "--limit", 0.001]
    done = finished("throughput.py", *words, "--output", output)
    assert done.returncode == 0
    assert "| more than 0.001 s |" in done.stdout.splitlines()[-1]
    assert done.stderr.splitlines()[-1].startswith("no figure: ")
    assert [row["error"] for row in json.loads(output.read_text())["rows"]] == ["more than 0.001 s"]
    assert not output.with_suffix(".png").exists()


def test_labels_of_sizes_have_room(program):
    spaced = program("throughput").spaced
    assert spaced({8}) == [8]
    assert spaced({8, 64}) == [8, 64]
    assert spaced({900, 1000, 1100}) == [900, 1000, 1100]
    assert spaced({8, 64, 80, 1000, 16000, 20000, 100000}) == [8, 64, 1000, 16000, 100000]


def test_a_task_of_which_nothing_was_measured_has_no_panel(program, tmp_path):
    case = {"architecture": "ani", "threads": 1, "batch": 1}
    measured = {**case, "task": "md", "atoms": 8, "us_per_atom": 100.0}
    failed = {**case, "task": "train", "error": "more than 1 s"}
    program("throughput").draw([failed, measured], tmp_path / "throughput.svg")
    drawn = (tmp_path / "throughput.svg").read_text()
    assert "<!-- step of dynamics -->" in drawn
    assert "<!-- training step -->" not in drawn


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--models", "schnett"], "expected a model, got 'schnett'; did you mean 'schnet'?"),
        (["--sizes", 8, 0], "--sizes: expected a whole number above 0, got '0'"),
        (["--batches", -4], "--batches: expected a whole number above 0, got '-4'"),
        (["--threads", 0], "--threads: expected a whole number above 0, got '0'"),
        (["--limit", "nan"], "--limit: expected a finite number above 0, got 'nan'"),
        (["--output", "figure.png"], "expected a JSON file, got figure.png"),
    ],
)
def test_throughput_refuses_what_cannot_be_measured_in_one_line(words, told):
    assert told in refusal("throughput.py", *words)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--rounds", 0], "--rounds: expected a whole number above 0, got '0'"),
        (["--works", "si8", "si0"], "--works: expected hexane, ni32, ni108 or si and a number of atoms"),
        (["--output", BENCHMARKS], f"got {BENCHMARKS} (a folder); choose another"),
        (["--output", "/dev/null/peers.json"], "got /dev/null/peers.json (File exists)"),
    ],
)
def test_peers_refuses_what_cannot_be_measured_in_one_line(words, told):
    assert told in refusal("peers.py", *words)


def test_a_missing_library_is_named_with_the_command_that_installs_it(tmp_path):
    words = ["--architectures", "ani", "--works", "hexane", "--tasks", "train", "--batch", 2, "--rounds", 1]
    output = tmp_path / "new" / "peers.json"
    lines = run("peers.py", *words, "--folder", tmp_path, "--output", output).splitlines()
    assert len(json.loads(output.read_text())["rows"]) == 3
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    ratios = {row[4].split()[0]: row[8] for row in rows if row[4].startswith("gnnpot ")}
    assert ratios == {"gnnpot": "1.00"}
    notes = {row[4]: row[9] for row in rows if row[4].startswith("torchani")}
    hint = f"not installed: run `python benchmarks/environments.py torchani --folder {tmp_path}`"
    assert notes == {"torchani": hint, "torchani, flat batch": hint}
