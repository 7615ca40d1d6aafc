"""A first configuration from data, and values that a configuration leaves to the data."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

from gnnpot.config.faults import faults_of
from gnnpot.data.reading import read_frames
from gnnpot.data.scales import LengthScales
from gnnpot.data.split import read_splits
from gnnpot.data.survey import Survey
from gnnpot.models import MODEL_CONFIGS
from gnnpot.potential.header import read_header
from gnnpot.potential.model_file import load_potential
from gnnpot.training.fit import Observer
from gnnpot.training.from_data import fitted
from gnnpot.training.init.first_config import first_config
from gnnpot.training.init.run import template_text
from gnnpot.training.run import train
from gnnpot.training.run_config import RunConfig
from gnnpot.training.run_graphs import read_graphs

DEMO = "gnnpot:silicon-demo.xyz@::8"
SMALL = {"kind": "schnet", "channels": 4, "num_filters": 4, "num_basis": 4, "num_interactions": 1}
ONE_EPOCH = {"max_epochs": 1, "batch_size": 10}


class Notes(Observer):
    """Keeps what is said before the training."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def note(self, text: str) -> None:
        self.texts.append(text)


@pytest.fixture
def no_report(monkeypatch) -> None:
    """Figures take longer than all the rest."""
    monkeypatch.setattr("gnnpot.training.run.write_report", lambda *_: None)


def copper(strain: float, seed: int, labels: tuple[str, ...] = ("energy", "forces", "stress")) -> Atoms:
    atoms = bulk("Cu", cubic=True)
    atoms.set_cell(atoms.cell * (1 + strain), scale_atoms=True)
    atoms.rattle(0.05, seed=seed)
    atoms.calc = EMT()
    values = {
        "energy": atoms.get_potential_energy(),
        "forces": atoms.get_forces(),
        "stress": atoms.get_stress(),
    }
    atoms.calc = SinglePointCalculator(atoms, **{name: values[name] for name in labels})
    return atoms


def settings(**values: object) -> RunConfig:
    whole = {"model": SMALL, "training": ONE_EPOCH, "train": DEMO, **values}
    return RunConfig.from_dict(whole, source="test")


def test_every_key_of_a_first_configuration_has_a_comment(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write("data.xyz", [copper(0.01 * (number % 5), number) for number in range(40)])
    code, text, err = command("init", "data.xyz")
    assert code == 0, err
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if re.match(r"\s*\w+:", line):
            assert "# " in line or lines[number - 1].lstrip().startswith("# "), line
    assert all(len(line) <= 100 for line in lines)
    config = RunConfig.from_dict(yaml.safe_load(text), source="init")
    assert config.open_names() == []
    assert config.trained_labels == ("energy", "forces", "stress")
    assert 4.0 < config.model.cutoff < 6.0
    assert config.test.fraction == config.validation.fraction == 0.1
    assert re.search(
        r"takes about [\d.]+ \w+ on this machine", " ".join(line.lstrip("# ") for line in lines[:6])
    )


def test_a_first_configuration_trains_without_editing(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write("data.xyz", [copper(0.01 * (number % 5), number) for number in range(40)])
    _, text, _ = command("init", "data.xyz", "--model", "schnet")
    Path("run.yaml").write_text(text)
    code, _, err = command("train", "run.yaml", "training.max_epochs=1")
    assert code == 0, err
    assert len(read_splits(Path("run/splits.json"))["test"]) == 4


@pytest.mark.parametrize("kind", MODEL_CONFIGS)
def test_the_template_of_a_model_leaves_lengths_and_weights_to_the_data(kind):
    config = RunConfig.from_dict(yaml.safe_load(template_text(kind)), source="template")
    assert set(config.model.FROM_DATA) == set(config.model.left_open)
    assert {"training.loss.energy", "training.loss.stress"} <= set(config.open_names())


def test_molecules_get_no_weight_on_stress_and_no_cutoff_below_the_least():
    frames = [molecule("CH3CH2OH") for _ in range(12)]
    for number, atoms in enumerate(frames):
        atoms.rattle(0.05, seed=number)
        atoms.info.update(group="", label_keys={"energy": "energy", "forces": "forces"})
    values = first_config("ani", ["ethanol.xyz"], Survey.of(frames))
    assert values["training"]["loss"] == {"energy": 4.0, "forces": 1.0, "stress": 0.0}
    assert values["model"]["cutoff"] == 5.0
    assert 0.8 < values["model"]["radial_shifts"][0] < 1.0
    assert "test" not in values  # too few to keep some apart


def test_length_scales_count_the_neighbors_of_a_crystal():
    scales = LengthScales.of([bulk("Cu", "fcc", a=3.6)])
    assert scales.nearest == pytest.approx(3.6 / 2**0.5)
    assert [round(scales.neighbors_within(radius)) for radius in (2.6, 3.7, 4.5)] == [12, 18, 42]
    assert scales.radius(42, least=3.0) == pytest.approx(4.5)
    assert LengthScales.of([Atoms("Cu", cell=[20.0] * 3, pbc=True)]) is None


@pytest.mark.usefixtures("no_report")
def test_what_is_left_to_the_data_is_written_as_numbers_and_a_resumed_run_keeps_it(tmp_path):
    config = settings(model={**SMALL, "cutoff": "2.1 nn"}, validation={"fraction": 0.2})
    first = train(config, tmp_path / "run")
    written = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    nearest = LengthScales.of(list(read_frames([DEMO]))).nearest
    assert written["model"]["cutoff"] == pytest.approx(2.1 * nearest, abs=1e-3)
    assert read_header(tmp_path / "run" / "model.safetensors").model["cutoff"] == written["model"]["cutoff"]
    assert load_potential(tmp_path / "run" / "model.safetensors").cutoff == written["model"]["cutoff"]
    assert written["training"]["loss"]["stress"] > 0
    assert RunConfig.from_dict(written, source="run").open_names() == []
    assert train(config, tmp_path / "run", resume=True) == first


def test_a_bare_configuration_means_what_init_writes(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write("data.xyz", [copper(0.01 * (number % 5), number) for number in range(40)])
    survey = Survey.of(read_frames(["data.xyz"]))
    graphs = read_graphs(RunConfig(model={"kind": "ani"}, train="data.xyz"), tmp_path / "run", cutoff=6.0)
    for kind in MODEL_CONFIGS:
        written = RunConfig.from_dict(first_config(kind, ["data.xyz"], survey), source="init")
        bare = RunConfig.from_dict({"model": kind, "train": "data.xyz"}, source="bare")
        assert {"training.optimizer.learning_rate", "training.max_epochs"} <= set(bare.open_names())
        found = fitted(bare, graphs)
        assert found.open_names() == []
        assert found.model == written.model
        assert found.training == written.training
        template = RunConfig.from_dict(yaml.safe_load(template_text(kind)), source="template")
        assert fitted(template, graphs).training == found.training
    assert (found.training.batch_size, found.training.max_epochs) == (3, 500)
    printed = yaml.safe_load(command("init", "data.xyz")[1])
    assert printed == first_config("ani", ["data.xyz"], survey)
    bare = RunConfig.from_dict({"model": "ani", "train": "data.xyz"}, source="bare")
    timed = RunConfig.from_dict({**bare.written(), "training": {"max_time": "3m"}}, source="timed")
    assert fitted(timed, graphs).training.max_epochs >= 500  # the time is the budget


def test_structures_from_which_nothing_is_learned_are_refused(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write("bare.xyz", [bulk("Cu", a=3.5 + 0.1 * number) for number in range(4)])
    code, out, err = command("init", "bare.xyz")
    assert (code, out) == (2, "")
    assert "expected energies or forces in bare.xyz, got none; name their keys" in err
    write("one.xyz", [copper(0.0, 0)])
    assert "expected two structures or more" in command("init", "one.xyz")[2]
    code, out, err = command("validate", "bare.xyz")
    assert code == 2
    assert out.count("none of 4 frames has a label") == 1
    assert err.endswith("gnnpot: expected data without faults, got 1; mend what is listed above\n")


def test_many_groups_are_counted_rather_than_listed(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frames = [copper(0.01 * (number % 3), number) for number in range(42)]
    for number, atoms in enumerate(frames):
        atoms.info["group"] = f"run {number // 2}"
    write("data.xyz", frames)
    _, out, _ = command("validate", "data.xyz")
    assert "three periods, in 21 groups" in " ".join(out.split())
    assert "\nrun 3" not in out


def test_numbers_that_yaml_takes_for_texts_are_numbers(tmp_path):
    (tmp_path / "run.yaml").write_text(
        "{model: {kind: ani, cutoff: 5e0}, train: a.xyz,"
        " training: {optimizer: {learning_rate: 5e-3, weight_decay: 1e-5}, loss: {energy: 1e1}}}"
    )
    config = RunConfig.from_yaml(tmp_path / "run.yaml")
    optimizer, loss = config.training.optimizer, config.training.loss
    assert (optimizer.learning_rate, optimizer.weight_decay) == (5e-3, 1e-5)
    assert (config.model.cutoff, loss.energy) == (5.0, 10.0)
    assert not {"training.optimizer.learning_rate", "training.loss.energy"} & set(config.open_names())


def test_labels_that_are_there_and_not_trained_on_are_named(tmp_path):
    notes = Notes()
    train(settings(training={**ONE_EPOCH, "loss": {"stress": 0.0}}), tmp_path / "run", observer=notes)
    assert "not trained on: stress labels of 25 structures" in notes.texts


@pytest.mark.usefixtures("no_report")
def test_labels_that_are_not_there_have_no_weight(tmp_path):
    frames = [copper(0.01 * (number % 3), number, ("energy", "forces")) for number in range(12)]
    write(tmp_path / "data.xyz", frames)
    train(settings(train=str(tmp_path / "data.xyz")), tmp_path / "run")
    written = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    loss = written["training"]["loss"]
    assert (loss["energy"] > 0, loss["forces"] > 0, loss["stress"]) == (True, True, 0.0)


@pytest.mark.usefixtures("no_report")
def test_a_test_set_is_taken_out_and_another_run_can_take_the_same(tmp_path):
    config = settings(test={"fraction": 0.2}, validation={"fraction": 0.2})
    metrics = train(config, tmp_path / "one")
    parts = read_splits(tmp_path / "one" / "splits.json")
    hashes = {name: {row.hash for row in rows} for name, rows in parts.items()}
    assert (metrics["split"], metrics["num_structures"], len(parts["test"])) == ("test", 5, 5)
    assert not hashes["test"] & (hashes["train"] | hashes["validation"])
    assert sum(map(len, hashes.values())) == 25
    same = {"inherit": str(tmp_path / "one" / "splits.json")}
    train(settings(test=same, validation=same, seed=7), tmp_path / "other")
    others = read_splits(tmp_path / "other" / "splits.json")
    assert {name: {row.hash for row in rows} for name, rows in others.items()} == hashes


def test_lengths_that_are_none_are_refused_in_one_sentence():
    with pytest.raises(Exception, match=r"such as 2\.1 nn, got '2\.1 mm'") as raised:
        RunConfig.model_validate({"model": {"kind": "ani", "cutoff": "2.1 mm"}, "train": "x.xyz"})
    assert "cutoff" in faults_of(raised.value, RunConfig)


@pytest.mark.usefixtures("no_report")
def test_groups_of_the_test_that_are_not_trained_on_are_told_apart(command, tmp_path):
    frames = [copper(0.01 * (number % 3), number) for number in range(16)]
    for number, atoms in enumerate(frames):
        atoms.info["group"] = "bulk" if number < 14 else "hot"
    write(tmp_path / "train.xyz", frames[:10])
    write(tmp_path / "test.xyz", frames[10:])
    config = {"model": SMALL, "training": ONE_EPOCH, "train": str(tmp_path / "train.xyz")}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump({**config, "test": str(tmp_path / "test.xyz")}))
    code, out, err = command("train", tmp_path / "run.yaml", "--output", tmp_path / "run")
    assert code == 0, err
    assert "warning: no structure of hot is trained on, and the test has some" in err
    assert re.search(r"hot †\s+2 ", out)
    assert re.search(r"all but †\s+4 ", out)
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["unseen_groups"] == ["hot"]
    assert metrics["without_unseen_groups"] == metrics["groups"]["bulk"]


@pytest.mark.usefixtures("no_report")
def test_more_structures_to_validate_than_to_train_on_is_a_warning(tmp_path):
    notes = Notes()
    train(settings(validation={"fraction": 0.7}), tmp_path / "run", observer=notes)
    assert any("18 structures for validation and only 7 to train on" in text for text in notes.texts)
