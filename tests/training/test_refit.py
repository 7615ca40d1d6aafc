"""The last layer is fitted by linear regression: its loss is quadratic, so the best weights are known."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ase.io import read, write

from gnnpot.errors import ConfigError
from gnnpot.models.hidden import last_layer
from gnnpot.potential.header import read_header
from gnnpot.potential.model_file import load_potential
from gnnpot.training.config import RefitConfig
from gnnpot.training.loss_config import WeightedLoss
from gnnpot.training.preparation import initial_potential, prepare
from gnnpot.training.refit import _Errors, refit
from gnnpot.training.run import MODEL_FILE, train
from gnnpot.training.run_config import RunConfig
from gnnpot.training.run_graphs import read_graphs

DEMO = Path(str(files("gnnpot.configs"))) / "silicon-demo.xyz"
MODELS: dict[str, dict[str, Any]] = {
    "ani": {"hidden": [12, 10], "cutoff": 4.0, "angular_cutoff": 3.0},
    "schnet": {"channels": 8, "num_filters": 8, "num_basis": 10, "num_interactions": 1, "cutoff": 4.0},
    "dimenet++": {"channels": 8, "output_channels": 8, "num_blocks": 1, "cutoff": 4.0},
    "nequip": {"channels": 8, "num_interactions": 1, "cutoff": 4.0},
}
LOSS = WeightedLoss(energy=1.0, forces=1.0, stress=10.0)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("data") / "silicon.xyz"
    write(path, read(DEMO, "::20"))
    return path


def settings(data: Path, kind: str, **training: Any) -> RunConfig:
    values = {
        "model": {"kind": kind, **MODELS[kind]},
        "training": {"max_epochs": 1, "batch_size": 6, "device": "cpu", **training},
        "train": str(data),
        "validation": {"frames": 4},
    }
    return RunConfig.from_dict(values, source="test")


def prepared(config: RunConfig, folder: Path) -> tuple[Any, Any]:
    graphs = read_graphs(config, folder, cutoff=config.model.cutoff).with_cutoff(config.model.cutoff)
    found = prepare(config, graphs, folder)
    return initial_potential(config, found), found


@pytest.mark.parametrize("kind", MODELS)
def test_energies_are_linear_in_the_last_layer(kind, data, tmp_path):
    potential, found = prepared(settings(data, kind), tmp_path)
    errors = _Errors(potential.double(), found.validation, LOSS, 30.0)
    start, rng = errors.place, np.random.default_rng(0)
    step = rng.normal(size=len(start))
    values = []
    for length in (0.0, 0.5, 1.0, 1.5):
        errors.move(start + length * step)
        values.append(errors.value())
    # third differences of a quadratic function vanish
    assert abs(np.diff(values, 3)[0]) < 1e-9 * max(values)
    assert abs(np.diff(values, 2)[0]) > 1e-6 * max(values)


def test_the_gradient_of_the_loss_vanishes_where_every_direction_was_taken(data, tmp_path):
    potential, found = prepared(settings(data, "schnet"), tmp_path)
    before = _Errors(potential.double(), found.train, LOSS, 30.0)
    first = np.abs(before.gradient()).max()
    # the same set chooses the ridge, so the smallest wins
    result = refit(potential, found.train, found.train, loss=LOSS, config=RefitConfig(directions=20))
    assert result.ridge == pytest.approx(1e-9)
    assert result.after < result.before
    assert _Errors(potential, found.train, LOSS, 30.0).value() == pytest.approx(result.after, rel=1e-9)
    assert np.abs(before.gradient()).max() < 1e-4 * first


def test_only_the_last_layer_changes(data, tmp_path):
    potential, found = prepared(settings(data, "schnet"), tmp_path)
    before = {name: weight.clone() for name, weight in potential.model.named_parameters()}
    refit(potential, found.train, found.train, loss=LOSS, config=RefitConfig(directions=20))
    after = dict(potential.model.named_parameters())
    changed = [name for name, weight in before.items() if not torch.equal(weight, after[name])]
    assert changed == last_layer(potential.model)


def test_a_training_ends_with_a_regression_and_says_so(data, tmp_path):
    config = settings(data, "schnet", refit={"energy": 10.0, "directions": 8})
    train(config, tmp_path / "run")
    metrics = read_header(tmp_path / "run" / MODEL_FILE).provenance["metrics"]
    assert metrics["refit_after"] < metrics["refit_before"]
    weights = dict(load_potential(tmp_path / "run" / MODEL_FILE).named_parameters())
    train(config, tmp_path / "run", resume=True)  # nothing is done twice
    again = dict(load_potential(tmp_path / "run" / MODEL_FILE).named_parameters())
    assert all(torch.equal(weights[name], again[name]) for name in weights)


def test_a_model_that_names_no_last_layer_is_one_line(data, tmp_path, monkeypatch):
    potential, found = prepared(settings(data, "schnet"), tmp_path)
    monkeypatch.setattr("gnnpot.training.refit.last_layer", lambda model: [])
    with pytest.raises(ConfigError, match="names its last layer"):
        refit(potential, found.train, found.validation, loss=LOSS, config=RefitConfig())
