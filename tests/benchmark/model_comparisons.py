"""What tests of the comparison of models share."""

from __future__ import annotations

import contextlib
import io
import sys
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from gnnpot.cli import main

from gnnpot.benchmark.models.config import ComparisonConfig
from gnnpot.benchmark.models.run import (
    compare,
)
from gnnpot.benchmark.trials import Comparison

DEMO = Path(str(files("gnnpot.configs"))) / "silicon-demo.xyz"


TINY = {
    "model": {"kind": "schnet", "cutoff": 4.0, "channels": 8, "num_filters": 8, "num_interactions": 1},
    "training": {
        "batch_size": 4,
        "loss": {"energy": 1.0, "forces": 1.0, "stress": 10.0},
        "select_by": "energy",
    },
    "train": "nowhere.xyz",
}


class Done(NamedTuple):
    code: int
    out: str
    err: str


def run(*words: object) -> Done:
    out, err = io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        patch.setattr(sys, "argv", ["gnnpot", "benchmark", *map(str, words)])
        # the report of a single run takes longer than its training here, and has tests of its own
        patch.setattr("gnnpot.training.run.write_report", lambda path, report: path.write_text(report.title))
        with pytest.raises(SystemExit) as stopped:
            main()
    return Done(int(stopped.value.code or 0), out.getvalue(), err.getvalue())


class Study(NamedTuple):
    output: Path
    words: tuple[object, ...]
    done: Done

    @property
    def trainings(self) -> list[Path]:
        return sorted((self.output / "trainings").iterdir())


def labeled(atoms: Atoms, **labels: object) -> Atoms:
    atoms.calc = SinglePointCalculator(
        atoms, **{"energy": -1.0, "forces": np.zeros((len(atoms), 3)), **labels}
    )
    return atoms


def compare_with(tmp_path: Path, *, resume: bool = False, **changes: object) -> Comparison:
    given = {"data": ("gnnpot:silicon-demo.xyz",), "models": ("schnet",), "sizes": (4,), "steps": 2}
    config = ComparisonConfig.from_dict({**given, **changes}, source="test")
    return compare(config, tmp_path / "out", resume=resume)
