"""A constant pressure of the stress labels is found and taken off, and it is said."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
import torch
from ase import Atoms
from inspection_examples import copper, frame

from gnnpot import units
from gnnpot.data.checks.inspection import inspect
from gnnpot.data.dataset import GraphDataset
from gnnpot.data.keys import LabelKeys
from gnnpot.data.offset_table import OffsetTable
from gnnpot.data.store import GraphStore
from gnnpot.data.stress_offset import stress_offsets
from gnnpot.data.structure_set import Structures
from gnnpot.errors import DataError
from gnnpot.evaluation.stress_labels import other_stress_offset
from gnnpot.potential.header import read_header
from gnnpot.training.fit import Observer
from gnnpot.training.run import train
from gnnpot.training.run_config import RunConfig

OFFSET, VOLUME = 0.02, 11.8  # eV/Å³ at the volume per atom of copper (Å³)
AUTO, FIT, NONE = (LabelKeys(stress_offset=word) for word in ("auto", "fit", "none"))


def shifted(offset: float = OFFSET, *, rattle: float = 0.01, file: str = "a.xyz") -> list[Atoms]:
    """Strained copper whose stress labels have a pressure too much, as its atoms are dense."""
    frames = []
    for number, atoms in enumerate(copper(60, strain=0.03, rattle=rattle), start=1):
        results = dict(atoms.calc.results)
        excess = offset * VOLUME * len(atoms) / atoms.get_volume()
        results["stress"] = results["stress"] + excess * np.array([1, 1, 1, 0, 0, 0])
        bare = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True)
        frames.append(frame(bare, number, file, **results))
    return frames


def test_energies_win_where_the_user_says_nothing():
    checks = inspect(shifted()).stress_checks
    all_labels = stress_offsets(checks, AUTO)
    (found,) = all_labels.offsets
    assert found.value == pytest.approx(OFFSET, abs=4 * found.error)
    assert found.error < 0.2 * units.GPa
    assert found.per_atom == pytest.approx(found.value * VOLUME, rel=0.02)
    assert all_labels.table.of("other.xyz", "bulk") == found.per_atom
    assert str(all_labels).startswith("+3.")
    assert str(all_labels).endswith("say (a.xyz); keys.stress_offset: none leaves them as they are")
    assert stress_offsets(checks, NONE) is None


@pytest.mark.parametrize("strain", [0.03, 0.1])
def test_nothing_is_taken_off_labels_that_are_right(strain):
    report = inspect(copper(60, strain=strain, rattle=0.02))
    assert stress_offsets(report.stress_checks, AUTO) is None
    assert not any("GPa off" in warning for warning in report.warnings)
    (fitted,) = stress_offsets(report.stress_checks, FIT).offsets
    assert abs(fitted.value) < 0.5 * units.GPa


def test_a_fit_without_strained_frames_is_refused():
    with pytest.raises(DataError, match=r"expected strained frames with energies and stress in a.xyz to fit"):
        stress_offsets(inspect(copper(3, strain=0.03, rattle=0.01)).stress_checks, FIT)
    with pytest.raises(DataError, match="expected strained frames with energies and stress in the training"):
        stress_offsets([], FIT)


def two_methods() -> list[Atoms]:
    return [*shifted(), *shifted(-OFFSET, rattle=0.011, file="b.xyz")]


@pytest.mark.parametrize("keys", [AUTO, FIT])
def test_files_of_two_methods_have_an_offset_each(keys):
    found = stress_offsets(inspect(two_methods()).stress_checks, keys)
    table, expected = found.table, OFFSET * VOLUME
    assert table.of("a.xyz", "any") == pytest.approx(expected, rel=0.15)
    assert table.of("b.xyz", "any") == pytest.approx(-expected, rel=0.15)
    assert table.of("c.xyz", "any") == 0.0
    assert "eV/atom in a.xyz; -0.2" in found.setting
    assert "GPa off those of a.xyz, -3." in str(found)
    assert "all other labels stay as they are" in str(found)


def test_groups_of_two_methods_in_one_file_have_an_offset_each():
    frames = [*shifted(), *shifted(0.0, rattle=0.011)]
    for place, atoms in enumerate(frames):
        atoms.info["group"] = "dense" if place < 60 else "right"
    table = stress_offsets(inspect(frames).stress_checks, AUTO).table
    assert table.of("a.xyz", "dense") == pytest.approx(OFFSET * VOLUME, rel=0.15)
    assert table.of("a.xyz", "right") == table.of("a.xyz", "other") == 0.0


def test_right_labels_of_another_file_are_left_alone():
    """Of the test, too, which training would otherwise have judged by labels that it made wrong."""
    right = inspect(shifted(0.0, rattle=0.011, file="b.xyz")).stress_checks
    wrong = inspect(shifted()).stress_checks
    for found in (stress_offsets([*wrong, *right], AUTO), stress_offsets(wrong, AUTO, judged=right)):
        assert found.table.of("a.xyz", "") == pytest.approx(OFFSET * VOLUME, rel=0.15)
        assert found.table.of("b.xyz", "") == 0.0


def test_each_file_may_say_what_becomes_of_its_labels():
    checks = inspect(two_methods()).stress_checks
    table = stress_offsets(checks, AUTO, {"b.xyz": NONE}).table
    assert (table.of("b.xyz", ""), table.of("c.xyz", "")) == (0.0, table.of("a.xyz", ""))
    assert table.of("a.xyz", "") > 0.2
    table = stress_offsets(checks, NONE, {"b.xyz": FIT}).table
    assert (table.of("a.xyz", ""), table.of("c.xyz", "")) == (0.0, 0.0)
    assert table.of("b.xyz", "") < -0.2
    with pytest.raises(DataError, match=r"stress in c.xyz to fit keys.stress_offset"):
        stress_offsets(checks, AUTO, {"c.xyz": FIT})


def test_a_store_gives_labels_without_the_offset_and_keeps_its_files(tmp_path):
    frames = shifted()[:3]
    store = GraphStore.build(frames, 3.0, tmp_path / "graphs")
    less = store.without_stress_offset(OffsetTable(0.3, {("a.xyz", None): 0.2}))
    expected = store.stress - 0.8 * np.eye(3) / np.abs(np.linalg.det(store.cell))[:, None, None]
    for one in (less, pickle.loads(pickle.dumps(less)), less.with_cutoff(4.0)):
        np.testing.assert_allclose(one.stress, expected, atol=1e-15)
    graph = GraphDataset(less, [1], dtype=torch.float64)[0]
    np.testing.assert_allclose(graph.stress[0], expected[1], atol=1e-12)
    np.testing.assert_array_equal(GraphStore.open(tmp_path / "graphs").stress, store.stress)


class Notes(Observer):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def note(self, text: str) -> None:
        self.texts.append(text)


@pytest.mark.parametrize(("word", "kept"), [("auto", "eV/atom"), ("none", "none"), ("2 GPa", "2 GPa")])
def test_a_training_takes_the_offset_off_says_so_and_keeps_it(tmp_path, monkeypatch, word, kept):
    monkeypatch.setattr("gnnpot.training.run.write_report", lambda *_: None)
    config = RunConfig.from_dict(
        {
            "model": {
                "kind": "schnet",
                "cutoff": 3.0,
                "channels": 4,
                "num_filters": 4,
                "num_interactions": 1,
            },
            "training": {"max_epochs": 1, "loss": {"energy": 1.0, "forces": 1.0, "stress": 1.0}},
            "keys": {"stress_offset": word},
            "train": ["memory:"],
            "test": ["memory:"],
        },
        source="test",
    )
    notes, frames = Notes(), shifted()
    test = shifted(rattle=0.012)[:2]
    train(config, tmp_path, structures=Structures(train=frames, test=test), observer=notes)
    model = tmp_path / "model.safetensors"
    assert read_header(model).provenance["stress_offset"].endswith(kept)
    said = [text for text in notes.texts if text.startswith("stress: ")]
    assert bool(said) == (word == "auto")
    advice = other_stress_offset(model, LabelKeys())
    assert advice.startswith("without ") == (word != "none")
    assert other_stress_offset(model, LabelKeys(stress_offset="none")) == ""
    assert json.loads((tmp_path / "metrics.json").read_text())["num_structures"] == 2
