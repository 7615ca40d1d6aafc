"""Training and validation sets share nothing, and are the same when told again."""

from __future__ import annotations

import json
import math
from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gnnpot.data.split import (
    SplitConfig,
    SplitRow,
    check_disjoint,
    read_splits,
    split_indices,
    write_splits,
)
from gnnpot.errors import DataError

manners = st.sampled_from(["stratified", "random", "grouped"])
structures = st.lists(
    st.tuples(st.integers(0, 30), st.sampled_from(["", "a", "b", "c"])), min_size=2, max_size=60
).filter(lambda rows: len({content for content, _ in rows}) > 1 and len({group for _, group in rows}) > 1)


@given(structures, manners, st.integers(0, 5), st.floats(0.05, 0.5), st.randoms(use_true_random=False))
def test_a_split_is_disjoint_complete_and_blind_to_order(rows, by, seed, fraction, random):
    config = SplitConfig(by=by, fraction=fraction)
    try:
        train, validation = _contents(rows, config, seed)
    except DataError as error:
        assert by == "grouped", error  # noqa: PT017 - copies have the group of one of them: all were one group
        return
    assert not set(train) & set(validation)
    assert sorted(train + validation) == sorted(str(content) for content, _ in rows)
    assert len(train) * len(validation) > 0
    random.shuffle(rows)
    again = _contents(rows, config, seed)
    assert (sorted(again[0]), sorted(again[1])) == (sorted(train), sorted(validation))


def _contents(rows, config: SplitConfig, seed: int) -> tuple[list[str], list[str]]:
    hashes = [str(content) for content, _ in rows]
    parts = split_indices(hashes, [group for _, group in rows], config=config, seed=seed)
    train, validation = ([hashes[index] for index in part] for part in parts)
    return train, validation


@given(st.integers(20, 300), st.sampled_from(["random", "stratified"]), st.integers(1, 19), st.integers(0, 3))
def test_the_validation_set_has_the_size_that_was_asked_for(count, by, frames, seed):
    hashes, groups = [str(index) for index in range(count)], ["ab"[index % 2] for index in range(count)]
    _, validation = split_indices(hashes, groups, config=SplitConfig(by=by, frames=frames), seed=seed)
    assert len(validation) == frames
    _, validation = split_indices(hashes, groups, config=SplitConfig(by=by, fraction=0.2), seed=seed)
    assert abs(len(validation) - 0.2 * count) <= 0.5


def test_stratified_takes_the_share_of_every_group():
    groups = ["large"] * 200 + ["small"] * 20 + ["single"]
    hashes = [str(index) for index in range(len(groups))]
    for seed in range(5):
        _, validation = split_indices(hashes, groups, config=SplitConfig(fraction=0.1), seed=seed)
        taken = [groups[index] for index in validation]
        assert math.isclose(taken.count("large"), 20, abs_tol=1)
        assert math.isclose(taken.count("small"), 2, abs_tol=1)
        assert taken.count("single") == 0


def test_grouped_holds_whole_groups_out():
    groups = [name for name in "abcde" for _ in range(20)]
    hashes = [str(index) for index in range(100)]
    _, validation = split_indices(hashes, groups, config=SplitConfig(by="grouped", fraction=0.4), seed=1)
    held = {groups[index] for index in validation}
    assert len(held) == 2
    assert [groups[index] for index in validation] == [name for name in groups if name in held]
    _, validation = split_indices(hashes, groups, config=SplitConfig(by="grouped", groups=("c",)), seed=1)
    assert validation.tolist() == list(range(40, 60))


@given(st.lists(st.integers(1, 100), min_size=2, max_size=6), st.floats(0.05, 0.5), st.integers(0, 5))
def test_grouped_comes_within_a_factor_of_two_of_the_share_or_says_that_no_groups_do(sizes, fraction, seed):
    groups = [str(name) for name, size in enumerate(sizes) for _ in range(size)]
    hashes = [str(index) for index in range(len(groups))]
    config, share = SplitConfig(by="grouped", fraction=fraction), fraction * len(groups)
    sums = [sum(some) for count in range(1, len(sizes) + 1) for some in combinations(sizes, count)]
    if any(share / 2 <= total <= 2 * share and total < len(groups) for total in sums):
        _, validation = split_indices(hashes, groups, config=config, seed=seed)
        assert share / 2 <= len(validation) <= 2 * share
    else:
        with pytest.raises(DataError, match="expected whole groups of about"):
            split_indices(hashes, groups, config=config, seed=seed)


def test_a_group_far_over_the_share_is_passed_over():
    groups = ["a"] * 90 + ["b"] * 8 + ["c"] * 2
    for seed in range(8):
        config = SplitConfig(by="grouped", fraction=0.1)
        _, validation = split_indices(list(map(str, range(100))), groups, config=config, seed=seed)
        assert {groups[index] for index in validation} == {"b", "c"}


def test_another_seed_gives_another_split():
    hashes = [str(index) for index in range(100)]
    splits = {
        tuple(split_indices(hashes, [""] * 100, config=SplitConfig(), seed=seed)[1]) for seed in range(10)
    }
    assert len(splits) == 10


def test_a_split_without_one_of_the_sets_is_refused():
    with pytest.raises(DataError, match="got 0 and 1"):
        split_indices(["x"], [""], config=SplitConfig(), seed=0)
    with pytest.raises(DataError, match="got 0 and 4"):
        split_indices(list("abcd"), [""] * 4, config=SplitConfig(frames=4), seed=0)


def test_a_group_that_is_not_there_is_refused():
    with pytest.raises(DataError, match=r"got 'x'; choose of: a, b"):
        split_indices(["1", "2"], ["a", "b"], config=SplitConfig(by="grouped", groups=("x",)), seed=0)


@pytest.mark.parametrize(
    "values",
    [
        {"fraction": 0.1, "frames": 3},
        {"fraction": 0.0},
        {"fraction": 1.0},
        {"frames": 0},
        {"groups": ("a",)},
        {"by": "grouped", "groups": ("a",), "frames": 3},
        {"by": "luck"},
        {"share": 0.1},
    ],
)
def test_a_configuration_that_contradicts_itself_is_refused(values):
    with pytest.raises(ValidationError):
        SplitConfig.model_validate(values)


def test_sets_that_share_a_structure_are_refused():
    check_disjoint({"1": "a:1"}, {"2": "b:1"})
    with pytest.raises(DataError, match=r"different structures for validation and test, got 1"):
        check_disjoint({"1": "a:1"}, {"1": "b:1"}, "validation and test")
    with pytest.raises(DataError, match=r"got 2 in both, first b:2 = a:1"):
        check_disjoint({"1": "a:1", "3": "a:3"}, {"2": "b:1", "1": "b:2", "3": "b:3"})


def test_splits_are_written_and_read(tmp_path):
    path = tmp_path / "splits.json"
    train = [SplitRow("a.xyz:1", "ff", "11"), SplitRow("a.xyz:2", "fe", "12")]
    parts = {"train": train, "validation": [SplitRow("a.xyz:3", "00", "13")]}
    write_splits(path, parts, seed=7)
    assert read_splits(path) == parts
    content = json.loads(path.read_text())
    assert content["format"] == 1
    assert content["seed"] == 7
    assert content["validation"] == [{"origin": "a.xyz:3", "hash": "00", "labels": "13"}]
    assert [file.name for file in tmp_path.iterdir()] == ["splits.json"]


def test_splits_of_older_versions_tell_nothing_of_labels(tmp_path):
    path = tmp_path / "splits.json"
    path.write_text('{"format": 1, "seed": 0, "train": [{"origin": "a.xyz:1", "hash": "ff"}]}')
    assert read_splits(path) == {"train": [SplitRow("a.xyz:1", "ff", "")]}


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": 2}', '{"format": 1, "train": [{"hash": "x"}]}'])
def test_a_file_that_holds_no_splits_is_refused(tmp_path, text):
    (tmp_path / "splits.json").write_text(text)
    with pytest.raises(DataError, match="expected splits of format 1"):
        read_splits(tmp_path / "splits.json")


def test_indices_are_ascending_arrays():
    parts = split_indices([str(i) for i in range(50)], [""] * 50, config=SplitConfig(), seed=0)
    for part in parts:
        assert part.dtype.kind == "i"
        np.testing.assert_array_equal(part, np.sort(part))


def test_stratified_takes_the_share_of_every_set_of_elements():
    hashes, groups = [f"h{number}" for number in range(60)], [""] * 60
    elements = [["Cu"], ["Al"], ["Cu", "Al"]] * 18 + [["Ni"]] * 6
    config = SplitConfig(fraction=0.1)
    for seed in range(5):
        _, held_out = split_indices(hashes, groups, config=config, seed=seed, elements=elements)
        taken = Counter(" ".join(elements[index]) for index in held_out)
        assert set(taken.values()) <= {1, 2}
        assert {"Cu", "Al", "Cu Al"} <= set(taken)


def test_rare_sets_of_elements_are_held_out_like_others():
    hashes, groups = [f"h{number}" for number in range(60)], [""] * 60
    elements = [[f"E{number % 30}"] for number in range(60)]
    plain = split_indices(hashes, groups, config=SplitConfig(), seed=0)
    divided = split_indices(hashes, groups, config=SplitConfig(), seed=0, elements=elements)
    assert [part.tolist() for part in plain] == [part.tolist() for part in divided]
