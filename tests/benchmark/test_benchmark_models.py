"""The comparison of models: fair parts of the data, one budget, nothing done twice, right numbers."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import math
import re
import shutil
import sys
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
import yaml
from ase import Atoms, units
from ase.build import bulk, molecule
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write
from gnnpot.cli import main
from gnnpot.cli.comparison_table import print_comparison
from gnnpot.cli.options import repeated
from potentials import small_potential

from gnnpot.benchmark.models import run as model_comparison
from gnnpot.benchmark.models.config import ComparisonConfig, candidates, fitting_loss
from gnnpot.benchmark.models.dynamics import measured, starting_structure
from gnnpot.benchmark.models.figures import comparison_images
from gnnpot.benchmark.models.report import spread_cells, verdict, write_comparison
from gnnpot.benchmark.models.run import (
    ComparisonObserver,
    collect,
    compare,
    kept_so_far,
    planned,
    run_template,
    warnings_of,
)
from gnnpot.benchmark.subsets import nested_order, parts, read_pool, write_frames
from gnnpot.benchmark.trials import Comparison, Measurement, Point, SeedStatistics, Trial, pareto_front
from gnnpot.data.keys import LabelKeys
from gnnpot.data.reading import content_hash, read_frames
from gnnpot.data.split import SplitConfig
from gnnpot.errors import ConfigError, DataError, TrainingError
from gnnpot.evaluation.conservation import constant_energy, cutoff_jump, thermalize
from gnnpot.models import MODELS
from gnnpot.potential.model_file import read_header, save_potential
from gnnpot.training import TrainingConfig
from gnnpot.training.loss import WeightedLoss
from gnnpot.units import ERROR_UNITS

DEMO = Path(str(files("gnnpot.configs"))) / "silicon-demo.xyz"
TINY = {
    "model": {"kind": "schnet", "cutoff": 4.0, "channels": 8, "num_filters": 8, "num_interactions": 1},
    "training": {
        "batch_size": 4,
        "loss": {"energy": 1.0, "forces": 1.0, "stress": 10.0},
        "select_by": "energy",
    },
    "train": "nowhere.xyz",
}


class Done(NamedTuple):
    code: int
    out: str
    err: str


def run(*words: object) -> Done:
    out, err = io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        patch.setattr(sys, "argv", ["gnnpot", "benchmark", *map(str, words)])
        # the report of a single run takes longer than its training here, and has tests of its own
        patch.setattr("gnnpot.training.run.write_report", lambda path, report: path.write_text(report.title))
        with pytest.raises(SystemExit) as stopped:
            main()
    return Done(int(stopped.value.code or 0), out.getvalue(), err.getvalue())


class Study(NamedTuple):
    output: Path
    words: tuple[object, ...]
    done: Done

    @property
    def trainings(self) -> list[Path]:
        return sorted((self.output / "trainings").iterdir())


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Study:
    """Two models on six and twelve frames for a second each."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    data = Path(shutil.copy(DEMO, folder))
    words = (
        data, "--models", "ani", folder / "tiny.yaml", "--sizes", 12, 6, "--time", 0.02,
        "--md-steps", 20, "--output", folder / "out",
    )  # fmt: skip
    return Study(folder / "out", words, run(*words, "--json"))


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
    assert {config["training"]["max_time"] for config in configs} == {"PT1.2S"}
    kinds = {config["model"]["kind"]: config for config in configs}
    assert kinds["schnet"]["model"]["channels"] == 8
    assert kinds["ani"]["training"]["ema_decay"] == 0.995  # of the shipped configuration


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
    assert re.search(r"trainings/tiny-6-0, got other values of model.channels; resume", done.err)


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


@pytest.fixture
def refused(tmp_path):
    """Compare with these words, which must be refused in one line; gives the line."""

    def refusing(*words: object, data: object = DEMO) -> str:
        done = run(data, "--time", 0.001, *words, "--output", tmp_path / "refused")
        assert (done.code, done.out, done.err.count("\n")) == (2, "", 1), done.err
        assert not (tmp_path / "refused").exists()
        return done.err

    return refusing


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--models", "schent"], "no model is called 'schent'; did you mean 'schnet'?"),
        (["--models", "nowhere.yaml"], "expected a configuration file, got nowhere.yaml"),
        (["--models", "ani", "--sizes", 10, 161], "expected sizes up to the 160 different frames"),
        (["--sizes", 1, 10], "expected sizes of at least 2 frames"),
        (["--sizes", "ten"], "valid integer"),
        (["--seeds", 0], "expected at least 1 as seeds, got 0"),
        (["--time", 0], "expected a time above zero"),
        (["--held-out", 1.5], "expected a share between 0 and 1"),
        (
            ["--models", "ani", "--sizes", 10, "--test", DEMO],
            "expected test structures that are not in the data, got 200 in both",
        ),
        (["--test", "nowhere.xyz"], "nowhere.xyz"),
        (["--keys", "energi=E"], "keys.energi"),
        (["--device", "cuda:7"], "expected a device"),
    ],
)
def test_a_mistake_is_one_line(refused, words, told):
    assert told in refused(*words)


def test_data_that_cannot_be_learned_from(refused, tmp_path):
    frames = read(DEMO, ":40")
    bare = [atoms.copy() for atoms in frames]
    write(tmp_path / "bare.xyz", bare)
    assert "energies or forces" in refused("--sizes", 10, data=tmp_path / "bare.xyz")
    write(tmp_path / "mixed.xyz", [*frames, read(DEMO, "50").copy()])
    assert "expected energy labels on all frames or on none" in refused(
        "--sizes", 10, "--test", write_part(tmp_path / "test.xyz"), data=tmp_path / "mixed.xyz"
    )
    assert "nowhere.xyz" in refused(data=tmp_path / "nowhere.xyz")
    write(tmp_path / "one.xyz", frames[:1])
    told = (
        "expected structures to train on beside those held out, got 0 and 1 held out; hold out another share"
    )
    assert told in refused(data=tmp_path / "one.xyz")


def test_elements_that_only_the_test_has_are_named(refused, tmp_path):
    write(tmp_path / "test.xyz", labeled(bulk("Ge")))
    told = "expected the elements of the data (Si) in the test, got also Ge; add frames with it to the data"
    assert told in refused("--sizes", 10, "--test", tmp_path / "test.xyz")


@pytest.mark.parametrize(
    ("words", "first"),
    [(["--models", "ani", "schnet", DEMO], "DATA"), (["transfer", "--exclude", "odd", "ge.yaml"], "CONFIG")],
)
def test_an_argument_that_an_option_took_is_named(words, first):
    done = run(*words)
    said = f"gnnpot: expected {first} before options that take several words, got none; put it first\n"
    assert (done.code, done.out, done.err) == (2, "", said)


def write_part(path: Path) -> Path:
    write(path, read(DEMO, "100:110"))
    return path


def labeled(atoms: Atoms, **labels: object) -> Atoms:
    atoms.calc = SinglePointCalculator(
        atoms, **{"energy": -1.0, "forces": np.zeros((len(atoms), 3)), **labels}
    )
    return atoms


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


def compare_with(tmp_path: Path, *, resume: bool = False, **changes: object) -> Comparison:
    given = {"data": ("gnnpot:silicon-demo.xyz",), "models": ("schnet",), "sizes": (4,), "steps": 2}
    config = ComparisonConfig.from_dict({**given, **changes}, source="test")
    return compare(config, tmp_path / "out", resume=resume)


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
    for chosen in (candidates(tuple(MODELS), ["Si"]), candidates(tuple(MODELS), ["C", "H"])):
        assert [one.template.model.kind for one in chosen] == list(MODELS)
    assert candidates(["ani"], ["C", "H"])[0].template.model == MODELS["ani"].Config()
    with pytest.raises(ConfigError, match="'ani' twice"):
        candidates(["ani", "ani"], ["Si"])


def test_a_loss_is_fitted_to_the_labels():
    loss = WeightedLoss(energy=2.0, forces=3.0, stress=4.0)
    assert fitting_loss(loss, ("energy", "forces", "stress"), "ani") == loss
    assert fitting_loss(loss, ("energy",), "ani").labels == ("energy",)
    with pytest.raises(ConfigError, match="expected forces labels, as the loss of ani needs them"):
        fitting_loss(WeightedLoss(energy=0.0), ("energy",), "ani")


def test_models_are_picked_by_a_label_that_is_there(tmp_path):
    for atoms in (frames := read(DEMO, ":20")):
        del atoms.calc.results["energy"]
    write(tmp_path / "forces.xyz", frames)
    pool = read_pool([str(tmp_path / "forces.xyz")], SplitConfig(), LabelKeys())
    (nequip,) = candidates(["nequip"], ["Si"])
    assert nequip.template.training.select_by == "energy"
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


@pytest.fixture
def comparison() -> Comparison:
    """Two seeds of two models; "slow" is better and slower."""
    history = [Point(1.0, 9.0, 90.0), Point(5.0, 5.0, 50.0)]
    trials = [
        Trial(model, size, seed, {"energy": None, "forces": {"mae": 1.0, "rmse": base / size + seed}},
              5.0, 3, history)
        for model, base in (("fast", 200.0), ("slow", 100.0)) for size in (10, 20) for seed in (0, 1)
    ]  # fmt: skip
    measurements = [
        Measurement(model, "ani", 10, 5.0, speed, drift=0.1, energy_jump=0.0, forces_jump=0.0)
        for model, speed in (("fast", 10.0), ("slow", 25.0))
    ]
    return Comparison("Which?", trials, measurements, {"data": "<a>.xyz"})


def test_the_answer_in_words(comparison):
    assert verdict(comparison) == (
        "On 20 frames slow has the smallest force error, 5.50 meV/Å. "
        "fast is 2.5 times as fast, with 10.5 meV/Å."
    )
    assert comparison.front == ["fast", "slow"]
    beaten = [
        replace(one, microseconds=30.0) if one.model == "fast" else one for one in comparison.measurements
    ]
    alone = replace(comparison, measurements=beaten)
    assert alone.front == ["slow"]
    assert verdict(alone).endswith("None of the others is faster.")


def test_dynamics_that_fail_are_no_measurement(comparison, tmp_path):
    slow = comparison.measurements[1]
    fails = replace(slow, microseconds=math.nan, drift=math.nan, failure="a temperature of 9000 K")
    failed = replace(comparison, measurements=[comparison.measurements[0], fails])
    assert failed.front == ["fast"]
    assert verdict(failed) == (
        "On 20 frames slow has the smallest force error, 5.50 meV/Å. Its dynamics failed. "
        "Of the models whose dynamics last, fast has the smallest, 10.5 meV/Å."
    )
    assert verdict(replace(failed, measurements=[fails])).endswith("Its dynamics failed.")
    fast = replace(comparison.measurements[0], microseconds=math.nan, failure="atoms on one spot")
    others = replace(comparison, measurements=[fast, slow])
    assert verdict(others) == "On 20 frames slow has the smallest force error, 5.50 meV/Å."
    row = failed.as_dict()["models"][1]
    assert (row["microseconds_per_atom_step"], row["drift_mev_per_atom_per_ps"]) == (None, None)
    assert row["failure"] == "a temperature of 9000 K"
    write_comparison(tmp_path / "report.html", failed)
    text = (tmp_path / "report.html").read_text()
    assert text.count("slow ★") == text.count("slow · Pareto front") == 0
    assert "fast ★" in text


def test_no_figure_is_cut_where_the_screen_is_narrow(comparison, monkeypatch, capsys):
    wide = [
        replace(trial, errors={key: {"mae": 1.0, "rmse": 10005.5 + trial.seed} for key in ERROR_UNITS})
        for trial in comparison.trials
    ]
    jumps = [replace(one, forces_jump=8.1e-05) for one in comparison.measurements]
    monkeypatch.setenv("COLUMNS", "40")
    print_comparison(replace(comparison, trials=wide, measurements=jumps))
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.rstrip().endswith(" 0.1 8.1e−05") for line in lines) == 2
    assert all("…" not in line for line in lines)


def test_the_reader_is_told_what_failed_and_what_had_too_little_time(comparison):
    long, short, failed = (replace(comparison.trials[0], epochs=epochs) for epochs in (50, 49, 0))
    failed = replace(failed, failure="loss is nan")
    flown = replace(comparison.measurements[0], failure="two atoms on one spot")
    assert warnings_of([long], comparison.measurements) == []
    assert warnings_of([long, short, failed], [flown]) == [
        "fast on 10 frames, seed 0: loss is nan",
        "1 of 3 trainings failed; errors are means over the others",
        "dynamics of fast: two atoms on one spot",
        "fewer than 50 epochs fitted into the time: fast on 10 frames; more would lower these errors",
    ]


def test_a_seed_that_failed_leaves_the_others(comparison, tmp_path):
    trials = [
        replace(trial, errors={}, history=(), failure="loss is nan") if trial.seed == 0 else trial
        for trial in comparison.trials
    ]
    partly = replace(comparison, trials=trials)
    assert partly.spread("slow", 20, "forces")[0] == 6.0
    assert math.isnan(partly.spread("slow", 20, "forces")[1])
    assert partly.front == ["fast", "slow"]
    row = partly.as_dict()["table"][-1]
    assert (row["forces"]["rmse"], row["failed_seeds"]) == (6.0, 1)
    assert "slow 50.0 after 5 s" in comparison_images(partly)[1].alt


def test_a_model_is_measured_if_any_seed_was_trained(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "gnnpot.training.run.write_report", lambda path, report: path.write_text(report.title)
    )
    given = {"data": (str(DEMO),), "models": ("schnet",), "sizes": (4,), "seeds": 2, "max_epochs": 1}
    config = ComparisonConfig.from_dict({**given, "steps": 2}, source="test")
    compare(config, tmp_path)
    (tmp_path / "trainings" / "schnet-4-0" / "failure.txt").write_text("loss is nan")
    pool = read_pool(config.data, config.test, config.keys)
    plans = planned(config, {"schnet": candidates(["schnet"], ["Si"])[0].template}, tmp_path)
    found = collect(config, pool, plans, ComparisonObserver())
    assert [one.model for one in found.measurements] == ["schnet"]
    assert found.spread("schnet", 4, "forces").mean > 0
    assert verdict(found).startswith("On 4 frames schnet has the smallest force error")
    assert "schnet on 4 frames, seed 0: loss is nan" in found.warnings


def test_panels_without_data_say_so(comparison):
    unmeasured = replace(
        comparison,
        trials=[replace(trial, history=()) for trial in comparison.trials],
        measurements=[replace(one, microseconds=math.nan) for one in comparison.measurements],
    )
    frames, times, speeds = comparison_images(unmeasured)
    assert "slow 5.50 at 20" in frames.alt
    for image in (times, speeds):
        assert "no model to draw" in image.alt
        drawn = base64.b64decode(image.source.partition(",")[2]).decode()
        assert "no model to draw" in drawn
        assert 'id="xtick_1"' not in drawn


def test_means_and_deviations_over_seeds(comparison):
    assert comparison.spread("slow", 20, "forces") == pytest.approx((5.5, math.sqrt(0.5)))
    assert spread_cells([SeedStatistics(5.5, 0.7), SeedStatistics(12.0, math.nan)]) == ["5.5 ± 0.7", "12.0"]


def test_a_model_that_failed_has_dashes_and_the_page_is_written(comparison, tmp_path):
    trials = [
        replace(trial, errors={}, history=(), failure="loss is nan") if trial.model == "fast" else trial
        for trial in comparison.trials
    ]
    failed = replace(comparison, trials=trials, measurements=comparison.measurements[1:])
    write_comparison(tmp_path / "report.html", failed)
    assert "<td>–</td>" in (tmp_path / "report.html").read_text()
    assert "&lt;a&gt;.xyz" in (tmp_path / "report.html").read_text()
    row = failed.as_dict()["table"][0]
    assert (row["forces"]["rmse"], row["energy"]) == (None, None)
    json.dumps(failed.as_dict(), allow_nan=False)


class Pull(Calculator):
    """A constant force (eV/Å) along x that no energy has."""

    implemented_properties = ["energy", "forces"]  # noqa: RUF012

    def __init__(self, force: float) -> None:
        super().__init__()
        self.force = force

    def calculate(self, atoms=None, properties=("energy",), system_changes=tuple(all_changes)):
        super().calculate(atoms, properties, system_changes)
        forces = np.zeros((len(atoms), 3))
        forces[:, 0] = self.force
        self.results = {"energy": 0.0, "forces": forces}


def test_a_potential_conserves_and_a_force_without_energy_drifts_by_what_it_does():
    crystal = bulk("Cu", cubic=True) * (2, 2, 2)
    crystal.calc = EMT()
    thermalize(crystal, 300.0, rng=np.random.default_rng(0))
    assert abs(crystal.get_momenta().sum(axis=0)).max() < 1e-10
    kept = constant_energy(crystal, steps=200, timestep=2.0)
    assert abs(kept.drift) < 0.5
    assert kept.times[-1] == pytest.approx(0.4)
    assert kept.seconds_per_atom_step > 0

    atoms = Atoms("Si2", [[0, 0, 0], [9, 0, 0]], calculator=Pull(0.1))
    pulled = constant_energy(atoms, steps=1000, timestep=1.0)
    mass = atoms.get_masses()[0]
    picosecond = 1000 * units.fs
    expected = 0.1**2 * picosecond**2 / (2 * mass) * 1000  # meV/atom/ps: a parabola a t² has the slope a T
    assert pulled.drift == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("scale", [1e3, 1e4])
def test_a_model_whose_atoms_fly_apart_has_neither_speed_nor_drift(tmp_path, scale):
    potential = small_potential("schnet")
    potential.scale *= scale
    save_potential(potential, tmp_path / "wild.safetensors")
    start = starting_structure(list(read_frames([DEMO]))[:20])
    config = ComparisonConfig.from_dict({"data": (str(DEMO),), "steps": 200}, source="test")
    found = measured(tmp_path / "wild.safetensors", start, config=config, elements=["Si"])
    assert math.isnan(found.microseconds)
    assert math.isnan(found.drift)
    assert re.search("temperature of|Å apart|finite", found.failure)
    assert found.forces_jump >= 0


class Spring(Calculator):
    """Pairs of energy (r − 3)² eV up to the cutoff, times a power of the distance to it."""

    implemented_properties = ["energy", "forces"]  # noqa: RUF012

    def __init__(self, cutoff: float, power: int) -> None:
        super().__init__()
        self.cutoff, self.power = cutoff, power

    def calculate(self, atoms=None, properties=("energy",), system_changes=tuple(all_changes)):
        super().calculate(atoms, properties, system_changes)
        energy, forces = 0.0, np.zeros((len(atoms), 3))
        for i in range(len(atoms)):
            for j in range(i):
                vector = atoms.positions[i] - atoms.positions[j]
                length = np.linalg.norm(vector)
                if length < self.cutoff:
                    left, p = self.cutoff - length, self.power
                    energy += (length - 3) ** 2 * left**p
                    slope = 2 * (length - 3) * left**p - (
                        p * (length - 3) ** 2 * left ** (p - 1) if p else 0.0
                    )
                    forces[i] -= slope * vector / length
                    forces[j] += slope * vector / length
        self.results = {"energy": energy, "forces": forces}


def test_a_jump_at_the_cutoff_is_found_in_energy_and_forces():
    hard = cutoff_jump(Spring(5.0, 0), 5.0, ["Si"])
    assert hard.energy == pytest.approx(4000.0, rel=2e-3)  # (5 − 3)² eV
    assert hard.forces == pytest.approx(4000.0, rel=2e-3)  # 2 (5 − 3) eV/Å
    kinked = cutoff_jump(Spring(5.0, 1), 5.0, ["Si"])
    assert kinked.energy < 10.0
    assert kinked.forces == pytest.approx(4000.0, rel=1e-2)
    smooth = cutoff_jump(Spring(5.0, 3), 5.0, ["Si", "C"])
    assert smooth.energy < 1e-2
    assert smooth.forces < 0.5


def test_dynamics_start_from_the_calmest_frame_large_enough():
    calm, wild = labeled(bulk("Si")), labeled(bulk("Si", a=5.0), forces=np.ones((2, 3)))
    calm.info["origin"] = "a.xyz:2"
    start = starting_structure([wild, calm])
    assert (start.origin, start.timestep) == ("a.xyz:2", 1.0)
    assert len(start.atoms) >= 64
    assert start.atoms.get_volume() / len(start.atoms) == pytest.approx(calm.get_volume() / 2)
    water = labeled(molecule("H2O"))
    water.info["origin"] = "w.xyz:1"
    start = starting_structure([water])
    assert (len(start.atoms), start.timestep) == (3, 0.5)
