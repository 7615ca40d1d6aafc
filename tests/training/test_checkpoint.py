"""A checkpoint belongs to one training, and a damaged one is told of in one line."""

from __future__ import annotations

import pickle
import random
import shutil
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import torch
from ase.io import read, write

from gnnpot.data.dataset import GraphDataset, GraphStore
from gnnpot.errors import ConfigError, GnnpotError, OutputError, TrainingError
from gnnpot.models import build_model
from gnnpot.potential.potential import Potential
from gnnpot.training.checkpoint import read_checkpoint
from gnnpot.training.fit import RunSettings, fit
from gnnpot.training.run import train
from gnnpot.training.run_config import RunConfig

DEMO = Path(str(files("gnnpot.configs"))) / "silicon-demo.xyz"


def settings(data: Path, **values: Any) -> RunConfig:
    training = {"max_epochs": 2, "batch_size": 6, "dtype": "float64", "device": "cpu"}
    return RunConfig.from_dict(
        {
            "model": {"kind": "schnet", "cutoff": 4.0, "channels": 8, "num_filters": 8, "num_basis": 10,
                      "num_interactions": 1, **values.pop("model", {})},
            "training": {**training, **values.pop("training", {})},
            "train": str(data),
            "validation": {"frames": 4},
            **values,
        },
        source="test",
    )  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("data") / "silicon.xyz"
    write(path, read(DEMO, "::20"))
    return path


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory) -> Path:
    """A training of two epochs."""
    output = tmp_path_factory.mktemp("finished") / "run"
    train(settings(data), output)
    return output


@pytest.fixture
def foreign(finished, tmp_path):
    """Gives the folder of a training, of which nothing but the checkpoint of another is there."""
    output = tmp_path / "run"
    output.mkdir()
    shutil.copy(finished / "last.ckpt", output)
    (output / "config.yaml").touch()

    def go_on(config: RunConfig) -> None:
        (output / "config.yaml").write_text(config.as_yaml())
        train(config, output, resume=True)

    return go_on


OTHERS: dict[str, tuple[dict[str, Any], str]] = {
    "batches": ({"training": {"batch_size": 3}}, "other training.batch_size;"),
    "seed": ({"seed": 1}, "other seed"),
    "width": ({"model": {"num_filters": 6}}, "other model.num_filters;"),
    "cutoff": ({"model": {"cutoff": 4.5}}, "other model.cutoff"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_the_checkpoint_of_another_training_is_refused(foreign, data, name):
    values, message = OTHERS[name]
    with pytest.raises(
        OutputError, match=r"expected the checkpoint of this training, got .*last.ckpt of"
    ) as e:
        foreign(settings(data, **values))
    assert message in str(e.value)


def test_the_checkpoint_of_other_data_is_refused(foreign, data, tmp_path):
    frames = read(data, ":")
    frames[0].calc.results["energy"] += 0.1
    write(tmp_path / "other.xyz", frames)
    with pytest.raises(OutputError, match=r"of another one, with other (training|validation) data"):
        foreign(settings(tmp_path / "other.xyz"))


def test_other_first_weights_are_refused_and_the_last_ones_go_on(finished, data, tmp_path):
    config = settings(data)
    store = GraphStore.build(read(data, ":"), 4.0, tmp_path / "graphs")
    parts = [GraphDataset(store, rows, dtype=torch.float64) for rows in (range(8), range(8, 10))]

    def potential(seed: int) -> Potential:
        torch.manual_seed(seed)
        return Potential(build_model(config.model, ("Si",)).double(), {"Si": -5.0}, scale=1.0, repulsion=None)

    first = potential(0)
    fit(first, *parts, config=config.training, settings=RunSettings(tmp_path))
    with pytest.raises(OutputError, match="with other first weights"):
        fit(potential(1), *parts, config=config.training, settings=RunSettings(tmp_path))
    longer = config.training.model_copy(update={"max_epochs": 3})
    module = fit(first, *parts, config=longer, settings=RunSettings(tmp_path))
    assert len(module.history) == 3
    again = fit(potential(0), *parts, config=longer, settings=RunSettings(tmp_path))
    assert len(again.history) == 3


def test_fewer_epochs_than_are_trained_is_one_line(finished, data):
    with pytest.raises(ConfigError, match=r"max_epochs of at least 2, as the run .* trained so many, got 1"):
        train(settings(data, training={"max_epochs": 1}), finished, resume=True)


class _Code:
    def __reduce__(self):
        return print, ("run",)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:1000])


def _changed(path: Path, change: Any) -> None:
    saved = torch.load(path, weights_only=True)
    torch.save(change(saved), path)


DAMAGE: dict[str, tuple[Any, str]] = {
    "cut off": (_cut, "remove it to train anew"),
    "empty": (lambda path: path.write_bytes(b""), "remove it to train anew"),
    "text": (lambda path: path.write_text("weights"), "remove it to train anew"),
    "code": (lambda path: path.write_bytes(pickle.dumps(_Code())), "more than tensors and plain values"),
    "code in it": (lambda path: torch.save({"a": _Code()}, path), "more than tensors and plain values"),
    "a list": (lambda path: torch.save([1], path), "it holds list"),
    "of another program": (lambda path: torch.save({"state_dict": {}}, path), "it has no optimizer_states"),
    "of another version": (
        lambda path: _changed(path, lambda saved: saved | {"gnnpot": {"history": []}}), "it has no best"
    ),
    "other shapes": (
        lambda path: _changed(path, lambda saved: saved | {"state_dict": {"x": torch.zeros(3)}}), "another x"
    ),
    "fewer optimizers": (
        lambda path: _changed(path, lambda saved: saved | {"optimizer_states": [{}]}), "remove it to train"
    ),
    "loops": (lambda path: _changed(path, lambda saved: saved | {"loops": {"fit_loop": {}}}), "remove it"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_checkpoint_is_one_line(finished, data, tmp_path, name):
    output = tmp_path / "run"
    shutil.copytree(finished, output)
    damage, message = DAMAGE[name]
    damage(output / "last.ckpt")
    with pytest.raises((TrainingError, OutputError), match=message) as refused:
        train(settings(data, training={"max_epochs": 3}), output, resume=True)
    said = str(refused.value)
    assert "\n" not in said
    assert len(said) < 600
    assert "weights_only" not in said  # no advice to load what may run code


def test_no_byte_of_a_checkpoint_ends_in_a_traceback(finished, tmp_path):
    whole, rng = (finished / "last.ckpt").read_bytes(), random.Random(0)
    for _ in range(150):
        data = bytearray(whole)
        for _ in range(rng.randint(1, 20)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        (tmp_path / "last.ckpt").write_bytes(data)
        with suppress(GnnpotError):
            read_checkpoint(tmp_path / "last.ckpt")


@pytest.mark.parametrize("name", ["empty", "list", "nested", "binary", "other keys", "a number"])
def test_damaged_splits_are_one_line(finished, data, tmp_path, name):
    output = tmp_path / "run"
    shutil.copytree(finished, output)
    junk = {
        "empty": b"", "list": b"[1]", "nested": b"[" * 100_000, "binary": bytes(range(256)),
        "other keys": b'{"format": 1, "train": [{"a": 1}]}', "a number": b"1e999",
    }  # fmt: skip
    (output / "splits.json").write_bytes(junk[name])
    with pytest.raises(GnnpotError, match=r"splits.json") as refused:
        train(settings(data, training={"max_epochs": 3}), output, resume=True)
    assert "\n" not in str(refused.value)


def test_a_checkpoint_of_an_older_version_goes_on(finished, data, tmp_path):
    output = tmp_path / "run"
    shutil.copytree(finished, output)

    def without(saved: dict[str, Any]) -> dict[str, Any]:
        del saved["gnnpot"]["identity"]
        return saved

    _changed(output / "last.ckpt", without)
    train(settings(data, training={"max_epochs": 3}), output, resume=True)
    saved = torch.load(output / "last.ckpt", weights_only=True)["gnnpot"]
    assert len(saved["history"]) == 3
    assert saved["identity"]["seed"] == 0
