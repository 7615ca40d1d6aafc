"""Distillation: a small set grows out of a labeled pool."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.io import read, write
from learning_examples import KilledError, die_after_each_phase, emt_labeled, loop_values

from gnnpot.calculator.calculator import GNNPotCalculator
from gnnpot.config.base import shipped_configs
from gnnpot.data.reading import content_hash
from gnnpot.errors import ConfigError, DataError
from gnnpot.labeling.store.store import LabelStore
from gnnpot.learning.config import LearnConfig
from gnnpot.learning.distillation import distill
from gnnpot.learning.distillation_config import DistillConfig
from gnnpot.training.run import train
from gnnpot.training.run_config import RunConfig

pytestmark = pytest.mark.xdist_group("distill")  # what they share is made once


def copper(seed: int, rattle: float, *, labeled: bool = True):
    atoms = bulk("Cu", cubic=True, a=3.7)
    atoms.rattle(rattle, seed=seed)
    return emt_labeled(atoms) if labeled else atoms


@pytest.fixture(scope="module")
def pool(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("pool") / "pool.xyz"
    write(path, [copper(seed, 0.05 if seed < 30 else 0.3) for seed in range(40)])
    return path


def config_of(pool: Path, **changes) -> DistillConfig:
    values = {
        "pool": str(pool),
        "potential": loop_values()["potential"],
        "members": {"count": 2},
        "start": 8,
        "fraction": 0.35,
        "rounds": 2,
        "compare": [],
        **changes,
    }
    return DistillConfig.from_dict(values, source="test")


@pytest.fixture(scope="module")
def distilled(pool, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("distilled") / "out"
    distill(config_of(pool, compare=["random", "farthest"]), output)
    return output


def test_sets_grow_by_each_rule_from_one_first_set(distilled, pool):
    curves = json.loads((distilled / "result.json").read_text())["curves"]
    assert list(curves) == ["spread", "random", "farthest"]
    frames = [content_hash(atoms) for atoms in read(pool, ":")]
    for rule, curve in curves.items():
        assert [point["size"] for point in curve] == [8, 11, 14]
        assert curve[0]["energy_mae"] == curves["spread"][0]["energy_mae"]
        added = json.loads((distilled / rule / "round-01" / "chosen.json").read_text())
        assert len(added) == 3
    assert [path.parent.name for path in sorted(distilled.glob("*/round-00"))] == ["spread"]  # trained once
    added = json.loads((distilled / "spread" / "round-01" / "chosen.json").read_text())
    scores = np.load(distilled / "spread" / "round-00" / "scores.npz")["scores"]
    taken = read(distilled / "distilled.xyz", ":")
    first = {frames.index(content_hash(one)) for one in taken if one.info["taken"].startswith("first set")}
    free = [place for place in np.argsort(-scores).tolist() if place not in first]
    assert {int(place) for place in added} == set(free[:3])


def test_the_distilled_set_has_labels_and_the_reason_for_each_structure(distilled):
    taken = read(distilled / "distilled.xyz", ":")
    assert len(taken) == 14
    reasons = [one.info["taken"] for one in taken]
    assert sum(reason == "first set, at random" for reason in reasons) == 8
    assert sum(reason.startswith("round 2, spread: spread ") for reason in reasons) == 3
    energy = taken[0].get_potential_energy()
    taken[0].calc = EMT()
    assert energy == pytest.approx(taken[0].get_potential_energy(), abs=1e-5)
    page = (distilled / "report.html").read_text()
    assert "Largest energy error" in page
    assert "With 14 structures (35.0%)" in page


def test_a_killed_distillation_ends_as_one_that_was_not(distilled, pool, tmp_path, monkeypatch):
    killed = die_after_each_phase(monkeypatch)
    output = tmp_path / "out"
    while True:
        try:
            distill(config_of(pool), output, resume=True)
            break
        except KilledError:
            pass
    assert len(killed) == 3 * 3 - 1
    assert (output / "distilled.xyz").read_text() == (distilled / "distilled.xyz").read_text()


def test_a_target_ends_growing(pool, tmp_path):
    result = distill(config_of(pool, target=1e6), tmp_path / "out")
    assert [point["size"] for point in result["curves"]["spread"]] == [8]


def test_a_pool_without_labels_is_refused(tmp_path):
    path = tmp_path / "bare.xyz"
    write(path, [copper(seed, 0.1, labeled=False) for seed in range(12)])
    with pytest.raises(DataError, match=r"label"):
        distill(config_of(path), tmp_path / "out")


def test_a_pool_smaller_than_the_first_set_is_refused(pool, tmp_path):
    with pytest.raises(DataError, match=r"^expected a pool of more than start: 50 structures, got 40"):
        distill(config_of(pool, start=50), tmp_path / "out")


def test_other_rules_are_refused(pool):
    with pytest.raises(ConfigError, match="rule"):
        config_of(pool, rule="nearest")
    with pytest.raises(ConfigError, match="expected no train in potential"):
        config_of(pool, potential={**loop_values()["potential"], "train": str(pool)})


def test_a_grid_takes_rare_regions_as_often_as_crowded_ones(pool, tmp_path):
    result = distill(config_of(pool, rule="grid"), tmp_path / "out")
    assert [point["size"] for point in result["curves"]["grid"]] == [8, 11, 14]
    reasons = [one.info["taken"] for one in read(tmp_path / "out" / "distilled.xyz", ":")]
    assert sum(reason.startswith("round 2, grid") for reason in reasons) == 3


@pytest.fixture(scope="module")
def bare(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("bare") / "bare.xyz"
    write(path, [copper(seed, 0.05 if seed < 20 else 0.2, labeled=False) for seed in range(24)])
    return path


EMT_LABELS = {
    "method": {"kind": "ase", "calculator_class": "ase.calculators.emt.EMT"},
    "running": {"kind": "local", "workers": 1},
}


def test_of_a_pool_without_labels_only_what_is_chosen_is_labeled_and_once(bare, tmp_path, monkeypatch):
    killed = die_after_each_phase(monkeypatch)
    output = tmp_path / "out"
    config = config_of(bare, labeling=EMT_LABELS, fraction=0.5, compare=["random"])
    while True:
        try:
            result = distill(config, output, resume=True)
            break
        except KilledError:
            pass
    assert len(killed) == 3 + 2 * 4
    asked = {
        content_hash(atoms) for path in output.glob("*/round-*/selected.xyz") for atoms in read(path, ":")
    }
    assert LabelStore(output / "labels.db").last == len(asked) < 24
    assert result["judged_on"] == "held-out structures"
    taken = read(output / "distilled.xyz", ":")
    assert len(taken) == 12
    energy = taken[0].get_potential_energy()
    taken[0].calc = EMT()
    assert energy == pytest.approx(taken[0].get_potential_energy(), abs=1e-6)
    assert "Largest spread (eV)" in (output / "report.html").read_text()


def test_a_method_that_fails_on_all_structures_is_told(bare, tmp_path):
    labeling = {**EMT_LABELS, "method": {"kind": "ase", "calculator_class": "faulty_engines.Faulty"}}
    with pytest.raises(DataError, match=r"^expected labels to train on, got none: all 8 structures failed"):
        distill(config_of(bare, labeling=labeling), tmp_path / "out")


def test_a_student_is_judged_by_its_teacher_and_by_the_labels(pool, tmp_path):
    teacher, values = tmp_path / "teacher", loop_values()["potential"]
    values["training"] = {**values["training"], "max_epochs": 40}
    train(RunConfig.from_dict({**values, "train": str(pool)}, source="test"), teacher)
    student = {"potential": loop_values()["potential"], "members": None, "rule": "farthest"}
    config = config_of(pool, teacher=str(teacher), fraction=1.0, rounds=1, **student)
    result = distill(config, tmp_path / "out")
    first, last = result["curves"]["farthest"]
    assert (first["size"], last["size"], last["largest_spread"]) == (8, 40, None)
    taught = read(tmp_path / "out" / "distilled.xyz", ":")
    calculator = GNNPotCalculator(teacher)
    for atoms in taught[:3]:
        assert atoms.get_potential_energy() == pytest.approx(calculator.get_potential_energy(atoms), abs=1e-5)
    model = GNNPotCalculator(tmp_path / "out" / "farthest" / "round-01")
    labeled = read(pool, ":")
    errors = [abs(model.get_potential_energy(atoms) - atoms.get_potential_energy()) for atoms in labeled]
    assert last["energy_mae_of_labels"] == pytest.approx(1000 * np.mean(errors) / 4, rel=1e-3)
    taught_errors = [
        abs(model.get_potential_energy(atoms) - calculator.get_potential_energy(atoms)) for atoms in labeled
    ]
    assert last["energy_mae"] == pytest.approx(1000 * np.mean(taught_errors) / 4, rel=1e-3)
    assert "Energy MAE against the pool" in (tmp_path / "out" / "report.html").read_text()


def test_a_set_is_translated_to_another_element(pool, tmp_path):
    translate = {
        "map": "Ag=Cu", "lattice_scale": [4.1, 3.7], "labeling": EMT_LABELS, "training": {"max_steps": 3}
    }  # fmt: skip
    output = tmp_path / "out"
    bare, config = (
        config_of(pool, translate=change, rounds=1, fraction=0.25) for change in (None, translate)
    )
    first = distill(bare, output)
    result = distill(config, output, resume=True)  # grows nothing again
    assert result["curves"] == first["curves"]
    assert result["translated"]["labeled"] == 10
    before, after = (
        read(path, ":") for path in (output / "distilled.xyz", output / "translated/labels/labels.xyz")
    )
    for old, new in zip(before, after, strict=True):
        np.testing.assert_allclose(new.positions, old.positions * 4.1 / 3.7, atol=1e-6)
        energy = new.get_potential_energy()
        new.calc = EMT()
        assert energy == pytest.approx(new.get_potential_energy(), abs=1e-5)
    silver = GNNPotCalculator(output / "translated")
    assert silver.potential.elements == ("Ag",)
    assert silver.potential.cutoff == pytest.approx(4.0 * 4.1 / 3.7)
    written = yaml.safe_load((output / "translated" / "config.yaml").read_text())
    assert written["training"]["max_steps"] == 3
    assert written["training"]["batch_size"] == bare.potential.training.batch_size
    changed = (output / "translated" / "done.json").stat().st_mtime_ns
    assert distill(config, output, resume=True)["translated"] == result["translated"]
    assert (output / "translated" / "done.json").stat().st_mtime_ns == changed
    assert "Ag=Cu, lengths × 1.108" in (output / "report.html").read_text()
    other = config_of(pool, translate=translate | {"lattice_scale": 1.2}, rounds=1, fraction=0.25)
    with pytest.raises(ConfigError, match=r"^expected the translation in .*lattice_scale.*; remove"):
        distill(other, output, resume=True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"members": {"count": 1}}, "expected two members or more, got 1"),
        ({"members": None}, "expected members for the spread of a committee, got none"),
        ({"labeling": EMT_LABELS, "teacher": "run"}, "expected labeling or teacher, got both"),
        (
            {"translate": {"map": {"Ag": "nearest"}, "labeling": EMT_LABELS}},
            "expected an element of the pool",
        ),
        (
            {"translate": {"map": "Ag=Cu", "labeling": EMT_LABELS, "training": {"max_step": 3}}},
            "no key is called max_step; did you mean",
        ),
    ],
)
def test_mistakes_are_refused_before_it_begins(pool, changes, message):
    with pytest.raises(ConfigError, match=message):
        config_of(pool, **changes)


def test_other_sizes_are_refused_and_the_difference_is_shown(distilled, pool):
    with pytest.raises(ConfigError, match=r"got other values of fraction \(0.35 → 0.5\)"):
        distill(config_of(pool, compare=["random", "farthest"], fraction=0.5), distilled, resume=True)


def test_the_ready_configurations_parse():
    assert LearnConfig.from_yaml(shipped_configs()["learn/hexane"]).converge is not None
    assert DistillConfig.from_yaml(shipped_configs()["distill/nickel"]).sizes(2000)[-1] == 100
    aluminum = DistillConfig.from_yaml(shipped_configs()["distill/nickel-to-aluminum"]).translate
    assert aluminum is not None
    assert aluminum.names == {"Ni": "Al"}
    assert aluminum.length_scale == pytest.approx(1.15, abs=2e-3)
    student = DistillConfig.from_yaml(shipped_configs()["distill/student"])
    assert student.teacher_labeling is not None
    assert student.sizes(2000) == [100, 2000]
