"""Selection rules of a configuration, one after another."""

from __future__ import annotations

import numpy as np
import pytest
from potentials import small_potential
from pydantic import TypeAdapter
from structures import silicon

from gnnpot.data.dataset import GraphDataset
from gnnpot.data.store import GraphStore
from gnnpot.errors import DataError
from gnnpot.learning.scoring import Candidates, ScoreConfig, candidates_of, window_moments
from gnnpot.learning.selectors import Selectors, chosen
from gnnpot.potential.committee import Committee
from gnnpot.sampling.spread import SPREADS

RULES = TypeAdapter(Selectors)


@pytest.fixture(scope="module")
def committee():
    return Committee([small_potential(seed=seed) for seed in (1, 2)])


def path(committee, scores, **info):
    """Frames of two runs along a path."""
    frames = [silicon(seed=place) for place in range(len(scores))]
    for place, frame in enumerate(frames):
        frame.info = {"run": place % 2, **{name: values[place] for name, values in info.items()}}
    return Candidates(frames, np.array(scores), np.arange(len(scores), dtype=float), committee)


def pick(rules, candidates, tell=lambda text: None):
    return chosen(RULES.validate_python(rules), candidates, np.random.default_rng(0), tell=tell)


def test_rules_act_on_what_the_last_one_left_and_tell_how_many(committee):
    told = []
    rules = [{"kind": "above", "spread": 2.5}, {"kind": "highest", "size": 2}, {"kind": "first", "size": 1}]
    assert pick(rules, path(committee, [1, 9, 3, 7, 2, 5.0]), told.append) == [1]
    assert told == [
        "above 2.5 = 2.5, the largest is 9: 4 of 6",
        "highest: 2 of 4",
        "first: 1 of 2",
    ]
    assert pick([{"kind": "above", "spread": 10}, *rules], path(committee, [1, 9.0])) == []


def test_a_relative_bound_knows_the_first_frames_of_each_run_or_the_training_set(committee):
    candidates = path(committee, [1, 3, 1, 3, 9, 4.0])
    moments = window_moments(candidates, 2)
    assert (moments.count, moments.mean) == (4, 2.0)
    rule = {"kind": "above", "spread": "mu+sigma", "window": 2}
    assert pick([rule], candidates) == [4, 5]
    candidates.training = np.array([4.0, 6.0])  # 5 + √2
    assert pick([{**rule, "reference": "training"}], candidates) == [4]


def test_screening_keeps_each_run_apart(committee):
    distances = [5.0, 7.0, 5.005, 7.1, 5.02, 7.2]
    candidates = path(committee, [1.0] * 6, spring_distance=distances)
    assert pick([{"kind": "screening"}], candidates) == [0, 1, 3, 4, 5]
    with pytest.raises(DataError, match=r"^expected angle in the info of frames, got run, spring_distance; "):
        pick([{"kind": "screening", "along": "angle"}], candidates)


@pytest.mark.parametrize("kind", ["highest", "first", "evenly", "random", "clusters", "farthest"])
def test_each_rule_with_a_size_keeps_it(committee, kind):
    places = pick([{"kind": kind, "size": 3}], path(committee, [1, 9, 3, 7, 2, 5.0]))
    assert len(places) == 3
    assert places == sorted(set(places))


def test_unusual_structures_are_far_and_copies_are_not_distinct(committee):
    candidates = path(committee, [1.0] * 5)
    odd = silicon(rattle=0.5, seed=7)
    odd.info = {"run": 0}
    frames = [*candidates.frames[:4], odd]
    candidates = Candidates(frames, candidates.scores, candidates.energies, committee)
    for features in ("mean", "atoms"):
        assert pick([{"kind": "farthest", "size": 2, "features": features}], candidates) == [0, 4]
    twins = Candidates([odd, odd.copy()], np.ones(2), np.ones(2), committee)
    assert pick([{"kind": "distinct", "distance": 1e-3}], twins) == [0]


@pytest.mark.parametrize("features", ["mean", "atoms"])
def test_what_is_like_a_labeled_structure_is_not_far(committee, features):
    rule = {"kind": "farthest", "size": 1, "features": features}
    odd = [silicon(rattle=0.5, seed=seed) for seed in (7, 8)]
    frames = [*path(committee, [1.0] * 4).frames, odd[0], odd[1]]
    for frame in frames:
        frame.info = {"run": 0}
    store = GraphStore.in_memory([frames[0], odd[0]], committee.cutoff)
    labeled = GraphDataset(store, range(2), dtype=committee.dtype, labels=())
    candidates = Candidates(frames, np.ones(6), np.ones(6), committee, labeled=labeled)
    assert pick([rule], candidates) == [5]
    assert pick([{"kind": "evenly", "size": 6}, rule], candidates) == [5]
    assert pick([{"kind": "above", "spread": 0.5}, rule], candidates.part([0, 1, 4])) == [1]


def test_frames_without_a_spread_are_scored_by_the_committee_and_others_are_not(committee):
    bare, known = silicon(seed=1), silicon(seed=2)
    known.info[SPREADS["energy"]] = 1.0
    for name, shape in ((SPREADS["energies"], (8,)), (SPREADS["forces"], (8, 3))):
        known.set_array(name, np.full(shape, 0.5))
    found = candidates_of([bare, known], committee, ScoreConfig(of="energies", atoms="mean"))
    assert found.scores[1] == 0.5
    from gnnpot.calculator.calculator import GNNPotCalculator

    atoms = bare.copy()
    atoms.calc = GNNPotCalculator(committee)
    energy = atoms.get_potential_energy()
    assert found.energies[0] == pytest.approx(energy, abs=1e-6)
    assert found.scores[0] == pytest.approx(atoms.calc.results["energies_uncertainty"].mean(), rel=1e-6)
