"""The model to keep may be picked by the properties that it predicts."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import pytest

from gnnpot.errors import ConfigError
from gnnpot.training.config import TrainingConfig
from gnnpot.training.fit import Observer
from gnnpot.training.run import train
from gnnpot.training.run_config import RunConfig

DEMO = Path(str(files("gnnpot.configs"))) / "silicon-demo.xyz"
TARGETS = {"structure": "Si", "values": {"relaxation": {"a": 5.43}, "elastic": {"C11": 151.0}}}


class Notes(Observer):
    def __init__(self):
        self.notes, self.best = [], {}

    def note(self, text):
        self.notes.append(text)

    def epoch(self, row, best):
        self.best = best


def run_config(**training) -> RunConfig:
    model = {
        "kind": "ani", "cutoff": 4.0, "angular_cutoff": 3.0, "radial_eta": 8.0, "angular_eta": 4.0,
        "radial_shifts": [1.8, 2.3, 2.8, 3.3], "angular_shifts": [1.8, 2.4], "hidden": [8],
    }  # fmt: skip
    values = {
        "model": model,
        "training": {"max_epochs": 5, "batch_size": 2, "loss": {"stress": 1.0}, **training},
        "train": f"{DEMO}@:20",
        "validation": {"frames": 4},
    }
    return RunConfig.from_dict(values, source="test")


def test_the_model_with_the_least_deviation_of_its_properties_is_kept(tmp_path):
    observer = Notes()
    config = run_config(select_by="relaxation.a", select_every=2, properties=TARGETS)
    train(config, tmp_path / "run", observer=observer)
    history = json.loads((tmp_path / "run" / "history.json").read_text())
    told = {int(row["epoch"]) for row in history if "validation_deviation" in row}
    failed = {int(note.split(":")[0].split()[1]) for note in observer.notes if ": relaxation: " in note}
    assert told | failed == {2, 4, 5}
    assert not told & failed
    assert observer.best == min(history, key=config.training.score)


def test_properties_come_before_errors_and_errors_where_there_are_none():
    config = run_config(select_by="elastic", properties=TARGETS).training
    rows = [
        {"epoch": 1, "validation_loss": 0.1},
        {"epoch": 2, "validation_loss": 0.5, "validation_deviation": 20.0},
        {"epoch": 3, "validation_loss": 0.9, "validation_deviation": 8.0},
    ]
    assert [row["epoch"] for row in sorted(rows, key=config.score)] == [3, 2, 1]
    assert config.error(rows[2]) == 0.9
    assert sorted(rows, key=TrainingConfig().score)[0]["epoch"] == 1


@pytest.mark.parametrize(
    ("training", "said"),
    [
        ({"select_by": "elastic.C44"}, "expected properties for select_by: elastic.C44"),
        ({"select_by": "elastik", "properties": TARGETS}, "got 'elastik'"),
        ({"select_by": "vacancy", "properties": TARGETS}, "got relaxation, elastic; give them"),
        ({"select_by": "properties", "properties": {"structure": "Si"}}, "got none; give them"),
        (
            {"select_by": "elastic", "properties": {**TARGETS, "settings": {"elastic": {"strian": 1}}}},
            "elastic: Extra inputs",
        ),
        (
            {"select_by": "elastic", "properties": {**TARGETS, "values": {"elasticity": {}}}},
            "expected a property, got 'elasticity'",
        ),
    ],
)
def test_a_selection_without_its_values_is_refused(training, said):
    with pytest.raises(ConfigError, match=r"^test does not fit|^expected values") as refused:
        run_config(**training)
    assert said in str(refused.value)
