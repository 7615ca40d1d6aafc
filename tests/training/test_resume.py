"""A training goes on as if it had never stopped, whoever reads its batches."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest
import torch
from ase.io import read

from gnnpot.data.structure_set import Structures
from gnnpot.training.fit import Observer
from gnnpot.training.run import train
from gnnpot.training.run_config import RunConfig


class StoppedError(Exception):
    """What ends a training."""


class StopsAfter(Observer):
    def __init__(self, epoch: int) -> None:
        self.last = epoch

    def epoch(self, row: dict[str, float], best: dict[str, float]) -> None:
        if row["epoch"] == self.last:
            raise StoppedError


def history(output: Path) -> list[dict[str, float]]:
    rows = torch.load(output / "last.ckpt", weights_only=True)["gnnpot"]["history"]
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


@pytest.mark.parametrize("workers", [0, 1])
def test_the_batches_after_a_restart_are_those_of_their_epoch(workers, tmp_path, monkeypatch):
    monkeypatch.setattr("gnnpot.training.run.write_report", lambda *_: None)
    model = {"kind": "schnet", "cutoff": 3.0, "channels": 4, "num_filters": 4, "num_interactions": 1}
    values = {
        "model": model,
        "training": {"max_epochs": 4, "batch_size": 4, "device": "cpu", "num_workers": workers},
        "train": "memory:",
        "validation": {"frames": 3},
    }
    config = RunConfig.from_dict(values, source="test")
    frames = Structures(train=read(Path(str(files("gnnpot.configs"))) / "silicon-demo.xyz", "::10"))
    train(config, tmp_path / "whole", structures=frames)
    with pytest.raises(StoppedError):
        train(config, tmp_path / "parts", structures=frames, observer=StopsAfter(2))
    train(config, tmp_path / "parts", structures=frames, resume=True)
    assert history(tmp_path / "parts") == history(tmp_path / "whole")
