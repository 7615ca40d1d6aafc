"""Distillation: a small set grows out of a labeled pool."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write
from learning_examples import KilledError, die_after_each_phase, loop_values

from gnnpot.config.base import shipped_configs
from gnnpot.data.reading import content_hash
from gnnpot.errors import ConfigError, DataError
from gnnpot.learning.config import LearnConfig
from gnnpot.learning.distillation import distill
from gnnpot.learning.distillation_config import DistillConfig


def copper(seed: int, rattle: float, *, labeled: bool = True):
    atoms = bulk("Cu", cubic=True, a=3.7)
    atoms.rattle(rattle, seed=seed)
    if labeled:
        atoms.calc = EMT()
        results = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
        atoms.calc = SinglePointCalculator(atoms, **results)
    return atoms


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
        config_of(pool, rule="grid")
    with pytest.raises(ConfigError, match="expected no train in potential"):
        config_of(pool, potential={**loop_values()["potential"], "train": str(pool)})


def test_the_ready_configurations_parse():
    assert LearnConfig.from_yaml(shipped_configs()["learn/hexane"]).converge is not None
    assert DistillConfig.from_yaml(shipped_configs()["distill/nickel"]).sizes(2000)[-1] == 100
