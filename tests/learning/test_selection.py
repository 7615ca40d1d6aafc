"""Rules that choose structures."""

from __future__ import annotations

import numpy as np
import pytest

from gnnpot.learning.selection import (
    above,
    at_random,
    clustered,
    distinct,
    evenly,
    farthest,
    farthest_by_atoms,
    highest,
    screened,
)

LINE = np.array([[0.0], [0.1], [0.2], [5.0], [5.1], [10.0]])
SCORES = np.array([1.0, 6.0, 2.0, 3.0, 5.0, 4.0])


def test_the_highest_scores_are_chosen_and_of_equal_ones_the_first():
    assert highest(SCORES, LINE, 3).tolist() == [1, 4, 5]
    assert highest(np.ones(5), LINE[:5], 2).tolist() == [0, 1]


def test_farthest_points_spread_over_the_features():
    assert farthest(SCORES, LINE, 3).tolist() == [1, 3, 5]
    assert farthest(SCORES, LINE, 2, known=np.array([[0.0], [10.0]])).tolist() == [2, 3]


def test_one_unusual_atom_makes_a_structure_far():
    usual = np.zeros((4, 2))
    odd = usual.copy()
    odd[2] = [7.0, 0.0]
    shifted = usual + 1.0  # far on average, but each atom less than the odd one
    chosen = farthest_by_atoms(np.array([1.0, 0.0, 0.0]), [usual, shifted, odd], 2)
    assert chosen.tolist() == [0, 2]
    means = np.stack([frame.mean(axis=0) for frame in (usual, shifted, 0.5 * odd)])
    assert farthest(np.array([1.0, 0.0, 0.0]), means, 2).tolist() == [0, 1]


def test_of_each_cluster_the_highest_score_is_chosen():
    assert clustered(SCORES, LINE, 3).tolist() == [1, 4, 5]


def test_even_choices_hold_both_ends():
    assert evenly(np.zeros(11), np.zeros((11, 1)), 3).tolist() == [0, 5, 10]
    assert evenly(np.zeros(3), np.zeros((3, 1)), 1).tolist() == [0]


def test_random_choices_depend_on_the_seed_alone():
    draws = [at_random(np.zeros(50), np.zeros((50, 1)), 10, seed=seed).tolist() for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]
    assert len(set(draws[0])) == 10


@pytest.mark.parametrize("rule", [highest, farthest, clustered, evenly, at_random])
def test_a_size_beyond_the_structures_takes_all_and_zero_takes_none(rule):
    assert rule(SCORES, LINE, 100).tolist() == list(range(6))
    assert rule(SCORES, LINE, 0).tolist() == []


def test_screening_compares_with_the_last_kept_frame():
    coordinates = np.array([0.0, 0.006, 0.012, 0.018, 0.024])
    energies = np.array([0.0, 1.0, 2.0, 2.0, 3.0])
    # 2 differs from 0; 3 from 2 neither in coordinate nor in energy; 4 from 2 in both
    assert screened(coordinates, energies, coordinate=0.01, energy=0.5).tolist() == [0, 2, 4]
    assert screened(coordinates, np.zeros(5), coordinate=0.01, energy=0.5).tolist() == [0]


def test_distinct_structures_keep_their_distance():
    assert distinct(LINE, 0.15).tolist() == [0, 2, 3, 5]
    assert distinct(LINE, 0.0).tolist() == list(range(6))


def test_above_is_strict():
    assert above(SCORES, 4.0).tolist() == [1, 4]
    assert above(SCORES, 10.0).tolist() == []
