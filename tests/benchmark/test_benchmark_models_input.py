"""Mistakes in what a comparison of models is given are one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from ase.build import bulk
from ase.io import read, write
from model_comparisons import DEMO, labeled, run


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
