"""Training as a whole: it learns, it resumes exactly, it splits over processes."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write
from torch.optim.swa_utils import AveragedModel

from gnnpot import GNNPotCalculator
from gnnpot.data.split import read_splits
from gnnpot.errors import ConfigError, DataError, TrainingError
from gnnpot.potential.header import read_header
from gnnpot.potential.model_file import load_potential
from gnnpot.training.module import moving_average
from gnnpot.training.run import train
from gnnpot.training.run_config import RunConfig

DEMO = Path(str(files("gnnpot.configs"))) / "silicon-demo.xyz"


@pytest.fixture(scope="module")
def silicon_file(tmp_path_factory) -> Path:
    """Forty of the demo structures."""
    path = tmp_path_factory.mktemp("data") / "silicon.xyz"
    write(path, read(DEMO, "::5"))
    return path


def settings(data: Path, **training: Any) -> dict[str, Any]:
    return {
        "model": {"kind": "schnet", "cutoff": 4.0, "channels": 8, "num_filters": 8, "num_basis": 10,
                  "num_interactions": 2},
        "training": {
            "optimizer": {"learning_rate": 0.02}, "max_epochs": 4, "batch_size": 6, "dtype": "float64",
            "ema_decay": 0.9,
            "loss": {"energy": 1.0, "forces": 1.0, "stress": 10.0}, **training,
        },
        "train": str(data),
        "validation": {"frames": 6},
    }  # fmt: skip


def run(output: Path, values: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    return train(RunConfig.from_dict(values, source="test"), output, **kwargs)


def command(folder: Path, values: dict[str, Any], *words: str) -> list[str]:
    config = folder / "config-of-test.yaml"
    config.write_text(yaml.safe_dump(values))
    code = "from gnnpot.cli import main; main()"
    return [sys.executable, "-c", code, "train", str(config), *words]


def weights(output: Path) -> dict[str, torch.Tensor]:
    return load_potential(output / "model.safetensors").model.state_dict()


def state(output: Path) -> dict[str, Any]:
    return torch.load(output / "last.ckpt", weights_only=True)


def assert_identical(one: torch.Tensor, other: torch.Tensor) -> None:
    torch.testing.assert_close(one, other, rtol=0, atol=0, equal_nan=True)


@pytest.fixture(scope="module")
def undisturbed(silicon_file, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("undisturbed") / "run"
    run(output, settings(silicon_file))
    return output


def test_a_run_leaves_what_it_promises(undisturbed):
    names = {path.name for path in undisturbed.iterdir()}
    promised = {"config.yaml", "model.safetensors", "metrics.json", "splits.json", "last.ckpt", "report.html"}
    assert promised | {"tensorboard"} <= names
    assert list((undisturbed / "tensorboard").glob("events*"))
    metrics = json.loads((undisturbed / "metrics.json").read_text())
    assert set(metrics["forces"]) == {"mae", "rmse"}
    assert metrics["num_structures"] == 6
    splits = read_splits(undisturbed / "splits.json")
    assert {name: len(rows) for name, rows in splits.items()} == {"train": 34, "validation": 6}
    assert not list(undisturbed.glob("*.partial"))


def test_a_free_atom_has_the_reference_energy_of_the_file(undisturbed):
    free, path = Atoms("Si"), undisturbed / "model.safetensors"
    free.calc = GNNPotCalculator(path)
    expected = read_header(path).reference_energies["Si"]
    assert free.get_potential_energy() == pytest.approx(expected, abs=1e-9)


def test_the_errors_fall(undisturbed):
    history = state(undisturbed)["gnnpot"]["history"]
    assert len(history) == 4
    assert history[-1]["train_loss"] < 0.8 * history[0]["train_loss"]


def test_the_validation_loss_does_not_depend_on_the_size_of_batches(silicon_file, tmp_path):
    frames = read(silicon_file, ":14")
    for place, atoms in enumerate(frames[:7]):
        energy, forces = atoms.get_potential_energy(), atoms.get_forces()
        frames[place] = atoms * (2, 1, 1)
        frames[place].calc = SinglePointCalculator(
            frames[place], energy=2 * energy, forces=np.tile(forces, (2, 1))
        )
    write(tmp_path / "mixed.xyz", frames)
    loss, optimizer = {"energy": 1.0, "forces": 1.0}, {"learning_rate": 1e-14}
    losses = []
    for size in (1, 4):
        output = tmp_path / f"run-{size}"
        values = settings(
            tmp_path / "mixed.xyz", max_epochs=1, batch_size=size, loss=loss, optimizer=optimizer
        )
        run(output, values)
        losses.append(state(output)["gnnpot"]["history"][0]["validation_loss"])
    assert losses[0] == pytest.approx(losses[1], rel=1e-9)


def test_the_model_kept_is_the_one_that_validation_picked(undisturbed, silicon_file):
    saved = state(undisturbed)["gnnpot"]
    best = min(saved["history"], key=lambda row: row["validation_loss"])
    assert saved["best"] == best
    provenance = read_header(undisturbed / "model.safetensors").provenance
    assert provenance["metrics"]["epoch"] == best["epoch"]
    metrics = json.loads((undisturbed / "metrics.json").read_text())
    assert metrics["forces"]["rmse"] == pytest.approx(best["validation_forces_rmse"], rel=1e-6)
    assert metrics["energy"]["rmse"] == pytest.approx(best["validation_energy_rmse"], rel=1e-6)
    assert metrics["stress"]["mae"] == pytest.approx(best["validation_stress_mae"], rel=1e-6)


def test_a_run_killed_at_any_moment_resumes_to_the_same_weights(undisturbed, silicon_file, tmp_path):
    output = tmp_path / "run"
    words = command(tmp_path, settings(silicon_file), "--output", str(output), "--resume")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    moments = random.Random(0)
    for _ in range(3):
        process = subprocess.Popen(words, env=environment, stderr=subprocess.DEVNULL)
        before = (output / "last.ckpt").stat().st_mtime_ns if (output / "last.ckpt").exists() else 0
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            last = output / "last.ckpt"
            if last.exists() and last.stat().st_mtime_ns != before:
                time.sleep(moments.uniform(0.0, 0.15))
                break
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run(words, env=environment, check=True, capture_output=True)
    expected, result = weights(undisturbed), weights(output)
    assert all(torch.equal(expected[name], result[name]) for name in expected)
    last, other = state(undisturbed), state(output)
    assert last["epoch"] == other["epoch"]
    for name, value in last["state_dict"].items():
        assert_identical(value, other["state_dict"][name])
    without_time = [
        [{k: v for k, v in row.items() if k != "seconds"} for row in s["gnnpot"]["history"]]
        for s in (last, other)
    ]
    assert without_time[0] == without_time[1]


@pytest.mark.parametrize("optimizer", ["adamw", "adam+sgd"])
def test_a_plateau_run_resumes_to_the_same_weights(silicon_file, tmp_path, optimizer):
    values = settings(
        silicon_file, max_epochs=4, optimizer={"kind": optimizer},
        schedule={"kind": "plateau", "patience": 0, "threshold": 0.5},
    )  # fmt: skip
    run(tmp_path / "whole", values)
    values["training"]["max_epochs"] = 2
    run(tmp_path / "parts", values)
    values["training"]["max_epochs"] = 4
    run(tmp_path / "parts", values, resume=True)
    whole, parts = state(tmp_path / "whole"), state(tmp_path / "parts")
    rates = [[row["learning_rate"] for row in s["gnnpot"]["history"]] for s in (whole, parts)]
    assert rates[0] == rates[1]
    assert rates[0][-1] < rates[0][0]
    for name, value in whole["state_dict"].items():
        assert_identical(value, parts["state_dict"][name])


def train_in_two_processes(folder: Path, values: dict[str, Any], code: str) -> Path:
    """Train by a script, into the folder that is given back."""
    words = command(folder, values, "--output", str(folder / "run"))
    script = folder / "gnnpot-script.py"
    script.write_text(code)
    done = subprocess.run(
        [sys.executable, str(script), *words[3:]],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder / "run"


def test_two_processes_give_the_result_of_one(undisturbed, silicon_file, tmp_path):
    values = settings(silicon_file, devices=2, device="cpu")
    output = train_in_two_processes(tmp_path, values, "from gnnpot.cli import main\nmain()\n")
    expected, result = weights(undisturbed), weights(output)
    for name in expected:
        torch.testing.assert_close(result[name], expected[name], rtol=1e-7, atol=1e-9)


UNEVEN_CLOCKS = """
import os, time
from gnnpot.cli import main
from gnnpot.training.module import PotentialModule

rank, clock = os.environ.get("LOCAL_RANK", "0"), time.monotonic
time.monotonic = lambda: clock() * (1.3 if rank == "1" else 1.0)
close = PotentialModule.close_epoch

def recorded(self):
    row = close(self)
    total = sum(weight.double().sum().item() for weight in self.potential.parameters())
    with open(f"{rank}.txt", "a") as file:
        print(row["learning_rate"], row["seconds"], total, file=file)
    return row

PotentialModule.close_epoch = recorded
main()
"""


def test_two_processes_with_clocks_of_their_own_end_together(silicon_file, tmp_path):
    values = settings(silicon_file, devices=2, device="cpu", max_epochs=100_000, max_time="00:00:03")
    train_in_two_processes(tmp_path, values, UNEVEN_CLOCKS)
    first, second = ((tmp_path / f"{rank}.txt").read_text() for rank in (0, 1))
    assert len(first.splitlines()) > 1
    assert first == second


def test_the_clock_does_not_count_the_compilation_of_loops(silicon_file, tmp_path):
    values = settings(silicon_file, loss={"energy": 0.0, "forces": 1.0, "stress": 0.0}, max_epochs=2)
    values["model"] = {"kind": "ani", "cutoff": 4.0, "hidden": [4]}
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "NUMBA_CACHE_DIR": str(tmp_path / "empty")}
    words = command(tmp_path, values, "--output", str(tmp_path / "run"))
    subprocess.run(words, env=environment, check=True, capture_output=True)
    assert any((tmp_path / "empty").rglob("*.nbi"))
    assert state(tmp_path / "run")["gnnpot"]["history"][0]["seconds"] < 1.0


def test_force_matching_sets_the_energy_offset_after_training(silicon_file, tmp_path):
    values = settings(silicon_file, loss={"kind": "force_matching"}, max_epochs=2)
    values["reference_energies"] = {"Si": -100.0}
    metrics = run(tmp_path / "run", values)
    assert metrics["splits"]["train"]["energy"]["mae"] < 1000  # it was 7 eV an atom off


def test_the_moving_average_forgets_its_start_and_then_decays_as_asked():
    averaged = AveragedModel(torch.nn.Linear(1, 1, dtype=torch.float64), multi_avg_fn=moving_average(0.99))
    model = torch.nn.Linear(1, 1, dtype=torch.float64)
    weight = averaged.module.weight

    def step(value: float) -> float:
        torch.nn.init.constant_(model.weight, value)
        averaged.update_parameters(model)
        return weight.item()

    assert step(1.0) == 1.0
    assert [step(0.0), step(0.0)] == pytest.approx([2 / 11, 2 / 11 * 3 / 12])
    for _ in range(1000):
        late = step(0.0)
    assert late < 1e-10
    before = step(1.0)
    assert step(1.0) == pytest.approx(0.99 * before + 0.01)


def test_a_loss_that_is_not_finite_stops_the_run_and_names_frames(silicon_file, tmp_path):
    values = settings(silicon_file, optimizer={"learning_rate": 1e30}, gradient_clip=None, ema_decay=None)
    with pytest.raises(TrainingError, match=r"expected a finite loss, got .*silicon.xyz:\d+"):
        run(tmp_path / "run", values)


def test_resuming_with_another_configuration_is_refused(undisturbed, silicon_file):
    values = settings(silicon_file)
    values["model"]["cutoff"] = 4.5
    with pytest.raises(ConfigError, match=r"got other values of model.cutoff"):
        run(undisturbed, values, resume=True)


def test_a_run_goes_on_with_data_that_were_moved_and_not_with_others(silicon_file, tmp_path, monkeypatch):
    monkeypatch.setattr("gnnpot.training.run.write_report", lambda *_: None)
    values = settings(silicon_file, max_epochs=1)
    run(tmp_path / "run", values)
    (tmp_path / "elsewhere").mkdir()
    moved = Path(shutil.copy(silicon_file, tmp_path / "elsewhere"))
    run(tmp_path / "run", {**values, "train": str(moved)}, resume=True)
    write(moved, read(silicon_file, "1:"))
    with pytest.raises(DataError, match="expected the structures of the run"):
        run(tmp_path / "run", {**values, "train": str(moved)}, resume=True)


def test_a_weighted_label_that_is_not_there_stops_the_run(silicon_file, tmp_path):
    frames = read(silicon_file, ":")
    del frames[7].calc.results["stress"]
    write(tmp_path / "some.xyz", frames)
    with pytest.raises(DataError, match=r"expected stress labels.*some.xyz:8"):
        run(tmp_path / "run", settings(tmp_path / "some.xyz"))


def test_the_stress_of_a_slab_does_not_enter_the_errors(silicon_file, tmp_path):
    frames = read(silicon_file, ":12")
    for number in (2, 9):
        calculator = frames[number].calc
        frames[number].pbc = [True, True, False]
        frames[number].calc = calculator
    write(tmp_path / "train.xyz", frames[:8])
    write(tmp_path / "validation.xyz", frames[8:])
    values = settings(tmp_path / "train.xyz", max_epochs=1, loss={"energy": 1.0, "forces": 1.0})
    values["training"]["select_by"] = "stress"
    metrics = run(tmp_path / "run", {**values, "validation": str(tmp_path / "validation.xyz")})
    best = state(tmp_path / "run")["gnnpot"]["best"]
    assert metrics["num_labeled"]["stress"] == 3
    assert metrics["stress"]["rmse"] == pytest.approx(best["validation_stress_rmse"], rel=1e-6)


def test_a_run_of_a_version_with_fewer_keys_is_resumed(silicon_file, tmp_path):
    values = settings(silicon_file, max_epochs=1)
    run(tmp_path / "run", values)
    path = tmp_path / "run" / "config.yaml"
    written = yaml.safe_load(path.read_text())
    del written["training"]["freeze"], written["training"]["anchor"]
    path.write_text(yaml.safe_dump(written))
    run(tmp_path / "run", values, resume=True)
