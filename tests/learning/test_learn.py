"""The active-learning loop: it grows its data, survives kills and bad rounds, and ends with a reason."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.io import read, write
from learning_examples import KilledError, die_after_each_phase, loop_config, loop_values

from gnnpot.calculator.calculator import GNNPotCalculator
from gnnpot.data.split import read_splits
from gnnpot.errors import ConfigError, TrainingError
from gnnpot.labeling.store.store import LabelStore
from gnnpot.learning.labeling import LabelingConfig, label_chosen, write_frames
from gnnpot.learning.run import learn
from gnnpot.system.run_folder import locked
from gnnpot.training.fit import Observer

pytestmark = pytest.mark.xdist_group("learn")  # what they share is made once


class Told(Observer):
    """What a loop says that it does."""

    def __init__(self):
        self.stages = []

    def stage(self, text):
        self.stages.append(text)


@pytest.fixture(scope="module")
def told() -> Told:
    return Told()


@pytest.fixture(scope="module")
def finished(told, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("loop") / "loop"
    learn(loop_config(), output, observer=told)
    return output


def test_each_phase_says_that_it_is_at_work(finished, told):
    assert "round 0: labeling" in told.stages
    whats = [text for text in told.stages if text.startswith("round 2: ")]
    assert [what.split(": ")[1] for what in whats] == [
        "sampling", "scoring", "selecting", "labeling", "training",
    ]  # fmt: skip


def labels_of(output: Path) -> list[np.ndarray]:
    return [
        atoms.positions
        for path in sorted(output.glob("round-*/labels/labels.xyz"))
        if path.stat().st_size
        for atoms in read(path, ":")
    ]


def splits_of(output: Path, number: int) -> dict[str, set[str]]:
    parts = read_splits(output / f"round-{number:02d}" / "split.json")
    return {name: {row.hash for row in rows} for name, rows in parts.items()}


def test_each_round_adds_the_labels_it_chose(finished):
    result = json.loads((finished / "result.json").read_text())
    assert (result["rounds"], result["labels"]) == (2, 12 + 3 + 3)
    assert result["stopped"] == "all 2 rounds are done"
    for number in (1, 2):
        place = finished / f"round-{number:02d}"
        done = json.loads((place / "done.json").read_text())
        assert list(done) == ["sample", "score", "select", "label", "train"]
        assert done["train"]["structures"] == 12 + 3 * number
        frames, scores = read(place / "runs" / "frames.xyz", ":"), np.load(place / "scores.npz")["scores"]
        best = sorted(np.argsort(-scores)[:3])
        kept = np.load(place / "scores.npz")["energies"]
        np.testing.assert_allclose(kept, [atoms.get_potential_energy() for atoms in frames], atol=1e-5)
        selected = read(place / "selected.xyz", ":")
        for atoms, index in zip(selected, best, strict=True):
            np.testing.assert_allclose(atoms.positions, frames[index].positions, atol=1e-7)
            assert atoms.info["score"] == pytest.approx(scores[index], rel=1e-5)
        for atoms in read(place / "labels" / "labels.xyz", ":"):
            energy = atoms.get_potential_energy()
            atoms.calc = EMT()
            assert energy == pytest.approx(atoms.get_potential_energy(), abs=1e-6)
    atoms.calc = GNNPotCalculator(result["model"])
    assert np.isfinite(atoms.get_potential_energy())
    page = (finished / "report.html").read_text()
    assert "Time of the phases of 3 rounds" in page
    assert "highest: 3 of 10" in page
    story = json.loads((finished / "story.json").read_text())
    assert [(one["round"], one["phase"]) for one in story[:3]] == [(0, "initial"), (0, "label"), (0, "train")]


def test_the_split_is_inherited_and_only_new_structures_are_distributed(finished):
    for number in (1, 2):
        before, after = splits_of(finished, number - 1), splits_of(finished, number)
        assert before["train"] <= after["train"]
        assert before["validation"] <= after["validation"]
        assert len(after["train"] | after["validation"]) == 12 + 3 * number


def test_killed_after_each_phase_it_ends_with_the_same_data_and_pays_no_label_twice(
    finished, tmp_path, monkeypatch
):
    killed = die_after_each_phase(monkeypatch)
    output, config = tmp_path / "loop", loop_config(rounds=1)
    while True:
        try:
            result = learn(config, output, resume=True)
            break
        except KilledError:
            pass
    assert len(killed) == 3 + 5
    assert result["labels"] == 15
    for mine, theirs in zip(labels_of(output), labels_of(finished), strict=False):
        np.testing.assert_array_equal(mine, theirs)
    assert LabelStore(output / "labels.db").last == 15  # each was computed once


def test_it_goes_on_with_more_rounds_but_not_with_another_committee(finished, tmp_path, command):
    output, file = tmp_path / "loop", tmp_path / "loop.yaml"
    shutil.copytree(finished, output)
    file.write_text(yaml.safe_dump(loop_values()))
    code, _, err = command("learn", file, "--output", output)
    assert (code, "; use --resume or another --output" in err) == (2, True)
    code, _, err = command("learn", file, "--output", output, "--resume", "members.count=3")
    assert (code, "got other values of members.count (2 → 3); resume with the same" in err) == (2, True)
    with locked(output):
        code, _, err = command("learn", file, "--output", output, "--resume")
    assert (code, "for one run alone, got another that writes" in err) == (2, True)
    before = (output / "round-02" / "done.json").stat().st_mtime_ns
    budget = ["rounds=5", "stop.labels=20"]
    code, out, _ = command("learn", file, "--output", output, "--resume", "--json", *budget)
    result = json.loads(out)
    assert (output / "round-02" / "done.json").stat().st_mtime_ns == before
    assert (result["rounds"], result["labels"]) == (3, 20)
    assert result["stopped"] == "the budget of 20 labels is spent"


def test_a_bound_that_nothing_exceeds_ends_the_loop_and_says_so(finished, tmp_path):
    rules = [{"kind": "above", "spread": 1e6}, {"kind": "first", "size": 3}]
    result = learn(loop_config(select=rules), tmp_path / "loop")
    assert result["stopped"].startswith(
        "nothing was left to select: above 1000000.0 = 1e+06, the largest is "
    )
    assert result["labels"] == 12


def test_a_bound_that_all_exceed_is_told_and_the_budget_holds(tmp_path):
    rules = [{"kind": "above", "spread": 1e-12}]
    config = loop_config(select=rules, rounds=1, noise={"kind": "noise", "copies": 1}, stop={"labels": 40})
    result = learn(config, tmp_path / "loop")
    assert result["labels"] == 12 + 2 * 10  # each with a noisy copy
    assert "all sampled frames were chosen" in (tmp_path / "loop" / "report.html").read_text()


def test_properties_that_are_good_enough_end_the_loop(tmp_path):
    write(tmp_path / "dimer.xyz", Atoms("Cu2", [[0, 0, 0], [0, 0, 2.4]]))
    goal = {
        "structure": str(tmp_path / "dimer.xyz"), "values": {"relaxation": {"energy": -1.0}},
        "settings": {"relaxation": {"force": 1e3}}, "of": "relaxation.energy",
    }  # fmt: skip
    result = learn(loop_config(stop={"properties": {**goal, "deviation": 1e9}}), tmp_path / "loop")
    (judged,) = (
        facts["judge"]
        for path in (tmp_path / "loop").glob("round-*/done.json")
        if "judge" in (facts := json.loads(path.read_text()))
    )
    assert judged["deviation"] == judged["parts"]["relaxation.energy"] > 0
    assert result["stopped"].startswith("the deviation of relaxation.energy is ")
    assert result["rounds"] == 0
    with pytest.raises(ConfigError, match="expected values of what elastic stands for"):
        loop_config(stop={"properties": {**goal, "of": "elastic"}})


def test_bad_rounds_are_told_poison_nothing_and_end_the_loop_in_time(tmp_path, shared_labels):
    method = {"kind": "ase", "calculator_class": "faulty_engines.Faulty"}
    values = loop_values(initial=None, rounds=9, stop={"bad_rounds": 2})
    values["labeling"]["method"] = method
    values["potential"]["train"] = str(shared_labels)
    config = type(loop_config()).from_dict(values, source="test")
    result = learn(config, tmp_path / "loop")
    assert result["rounds"] == 2
    assert result["bad_rounds"] == [1, 2]
    assert result["stopped"].startswith(
        "2 rounds in a row gave no new committee: label: all 3 structures failed"
    )
    assert result["model"].endswith("round-00")
    assert not labels_of(tmp_path / "loop")


def test_a_structure_that_does_not_fit_the_method_is_a_failure_and_the_rest_is_labeled(tmp_path):
    crystals = [bulk(symbol, "diamond", a=5.5) for symbol in ("Si", "Ge", "Si")]
    crystals[2].rattle(0.1, seed=0)
    write_frames(tmp_path / "chosen.xyz", crystals)
    labeling = LabelingConfig.model_validate({"method": {"kind": "stillinger-weber", "preset": "Si-1985"}})
    facts = label_chosen(
        labeling, tmp_path / "chosen.xyz", store=str(tmp_path / "labels.db"), folder=tmp_path / "labels"
    )
    assert facts == {"structures": 3, "labeled": 2, "failed": 1}
    (failure,) = json.loads((tmp_path / "labels" / "failures.json").read_text())
    assert failure["kind"] == "refused"
    assert "got Ge" in failure["reason"]


def test_a_training_that_diverges_leaves_the_committee_before(tmp_path):
    later = {"training": {"optimizer": {"kind": "adamw", "learning_rate": 1e30}, "gradient_clip": None}}
    result = learn(loop_config(rounds=1, later=later), tmp_path / "loop")
    assert result["bad_rounds"] == [1]
    assert result["model"].endswith("round-00")
    assert "train: expected a finite" in (tmp_path / "loop" / "report.html").read_text()


def test_without_a_first_label_there_is_no_loop(tmp_path):
    values = loop_values()
    values["labeling"]["method"] = {"kind": "ase", "calculator_class": "faulty_engines.Faulty"}
    config = type(loop_config()).from_dict(values, source="test")
    with pytest.raises(TrainingError, match=r"^expected labels to train on first, got none: all 12 "):
        learn(config, tmp_path / "loop")


@pytest.fixture(scope="module")
def shared_labels(finished, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("labels") / "labels.xyz"
    write(path, read(finished / "round-00" / "labels" / "labels.xyz", ":"))
    return path


def test_warm_rounds_carry_weights_and_each_members_split(tmp_path):
    later = {"start": "warm", "training": {"max_steps": 2}}
    output = tmp_path / "loop"
    learn(loop_config(rounds=1, later=later), output)
    for k in range(2):
        own = yaml.safe_load((output / "round-01" / "members" / str(k) / "config.yaml").read_text())
        before = output / "round-00" / "members" / str(k)
        assert own["start"] == str(before / "model.safetensors")
        old, new = (
            {row.hash for row in read_splits(place / "splits.json")["validation"]}
            for place in (before, output / "round-01" / "members" / str(k))
        )
        assert old <= new


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"later": {"start": "warm"}, "members": {"count": 2}},
            "expected members.split: inherited for a warm",
        ),
        ({"initial": None}, "expected initial, source or potential.train to train on first, got none"),
        ({"members": {"count": 1}}, "expected two members or more, got 1"),
        ({"converge": {"kind": "work"}}, "expected a steered sampler for converge: work, got none"),
        ({"select": [{"kind": "above", "spread": "big"}]}, r"expected a number or mu\+3sigma, got 'big'"),
        ({"later": {"training": {"max_epoch": 2}}}, "max_epoch"),
    ],
)
def test_mistakes_in_a_loop_are_refused_before_it_begins(changes, message):
    with pytest.raises(ConfigError, match=message):
        loop_config(**changes)
