"""A transfer from files to a report."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write
from potentials import SMALL
from transfers import energy, potential_of, renamed

from gnnpot.potential.model_file import load_potential
from gnnpot.training.config import TrainingConfig
from gnnpot.training.parameter_groups import Tuning
from gnnpot.training.run import train
from gnnpot.training.run_config import RunConfig
from gnnpot.transferring.config import TransferConfig
from gnnpot.transferring.run import transfer

pytestmark = pytest.mark.xdist_group("transfer_run")  # what they share is made once

DEMO = Path(str(files("gnnpot.configs"))) / "silicon-demo.xyz"


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Germanium: some of the demo structures with other names."""
    frames = [renamed(atoms, "Ge") for atoms in read(DEMO, "30:54:2")]
    for atoms, original in zip(frames, read(DEMO, "30:54:2"), strict=True):
        atoms.calc = SinglePointCalculator(atoms, **original.calc.results)
    path = tmp_path_factory.mktemp("data") / "germanium.xyz"
    write(path, frames)
    return path


def settings(source: Path | None, data: Path, **changes: Any) -> TransferConfig:
    training = {
        "optimizer": {"learning_rate": 0.01}, "max_epochs": 2, "batch_size": 5, "dtype": "float64",
        "ema_decay": 0.9, "loss": {"energy": 1.0, "forces": 1.0}, **changes.pop("training", {}),
    }  # fmt: skip
    values = {"train": str(data), "validation": {"frames": 3}, "training": training, **changes}
    if source is not None:
        values["source"] = str(source)
    return TransferConfig.from_dict(values, source="test")


def weights(path: Path) -> dict[str, torch.Tensor]:
    return load_potential(path).model.state_dict()


def test_the_untuned_start_is_scored_with_fitted_reference_energies(source, data, tmp_path):
    result = transfer(settings(source, data), tmp_path / "run")
    written = json.loads((tmp_path / "run" / "transfer.json").read_text())
    assert written == json.loads(json.dumps(result))
    untuned = load_potential(tmp_path / "run" / "untuned.safetensors")
    frames = read(data, ":")
    left = [(atoms.get_potential_energy() - energy(untuned, atoms)) / len(atoms) for atoms in frames]
    assert result["baseline"]["num_structures"] == 3
    assert abs(np.mean(left)) < np.std(left)  # nothing constant is left
    assert result["map"] == {"Ge": "Si"}
    assert result["transferred"]["forces"]["rmse"] < result["baseline"]["forces"]["rmse"]
    names = {"config.yaml", "model.safetensors", "metrics.json", "splits.json", "last.ckpt", "report.html"}
    assert names <= {path.name for path in (tmp_path / "run").iterdir()}
    assert "before training" in (tmp_path / "run" / "report.html").read_text()


STAGES = [
    {"freeze": ["first", "interaction 1"], "anchor": 0.1},
    {
        "freeze": ["last"],
        "low_rank": 2,
        "unfreeze": {"embedding": 1},
        "rates": {"interaction 1": 0.5},
        "select_by": "forces",  # whose errors fall in the second epoch, when the embedding moves
    },
]


@pytest.fixture(scope="module")
def staged(source, data, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("staged") / "run"
    transfer(settings(source, data, stages=STAGES), output)
    return output


def test_frozen_groups_stay_bit_by_bit_and_the_others_move(staged):
    names = ("untuned", "stage-1/model", "stage-2/model")
    start, first, second = (weights(staged / f"{name}.safetensors") for name in names)

    def moved(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> set[str]:
        return {name.rpartition(".")[0].split(".")[0] + (name.split(".")[1] if name[0] == "i" else "")
                for name in one if not torch.equal(one[name], other[name])}  # fmt: skip

    assert moved(start, first) == {"interactions1", "readout"}
    assert moved(first, second) == {"embedding", "interactions0", "interactions1"}
    change = second["interactions.0.update.0.weight"] - first["interactions.0.update.0.weight"]
    assert np.linalg.matrix_rank(change.numpy(), tol=1e-9) == 2
    assert torch.equal(second["readout.0.weight"], weights(staged / "model.safetensors")["readout.0.weight"])


def test_a_late_group_waits_for_its_epoch():
    model = potential_of("schnet", ("Si",)).model
    tuning = Tuning(model, TrainingConfig(unfreeze={"embedding": 2}))
    for epoch in range(3):
        sum(parameter.sum() for parameter in model.parameters()).backward()
        tuning.hold(epoch)
        assert (model.embedding.weight.grad is None) == (epoch < 2)
        assert model.readout[0].weight.grad is not None


@pytest.mark.parametrize("stage", [1, 2])
def test_a_transfer_stopped_in_a_stage_resumes_to_the_same_weights(source, data, staged, tmp_path, stage):
    from gnnpot.training.fit import Observer

    class Stop(Observer):
        seen = 0

        def epoch(self, row: dict[str, float], best: dict[str, float]) -> None:
            self.seen += 1
            if self.seen == 2 * stage - 1:
                raise KeyboardInterrupt

    values = settings(source, data, stages=STAGES)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        transfer(values, tmp_path / "run", observer=Stop())
    transfer(values, tmp_path / "run", resume=True)
    expected, result = weights(staged / "model.safetensors"), weights(tmp_path / "run" / "model.safetensors")
    assert all(torch.equal(expected[name], result[name]) for name in expected)


def test_stages_may_start_from_random_weights(data, tmp_path):
    model = {"kind": "schnet", "cutoff": 4.0, **SMALL["schnet"]}
    stages = [
        {"max_epochs": 1},
        {"max_epochs": 1, "freeze": ["first", "last"], "loss": {"kind": "low2high"}, "select_by": "stress"},
    ]
    result = transfer(settings(None, data, model=model, stages=stages), tmp_path / "run")
    assert (result["baseline"], result["source"]) == (None, None)
    assert [row["origin"] for row in result["groups"][0]] == ["random"] * 4
    assert [row["origin"] for row in result["groups"][1]] == ["stage 1"] * 4
    assert RunConfig.from_yaml(tmp_path / "run" / "stage-1" / "config.yaml").model.elements == ("Ge",)


def test_scratch_is_trained_alike_and_a_worse_transfer_is_said(source, data, tmp_path):
    still = {"max_epochs": 1, "optimizer": {"learning_rate": 1e-9}}
    values = settings(
        source, data, stages=[still, still], lattice_scale=1.3, scratch={"ema_decay": None},
        dynamics={"steps": 20, "temperature": 100.0},
    )  # fmt: skip
    result = transfer(values, tmp_path / "run", compare_scratch=True)
    assert result["scratch"]["num_structures"] == 3
    assert any("worse than trained from scratch" in text for text in result["verdict"])
    assert set(result["stability"]) == {"baseline", "transferred", "scratch"}
    alone = RunConfig.from_yaml(tmp_path / "run" / "scratch" / "config.yaml")
    assert (alone.training.max_epochs, alone.training.ema_decay) == (2, None)
    assert [step["name"] for step in result["steps"]] == ["elements", "lattice scale"]
    page = (tmp_path / "run" / "report.html").read_text()
    assert "worse than trained from scratch" in page


def test_a_carried_model_of_a_training_keeps_its_fits(data, tmp_path):
    """Element-specific statistics of ANI come along; training goes on from them."""
    model = {"kind": "ani", "cutoff": 4.0, **SMALL["ani"]}
    values = settings(None, data, model=model, training={"max_epochs": 1})
    written = values.model_dump(mode="json")
    shared = {name: written[name] for name in RunConfig.model_fields}
    run = RunConfig.from_dict(shared, source="test")
    train(run, tmp_path / "source")
    path = tmp_path / "source" / "model.safetensors"
    metrics = json.loads((tmp_path / "source" / "metrics.json").read_text())
    result = transfer(settings(path, data, training={"max_epochs": 1}), tmp_path / "run")
    assert result["baseline"]["forces"]["rmse"] == pytest.approx(metrics["forces"]["rmse"], rel=1e-9)
