"""The programs of ``benchmarks/`` run, and say what they cannot measure."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


def run(program: str, *words: object) -> str:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(BENCHMARKS / program), *map(str, words)]
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def test_throughput_is_written_and_drawn(tmp_path):
    output = tmp_path / "throughput.json"
    words = ["--models", "ani", "--tasks", "train", "--sizes", 8, "--batches", "--seconds", 0.01]
    table = run("throughput.py", *words, "--output", output)
    (row,) = json.loads(output.read_text())["rows"]
    assert row["atoms"] == 8
    assert row["us_per_atom"] > 0
    assert f"{row['us_per_atom']:.3g}" in table
    assert output.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


def test_a_missing_library_is_named_with_the_command_that_installs_it(tmp_path):
    words = ["--architectures", "ani", "--works", "hexane", "--tasks", "train", "--batch", 2, "--rounds", 1]
    lines = run("peers.py", *words, "--folder", tmp_path).splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    ratios = {row[4].split()[0]: row[8] for row in rows if row[4].startswith("gnnpot ")}
    assert ratios == {"gnnpot": "1.00"}
    notes = {row[4]: row[9] for row in rows if row[4].startswith("torchani")}
    hint = f"not installed: run `python benchmarks/environments.py torchani --folder {tmp_path}`"
    assert notes == {"torchani": hint, "torchani, flat batch": hint}
