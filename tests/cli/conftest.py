"""Fixtures that tests share."""

from __future__ import annotations

from typing import Any

import pytest
from ase import Atoms
from ase.io import read, write
from cli_examples import DEMO


@pytest.fixture
def frames() -> list[Atoms]:
    return read(DEMO, "30:80:2")


@pytest.fixture
def config(tmp_path, frames) -> dict[str, Any]:
    write(tmp_path / "train.xyz", frames)
    return {
        "model": {"kind": "schnet", "cutoff": 4.0, "channels": 4, "num_filters": 4, "num_interactions": 1},
        "training": {"max_epochs": 1, "loss": {"stress": 1.0}},
        "train": str(tmp_path / "train.xyz"),
        "validation": {"frames": 5},
    }
