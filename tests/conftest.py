"""Settings of the whole suite."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from jaxtyping import install_import_hook

import gnnpot
from gnnpot.kernels.dispatch import plain_torch

_NUMERICAL = (
    "graph.geometry", "training.loss", "nn", "ops",
    *(f"models.{name}" for name in ("dimenet", "nequip", "schnet")),
    "potential.potential", "potential.repulsion",
)  # fmt: skip
install_import_hook([f"gnnpot.{name}" for name in _NUMERICAL], "beartype.beartype")  # checks shapes

CHECKOUT = Path(__file__).resolve().parents[1]
SHARED = CHECKOUT.parent / "shared" / "data"

if Path(gnnpot.__file__).resolve().parents[1] == CHECKOUT and find_spec("gnnpot.cli") is None:
    gnnpot.__path__.append(str(CHECKOUT))  # installed elsewhere, run from the checkout

torch.set_num_threads(1)  # many small tensors: more threads only wait for each other


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of the team's labeled sets."""
    if not SHARED.is_dir():
        pytest.skip(f"needs the labeled sets in {SHARED}")
    return SHARED


@pytest.fixture
def command(monkeypatch, capsys):
    """Run a command; gives exit code, stdout, stderr."""
    from gnnpot.cli import main

    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["gnnpot", *map(str, words)])
        with pytest.raises(SystemExit) as stopped:
            main()
        captured = capsys.readouterr()
        return int(stopped.value.code or 0), captured.out, captured.err

    return run


@pytest.fixture
def plain():
    """Calls a function as if there were no compiled loops."""

    def call(function, *inputs):
        with plain_torch():
            return function(*inputs)

    return call
