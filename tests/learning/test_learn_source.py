"""A loop that starts from a potential of another element, without a label of its own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.io import read, write
from learning_examples import KilledError, die_after_each_phase, emt_labeled, loop_values

from gnnpot.calculator.calculator import GNNPotCalculator
from gnnpot.errors import ConfigError
from gnnpot.learning.config import LearnConfig
from gnnpot.learning.run import learn
from gnnpot.potential.model_file import load_potential
from gnnpot.training.run import train
from gnnpot.training.run_config import RunConfig

pytestmark = pytest.mark.xdist_group("learn_source")  # what they share is made once


def nickel(seed: int):
    atoms = bulk("Ni", cubic=True, a=3.52)
    atoms.rattle(0.1, seed=seed)
    return emt_labeled(atoms)


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """A small committee of nickel."""
    folder = tmp_path_factory.mktemp("source")
    write(folder / "ni.xyz", [nickel(seed) for seed in range(12)])
    potential = loop_values()["potential"]
    values = {**potential, "train": str(folder / "ni.xyz"), "members": {"count": 2}}
    train(RunConfig.from_dict(values, source="test"), folder / "run")
    return folder / "run"


def config_of(source: Path, **changes) -> LearnConfig:
    values = loop_values(
        source=str(source), map={"Cu": "Ni"}, lattice_scale=[3.61, 3.52], initial=None, rounds=1, **changes
    )
    values["potential"] = {**values["potential"]}
    del values["potential"]["model"]
    return LearnConfig.from_dict(values, source="test")


@pytest.fixture(scope="module")
def learned(source, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("loop") / "loop"
    learn(config_of(source), output)
    return output


def test_the_first_structures_are_sampled_on_the_source_carried_to_the_new_element(learned, source):
    first = learned / "round-00"
    frames = read(first / "runs" / "frames.xyz", ":")
    assert len(frames) == 10
    labels = read(first / "labels" / "labels.xyz", ":")
    assert {symbol for atoms in labels for symbol in atoms.symbols} == {"Cu"}
    energy = labels[-1].get_potential_energy()
    labels[-1].calc = EMT()
    assert energy == pytest.approx(labels[-1].get_potential_energy(), abs=1e-6)
    old, new = load_potential(source / "members" / "1"), load_potential(first / "carried" / "1.safetensors")
    assert new.elements == ("Cu",)
    assert new.cutoff == pytest.approx(old.cutoff * 3.61 / 3.52)


def test_members_start_from_the_source_with_reference_energies_of_the_labels(learned):
    first = learned / "round-00"
    carried, start = (
        load_potential(first / name / "0.safetensors").model.state_dict() for name in ("carried", "start")
    )
    assert all((carried[name] == start[name]).all() for name in carried)
    labels = read(first / "labels" / "labels.xyz", ":")
    calculator = GNNPotCalculator(first / "start" / "0.safetensors")
    left = [atoms.get_potential_energy() - calculator.get_potential_energy(atoms) for atoms in labels]
    assert np.mean(left) == pytest.approx(0.0, abs=1e-4)
    later = learned / "round-01" / "members" / "0" / "config.yaml"
    assert "round-01/start/0.safetensors" in later.read_text()  # anew from the source, by default
    result = json.loads((learned / "result.json").read_text())
    assert result["labels"] == 10 + 3
    assert "started from" in (learned / "report.html").read_text()


def test_killed_after_each_phase_it_ends_with_the_same_labels(learned, source, tmp_path, monkeypatch):
    killed = die_after_each_phase(monkeypatch)
    output = tmp_path / "loop"
    while True:
        try:
            learn(config_of(source), output, resume=True)
            break
        except KilledError:
            pass
    assert len(killed) == 3 + 5
    for name in ("round-00", "round-01"):
        path = Path(name) / "labels" / "labels.xyz"
        assert (output / path).read_text() == (learned / path).read_text()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"source": None, "potential": loop_values()["potential"]},
            "expected a source for map, lattice_scale or later.start: source, got none",
        ),
        (
            {"source": None, "map": {}, "lattice_scale": None, "potential": loop_values()["potential"]},
            "expected initial, source or potential.train to train on first, got none",
        ),
        ({"lattice_scale": "fit"}, r"expected a number above 0, or two lattice constants \[target, source\]"),
        ({"lattice_scale": 3.0}, "expected a lattice scale between 0.5 and 2, got 3"),
        ({"members": {"count": 2, "vary": ["weights"]}}, "expected members that vary in split or order"),
        ({"potential": {"model": {"kind": "ani"}}}, "expected the model of .*, got another model.kind"),
    ],
)
def test_mistakes_are_refused_before_anything_runs(source, changes, message):
    values = loop_values(source=str(source), map="Cu=Ni", lattice_scale=1.02, initial=None)
    values["potential"] = {name: value for name, value in values["potential"].items() if name != "model"}
    with pytest.raises(ConfigError, match=message):
        LearnConfig.from_dict({**values, **changes}, source="test")


def test_an_element_that_the_map_leaves_fresh_is_refused(source, tmp_path):
    values = loop_values(source=str(source), map={"Cu": "fresh"}, initial=None)
    del values["potential"]["model"]
    with pytest.raises(ConfigError, match="expected elements that start from the source, got Cu fresh"):
        learn(LearnConfig.from_dict(values, source="test"), tmp_path / "loop")
