"""Committees trained as one run."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import pytest
import torch
from ase.io import read, write
from pydantic import ValidationError

from gnnpot.calculator.calculator import GNNPotCalculator
from gnnpot.data.split import SplitConfig, SplitRow, read_splits, split_indices, write_splits
from gnnpot.errors import ConfigError, TrainingError
from gnnpot.potential.committee import Committee, load_model
from gnnpot.training.fit import Observer
from gnnpot.training.members import best_member
from gnnpot.training.run import train
from gnnpot.training.run_config import MembersConfig, RunConfig

DEMO = Path(str(files("gnnpot.configs"))) / "silicon-demo.xyz"


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("data") / "silicon.xyz"
    write(path, read(DEMO, "1::10"))
    return path


def settings(data: Path, **changes) -> dict:
    return {
        "model": {"kind": "schnet", "cutoff": 4.0, "channels": 8, "num_filters": 8, "num_basis": 10,
                  "num_interactions": 1},
        "training": {"max_epochs": 2, "batch_size": 6, "dtype": "float64"},
        "train": str(data),
        "validation": {"fraction": 0.2},
        "members": {"count": 2},
        **changes,
    }  # fmt: skip


def config_of(data: Path, **changes) -> RunConfig:
    return RunConfig.from_dict(settings(data, **changes), source="test")


class Told(Observer):
    """What a training tells of itself."""

    def __init__(self):
        self.stages, self.steps = [], []

    def stage(self, text):
        self.stages.append(text)

    def step(self, progress, seconds):
        self.steps.append((progress, seconds))


@pytest.fixture(scope="module")
def told() -> Told:
    return Told()


@pytest.fixture(scope="module")
def trained(data, told, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("committee") / "run"
    train(config_of(data), output, observer=told)
    return output


def states(output: Path) -> list[dict[str, torch.Tensor]]:
    return [member.model.state_dict() for member in load_model(output).potentials]


def assert_same_weights(one: Path, other: Path) -> None:
    for mine, yours in zip(states(one), states(other), strict=True):
        for name, value in mine.items():
            torch.testing.assert_close(value, yours[name], rtol=0, atol=0)


def test_members_differ_in_weights_and_split_and_make_one_model(trained, data):
    committee = load_model(trained)
    assert isinstance(committee, Committee)
    splits = [read_splits(trained / "members" / str(k) / "splits.json") for k in range(2)]
    assert len({tuple(row.hash for row in one["validation"]) for one in splits}) == 2
    assert not any(path.name == "graphs" for path in (trained / "members").rglob("*"))
    atoms = read(data, 0)
    atoms.calc = GNNPotCalculator(trained)
    atoms.get_forces()
    assert atoms.calc.results["energy_uncertainty"] > 0
    metrics = json.loads((trained / "metrics.json").read_text())
    assert len(metrics["members"]) == 2
    assert metrics["uncertainty"]["forces"]["factor"] > 0
    page = (trained / "report.html").read_text()
    assert "member 1" in page
    assert "Committee of 2 schnet potentials of Si" in page


def test_it_is_told_which_member_is_at_which_epoch(trained, told):
    for number in (1, 2):
        assert any(one.startswith(f"member {number} of 2: epoch 2, ") for one in told.stages)
    assert told.steps == sorted(told.steps)  # share and time both grow
    assert told.steps[-1][0] == 1.0


def test_a_member_is_the_run_with_its_seeds(trained, data, tmp_path):
    alone = config_of(data, members=None, seeds={"weights": 1, "split": 1})
    train(alone, tmp_path / "alone")
    one = load_model(tmp_path / "alone").model.state_dict()
    for name, value in states(trained)[1].items():
        torch.testing.assert_close(value, one[name], rtol=0, atol=0)


def test_processes_train_the_same_members(trained, data, tmp_path, command):
    (tmp_path / "run.yaml").write_text(config_of(data).as_yaml())
    code, out, err = command("train", tmp_path / "run.yaml", "--output", tmp_path / "run", "--jobs", 2)
    assert (code, f"model   {tmp_path / 'run'}" in out) == (0, True), err
    assert_same_weights(trained, tmp_path / "run")


def test_a_committee_goes_on_where_it_was(trained, data, tmp_path):
    class KilledError(Exception):
        pass

    def killed(*arguments, **settings):
        raise KilledError

    output = tmp_path / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gnnpot.training.run.judge_members", killed)
        with pytest.raises(KilledError):
            train(config_of(data), output)
    before = (output / "members" / "0" / "model.safetensors").stat().st_mtime_ns
    train(config_of(data), output, resume=True)
    assert (output / "members" / "0" / "model.safetensors").stat().st_mtime_ns == before
    assert_same_weights(trained, output)
    with pytest.raises(ConfigError, match=r"got other values of members\.count"):
        train(config_of(data, members={"count": 3}), output, resume=True)


def test_a_member_that_cannot_train_ends_all_in_its_own_words(data, tmp_path):
    wild = {"max_epochs": 2, "optimizer": {"learning_rate": 1e30}, "gradient_clip": None}
    with pytest.raises(TrainingError, match=r"^expected a finite "):
        train(config_of(data, training=wild), tmp_path / "run", jobs=2)


def test_members_in_processes_tell_how_far_they_are(data, tmp_path):
    told = Told()
    config = config_of(data, training={"max_steps": 400})
    train(config, tmp_path / "run", jobs=2, observer=told)
    shares = [share for share, _ in told.steps]
    assert "2 members, 2 at a time" in told.stages
    assert shares == sorted(shares)
    assert any(0.0 < share < 0.5 for share in shares)  # before any is trained
    assert shares[-1] == 1.0


def test_a_shared_split_leaves_structures_that_no_member_has_seen(data, tmp_path):
    metrics = train(config_of(data, members={"count": 2, "split": "same"}), tmp_path / "run")
    assert metrics["split"] == "validation"
    assert metrics["num_structures"] == 4


def test_inherited_splits_distribute_only_new_structures(tmp_path):
    old, new = [f"old {k}" for k in range(20)], [f"new {k}" for k in range(20)]
    parts = {"train": old[:18], "validation": old[18:]}
    path = tmp_path / "splits.json"
    rows = {name: [SplitRow(one, one) for one in hashes] for name, hashes in parts.items()}
    write_splits(path, rows, seed=0)
    config = SplitConfig(fraction=0.1, inherit=str(path))
    hashes = old + new
    drawn = []
    for seed in (0, 1):
        _, held_out = split_indices(hashes, [""] * 40, config=config, seed=seed)
        names = {hashes[place] for place in held_out}
        assert names & set(old) == set(old[18:])
        assert len(names) == 4  # a tenth of all
        drawn.append(names)
    assert drawn[0] != drawn[1]
    _, held_out = split_indices(old, [""] * 20, config=config, seed=3)
    assert [old[place] for place in held_out] == old[18:]


def test_the_best_member_has_the_least_force_error_on_all_its_structures():
    def member(train, validation):
        parts = {"train": (train, 90), "validation": (validation, 10)}
        return {
            "splits": {
                name: {"forces": {"rmse": rmse}, "energy": None, "num_labeled": {"forces": count}}
                for name, (rmse, count) in parts.items()
            }
        }

    assert best_member([member(50.0, 40.0), member(30.0, 60.0), member(45.0, 45.0)]) == 1


def test_training_starts_from_a_potential_of_the_same_model(trained, data, tmp_path):
    start = str(trained / "members" / "0" / "model.safetensors")
    still = {"max_epochs": 1, "optimizer": {"learning_rate": 1e-12}, "dtype": "float64", "ema_decay": None}
    train(config_of(data, members=None, start=start, training=still), tmp_path / "run")
    for name, value in states(trained)[0].items():
        torch.testing.assert_close(load_model(tmp_path / "run").model.state_dict()[name], value)
    other = {**settings(data)["model"], "channels": 6}
    with pytest.raises(ConfigError, match=r"to start from, got other values of channels; "):
        train(config_of(data, members=None, start=start, model=other), tmp_path / "other")


def test_a_budget_of_steps_is_whole_epochs(data, tmp_path):
    training = {"max_steps": 7, "batch_size": 6}  # sixteen structures: three steps in an epoch
    train(config_of(data, members=None, training=training), tmp_path / "run")
    state = torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)
    assert len(state["gnnpot"]["history"]) == 3


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"count": 1}, "expected two members or more, got 1"),
        ({"count": 2, "vary": []}, "expected members that differ"),
        ({"count": 2, "vary": ["split"], "split": "same"}, "expected vary without split"),
    ],
)
def test_members_that_are_no_committee_are_refused(values, message):
    with pytest.raises(ValidationError, match=message):
        MembersConfig.model_validate(values)


def test_an_inherited_split_needs_one_to_inherit(data):
    with pytest.raises(ConfigError, match=r"expected validation\.inherit for members"):
        config_of(data, members={"count": 2, "split": "inherited"})
