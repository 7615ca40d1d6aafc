"""Parts of the data, losses and settings that a comparison of models chooses."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from ase import Atoms
from ase.build import bulk
from ase.io import read, write
from gnnpot.cli.options import repeated
from model_comparisons import DEMO, TINY, compare_with, labeled, run

from gnnpot.benchmark.models import run as model_comparison
from gnnpot.benchmark.models.config import ComparisonConfig, candidates, fitting_loss
from gnnpot.benchmark.models.run import (
    kept_so_far,
    run_template,
)
from gnnpot.benchmark.subsets import nested_order, parts, read_pool, write_frames
from gnnpot.benchmark.trials import pareto_front
from gnnpot.data.keys import LabelKeys
from gnnpot.data.reading import read_frames
from gnnpot.data.split import SplitConfig
from gnnpot.errors import ConfigError, DataError, TrainingError
from gnnpot.models import MODELS
from gnnpot.potential.header import read_header
from gnnpot.training.config import TrainingConfig
from gnnpot.training.loss_config import WeightedLoss

pytestmark = pytest.mark.xdist_group("benchmark_models_settings")  # what they share is made once


def test_small_parts_have_all_elements_if_they_can(tmp_path):
    frames = [labeled(bulk("Si", a=5.0 + 0.01 * step)) for step in range(38)]
    frames += [labeled(bulk("Ge", a=5.5 + 0.01 * step)) for step in range(2)]
    for seed in range(5):
        order = nested_order(frames, seed)
        assert sorted(order) == list(range(40))
        for size in (3, 20):
            train, validation = parts(order, size)
            assert {symbol for index in train for symbol in frames[index].symbols} == {"Si", "Ge"}
            assert len(train) + len(validation) == size
    assert nested_order(frames, 0) != nested_order(frames, 1)
    assert nested_order(frames, 1) == nested_order(frames, 1)
    write(tmp_path / "both.xyz", frames)
    with pytest.raises(DataError, match="expected all elements in the 1 training frames of size 2, got no"):
        compare_with(tmp_path, data=(str(tmp_path / "both.xyz"),), sizes=(2,))


def test_labels_survive_writing_exactly(tmp_path):
    pool = read_pool(["gnnpot:silicon-demo.xyz"], SplitConfig(frames=5), LabelKeys())
    write_frames(pool.frames, tmp_path / "a.traj")
    for old, new in zip(pool.frames, read_frames([tmp_path / "a.traj"]), strict=True):
        np.testing.assert_array_equal(old.positions, new.positions)
        for name in ("energy", "forces", "stress"):
            np.testing.assert_array_equal(old.calc.results[name], new.calc.results[name])
        assert old.info["group"] == new.info["group"]
    write_frames(pool.frames, tmp_path / "a.traj")  # the same: nothing happens
    with pytest.raises(DataError, match=r"expected the data that .* was taken from, got other data"):
        write_frames(pool.test, tmp_path / "a.traj")


@pytest.mark.parametrize("changed", ["energy", "forces", "stress", "forces_weight", "group"])
def test_other_labels_weights_or_groups_are_other_data(tmp_path, changed):
    before, after = (list(read_frames([DEMO]))[:3] for _ in range(2))
    write_frames(before, tmp_path / "a.traj")
    if changed in after[1].calc.results:
        after[1].calc.results[changed] = 1.001 * after[1].calc.results[changed]
    else:
        after[1].info[changed] = {"forces_weight": 0.5, "group": "another"}[changed]
    with pytest.raises(DataError, match=r"taken from, got other labels, weights or groups; resume"):
        write_frames(after, tmp_path / "a.traj")


def test_a_comparison_does_not_go_on_with_other_labels(study, tmp_path):
    data = Path(str(study.words[0]))
    frames = read(data, ":")
    for atoms in frames:
        atoms.calc.results["energy"] += 1.0
    data.rename(tmp_path / "before.xyz")
    write(data, frames)
    done = run(*study.words, "--resume", "--sizes", 20)
    (tmp_path / "before.xyz").replace(data)
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "got other labels, weights or groups" in done.err


def test_every_registered_model_can_take_part():
    chosen = candidates(tuple(MODELS))
    assert [one.template.model.kind for one in chosen] == list(MODELS)
    assert all("cutoff" in one.template.model.left_open for one in chosen)  # the data choose it
    with pytest.raises(ConfigError, match="'ani' twice"):
        candidates(["ani", "ani"])


def test_a_loss_is_fitted_to_the_labels():
    loss = WeightedLoss(energy=2.0, forces=3.0, stress=4.0)
    assert fitting_loss(loss, ("energy", "forces", "stress"), "ani") == loss
    assert fitting_loss(loss, ("energy",), "ani").labels == ("energy",)
    with pytest.raises(ConfigError, match="expected forces and stress labels, as the loss of ani needs them"):
        fitting_loss(WeightedLoss(energy=0.0), ("energy",), "ani")


def test_models_are_picked_by_a_label_that_is_there(tmp_path):
    for atoms in (frames := read(DEMO, ":20")):
        del atoms.calc.results["energy"]
    write(tmp_path / "forces.xyz", frames)
    pool = read_pool([str(tmp_path / "forces.xyz")], SplitConfig(), LabelKeys())
    path = tmp_path / "nequip.yaml"
    path.write_text("{model: nequip, training: {select_by: energy}, train: data.xyz}")
    (nequip,) = candidates([str(path)])
    config = ComparisonConfig(data=(str(DEMO),))
    assert run_template(nequip, config, pool).training.select_by == "weighted"
    whole = read_pool([str(DEMO)], SplitConfig(), LabelKeys())
    assert run_template(nequip, config, whole).training.select_by == "energy"


def test_trainings_that_fail_are_noted_and_none_is_an_error(tmp_path, monkeypatch):
    def fail(config, output, **_):
        output.mkdir(parents=True)
        raise TrainingError("expected a finite loss, got nan")

    monkeypatch.setattr(model_comparison, "train", fail)
    with pytest.raises(TrainingError, match="expected a finite loss"):
        compare_with(tmp_path)
    assert (tmp_path / "out" / "trainings" / "schnet-4-0" / "failure.txt").exists()


def test_models_are_ranked_by_the_deviation_of_their_properties(tmp_path):
    write(tmp_path / "dimer.xyz", Atoms("Si2", [[0, 0, 0], [0, 0, 2.4]]))
    targets = {
        "structure": str(tmp_path / "dimer.xyz"), "values": {"relaxation": {"energy": -100.0}},
        "settings": {"relaxation": {"force": 1e3}},
    }  # fmt: skip
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    changes = {"models": (str(tmp_path / "tiny.yaml"),), "time": 1, "properties": targets}
    found = compare_with(tmp_path, **changes)
    assert found.headline == "properties"
    path = tmp_path / "out" / "trainings" / "tiny-4-0" / "deviation.json"
    kept = json.loads(path.read_text())["deviation"]
    assert found.spread("tiny", 4, "properties").mean == kept > 0
    assert found.as_dict()["table"][0]["properties"]["rmse"] == kept
    page = (tmp_path / "out" / "report.html").read_text()
    assert "has the smallest deviation of properties" in page
    path.write_text("{}")
    found = compare_with(tmp_path, resume=True, **changes)
    assert found.headline == "forces"
    assert any("properties could not all be computed" in warning for warning in found.warnings)


def test_words_after_an_option_that_repeats_are_its_values():
    line = "a.xyz --models ani schnet -k x=1 y=2 --time 5 --sizes=10 50 --models b --json"
    expanded = " ".join(repeated(line.split(), {"--models", "--sizes", "-k"}))
    assert expanded == (
        "a.xyz --models ani --models schnet -k x=1 -k y=2 --time 5 --sizes=10 --sizes 50 --models b --json"
    )


def test_the_pareto_front_has_what_nothing_beats():
    points = [(1.0, 9.0), (2.0, 5.0), (3.0, 5.0), (4.0, 6.0), (8.0, 1.0), (8.0, 1.0), (math.nan, 0.1)]
    assert pareto_front(points) == [True, True, False, False, True, True, False]


def test_the_history_keeps_the_errors_of_the_model_kept():
    losses = [3.0, 4.0, 2.0, 5.0]
    rows = [
        {"seconds": float(place), "validation_loss": loss, "validation_forces_rmse": 10 * loss}
        for place, loss in enumerate(losses)
    ]
    points = kept_so_far(rows, TrainingConfig().score)
    assert [(point.seconds, point.forces) for point in points] == [(0.0, 30.0), (2.0, 20.0), (3.0, 20.0)]
    assert math.isnan(points[0].energy)
    for row, error in zip(rows, [3.0, 2.0, 4.0, 1.0], strict=True):
        row["validation_energy_rmse"] = error
    points = kept_so_far(rows, TrainingConfig(select_by="energy").score)
    assert [(point.seconds, point.energy) for point in points] == [(0.0, 3), (1.0, 2), (3.0, 1), (3.0, 1)]


def test_the_last_point_of_a_training_is_the_model_that_it_kept(study):
    folder = study.output / "trainings" / "tiny-12-0"
    row = read_header(folder / "model.safetensors").provenance["metrics"]
    path = folder / "last.ckpt"
    before, state = path.read_bytes(), torch.load(path, weights_only=True)
    worse = {**row, "validation_energy_rmse": 1e9, "validation_loss": 0.0}  # it is selected by the energy
    state["gnnpot"]["history"].append(worse)
    torch.save(state, path)
    done = run(*study.words, "--resume", "--json")
    path.write_bytes(before)
    trials = json.loads(done.out)["trainings"]
    (point,) = (one["history"][-1] for one in trials if (one["model"], one["frames"]) == ("tiny", 12))
    assert (point["energy"], point["forces"]) == (
        row["validation_energy_rmse"],
        row["validation_forces_rmse"],
    )


def test_a_finished_training_needs_no_checkpoint(study, tmp_path):
    checkpoint = study.output / "trainings" / "ani-12-0" / "last.ckpt"
    checkpoint.rename(tmp_path / "last.ckpt")
    done = run(*study.words, "--resume", "--json")
    shutil.move(tmp_path / "last.ckpt", checkpoint)
    assert done.code == 0, done.err
    assert "training " not in done.err
    row = read_header(checkpoint.with_name("model.safetensors")).provenance["metrics"]
    (trial,) = (
        one for one in json.loads(done.out)["trainings"] if (one["model"], one["frames"]) == ("ani", 12)
    )
    assert (trial["epochs"], trial["seconds"]) == (row["epoch"], row["seconds"])
    assert trial["history"][0]["forces"] == row["validation_forces_rmse"]
