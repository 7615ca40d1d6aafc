"""The comparison of models: fair parts of the data, one budget, nothing done twice, right numbers."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
import yaml
from model_comparisons import TINY, compare_with, run

from gnnpot.data.reading import content_hash, read_frames
from gnnpot.errors import TrainingError

pytestmark = pytest.mark.xdist_group("benchmark_models")  # what they share is made once


def hashes(path: Path) -> set[str]:
    return {content_hash(atoms) for atoms in read_frames([path])}


def test_the_command_prints_one_json_object_and_writes_the_same(study):
    assert study.done.code == 0, study.done.err
    printed = json.loads(study.done.out)
    assert printed == json.loads((study.output / "metrics.json").read_text())
    rows = [(row["model"], row["frames"]) for row in printed["table"]]
    assert rows == [("ani", 6), ("ani", 12), ("tiny", 6), ("tiny", 12)]
    assert printed["ranked_by"] == "forces"
    assert set(printed["pareto_front"]) <= {"ani", "tiny"}
    assert len(printed["pareto_front"]) >= 1
    for model in printed["models"]:
        assert model["microseconds_per_atom_step"] > 0
        assert abs(model["forces_jump_mev_per_angstrom"]) < 1.0


def test_errors_are_those_of_the_trainings_on_the_test(study):
    printed = json.loads(study.done.out)
    for trial in printed["trainings"]:
        folder = study.output / "trainings" / f"{trial['model']}-{trial['frames']}-0"
        metrics = json.loads((folder / "metrics.json").read_text())
        assert metrics["split"] == "test"
        assert trial["forces"] == metrics["forces"]
        assert metrics["num_structures"] == 40
        assert 1.0 < trial["seconds"] < 30.0
        assert trial["epochs"] > 0


def test_progress_is_told_on_stderr(study):
    assert "training ani on 6 frames, seed 0 (1 of 4)" in study.done.err
    assert "training tiny on 12 frames, seed 0 (4 of 4)" in study.done.err
    assert re.search(r"\d:\d\d:\d\d left", study.done.err)


def test_the_page_holds_the_table_and_the_figures_and_loads_nothing(study):
    text = (study.output / "report.html").read_text()
    assert "Which model for silicon-demo.xyz?" in text
    assert text.count("<img ") == 6
    assert "★" in text
    for word in (">ani", ">tiny", "µs/atom/step", "meV/atom/ps", "Pareto front", "Force RMSE against frames"):
        assert word in text
    assert re.findall(r"<(?:script|link|iframe)|@import|url\(", text) == []
    assert set(re.findall(r'(?:src|href)="([^,"]*)', text)) == {"data:image/svg+xml;base64"}


def test_parts_are_nested_and_share_nothing_with_the_test(study):
    data = study.output / "data"
    test = hashes(data / "test.traj")
    small, large = (
        [hashes(data / "seed-0" / f"{size}-{part}.traj") for part in ("train", "validation")]
        for size in (6, 12)
    )
    assert [len(part) for part in (*small, *large)] == [5, 1, 10, 2]
    assert small[0] < large[0]
    assert small[1] < large[1]
    assert not large[0] & large[1]
    assert not (large[0] | large[1]) & test
    assert len(test) == 40


def test_all_models_learn_from_the_same_frames_for_the_same_time(study):
    configs = [yaml.safe_load((folder / "config.yaml").read_text()) for folder in study.trainings]
    assert len({json.dumps([config["train"], config["validation"]]) for config in configs}) == 2
    assert {config["training"]["max_time"] for config in configs} == {"0:00:01.2"}
    kinds = {config["model"]["kind"]: config for config in configs}
    assert kinds["schnet"]["model"]["channels"] == 8
    assert kinds["ani"]["training"]["ema_decay"] == 0.995  # of the template


def test_what_is_finished_is_not_trained_again_and_what_was_cut_off_goes_on(study):
    cut, *finished = study.trainings
    before = torch.load(cut / "last.ckpt", weights_only=True)["gnnpot"]["history"]
    times = [(folder / "model.safetensors").stat().st_mtime_ns for folder in finished]
    for name in ("report.html", "metrics.json"):
        (cut / name).unlink()
    done = run(*study.words, "--resume")
    assert done.code == 0, done.err
    assert "(1 of 1)" in done.err.splitlines()[0]
    assert done.err.count("training ") == 1
    assert times == [(folder / "model.safetensors").stat().st_mtime_ns for folder in finished]
    after = torch.load(cut / "last.ckpt", weights_only=True)["gnnpot"]["history"]
    assert len(after) > len(before)
    assert after[: len(before)] == before
    for word in ("ani", "tiny", "frames", "drift", "Pareto front", "report.html"):
        assert word in done.out


def test_results_are_not_written_over(study):
    before = (study.output / "metrics.json").read_bytes()
    done = run(*study.words)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("gnnpot: expected a new folder")
    assert before == (study.output / "metrics.json").read_bytes()


def test_another_comparison_is_not_mixed_in(study):
    done = run(*study.words, "--resume", "--held-out", 0.3)
    assert done.code == 2
    assert "got other values of test" in done.err


def test_a_model_file_that_has_changed_is_not_mixed_in(study):
    path = Path(str(study.words[3]))
    before = path.read_text()
    path.write_text(before.replace("channels: 8", "channels: 4"))
    done = run(*study.words, "--resume")
    path.write_text(before)
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert re.search(r"trainings/tiny-6-0, got other values of model.channels \(8 → 4\); resume", done.err)


def test_a_comparison_goes_on_where_its_folder_was_moved_and_on_another_device(study):
    moved = study.output.rename(study.output.with_name("moved"))
    (moved / "trainings" / "tiny-12-0" / "report.html").unlink()
    done = run(*study.words[:-1], moved, "--device", "cpu", "--resume")
    moved.rename(study.output)
    assert done.code == 0, done.err
    assert done.err.count("training ") == 1
    assert "training tiny on 12 frames, seed 0 (1 of 1)" in done.err
    assert str(moved) in (study.output / "trainings" / "tiny-12-0" / "config.yaml").read_text()


def test_what_failed_is_tried_again_as_it_is_now(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "gnnpot.training.run.write_report", lambda path, report: path.write_text(report.title)
    )
    wild = {"optimizer": {"learning_rate": 1e30}, "gradient_clip": None, "ema_decay": None}
    path, failure = tmp_path / "tiny.yaml", tmp_path / "out" / "trainings" / "tiny-4-0" / "failure.txt"
    given = {"models": (str(path),), "max_epochs": 2}
    path.write_text(yaml.safe_dump({**TINY, "training": {**TINY["training"], **wild}}))
    times = []
    for _ in range(2):
        with pytest.raises(TrainingError, match="expected a finite"):
            compare_with(tmp_path, resume=True, **given)
        times.append(failure.stat().st_mtime_ns)
    assert times[0] < times[1]
    path.write_text(yaml.safe_dump(TINY))
    found = compare_with(tmp_path, resume=True, **given)
    assert [trial.failure for trial in found.trials] == [""]
    assert not failure.exists()
