"""The programs of ``benchmarks/`` run, and say what they cannot measure."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


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
