"""A mistake of the user is one line and exit code 2, and nothing is written over."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import yaml
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write
from cli_examples import DEMO
from potentials import small_potential


@pytest.fixture
def refused(command, config, tmp_path):
    """Train with a changed configuration, which must be refused in one line; gives the line."""

    def run(*words: str, **changes: Any) -> str:
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump({**config, **changes}))
        code, out, err = command("train", path, "--output", tmp_path / "run", *words)
        lines = [line for line in err.splitlines() if line.startswith("gnnpot:")]
        assert (code, out, len(lines)) == (2, "", 1), err
        assert "Traceback" not in err
        assert not (tmp_path / "run" / "model.safetensors").exists()
        return lines[0]

    return run


def relabeled(atoms: Atoms, **labels: Any) -> Atoms:
    changed = atoms.copy()
    changed.calc = SinglePointCalculator(changed, **{**atoms.calc.results, **labels})
    return changed


def test_a_missing_file(refused, tmp_path):
    assert "nowhere.xyz" in refused(train=str(tmp_path / "nowhere.xyz"))


def test_a_missing_configuration(command, tmp_path):
    code, _, err = command("train", tmp_path / "none.yaml")
    assert (code, err.count("\n")) == (2, 1)
    assert "expected a configuration file" in err


def test_an_empty_file(refused, tmp_path):
    (tmp_path / "empty.xyz").touch()
    assert "empty.xyz" in refused(train=str(tmp_path / "empty.xyz"))


def test_an_unknown_key(refused):
    assert "did you mean 'max_epochs'?" in refused("training.max_epoch=3")
    assert "did you mean 'cutoff'?" in refused("model.cutof=3")
    assert "did you mean 'training.max_epochs'?" in refused("max_epochs=3")


def test_an_unknown_model(refused):
    assert "no model is called 'shcnet'; did you mean 'schnet'?" in refused(model={"kind": "shcnet"})


@pytest.mark.parametrize("cutoff", ["0", "-1", ".nan"])
def test_a_cutoff_that_is_not_positive(refused, cutoff):
    assert "cutoff" in refused(f"model.cutoff={cutoff}")


@pytest.mark.parametrize(
    "name", ["model.cutoff", "repulsion.reach", "training.optimizer.learning_rate", "training.loss.forces"]
)
def test_a_number_that_is_not_finite(refused, name):
    assert f"{name}: expected a finite number, got inf" in refused(f"{name}=.inf")


def test_validation_structures_that_are_in_training(refused, frames, tmp_path):
    write(tmp_path / "validation.xyz", frames[:3])
    assert "expected different structures" in refused(validation=str(tmp_path / "validation.xyz"))


def test_test_structures_that_are_in_training(refused, frames, tmp_path):
    write(tmp_path / "test.xyz", frames)
    assert "expected different structures for training and test" in refused(test=str(tmp_path / "test.xyz"))


def test_structures_that_pick_the_model_do_not_test_it(refused, frames, tmp_path):
    write(tmp_path / "train.xyz", frames[5:])
    write(tmp_path / "validation.xyz", frames[:5])
    write(tmp_path / "test.xyz", frames[3:5])
    files = {name: str(tmp_path / f"{name}.xyz") for name in ("validation", "test")}
    assert "expected different structures for validation and test, got 2 in both" in refused(**files)


def test_values_that_make_no_sense(refused):
    assert "expected YAML after training.loss=" in refused("training.loss={energy: 1")
    assert "expected symbols of elements, got 'Xx'" in refused(reference_energies={"Xx": 1.0})
    assert "training.max_time" in refused("training.max_time=-1")
    assert "expected a kind of model, got none" in refused("model.kind=null")
    said = refused(validation={"frames": 2, "fraction": 0.1})
    assert said.endswith("expected fraction or frames, got both; remove one")
    assert "did you mean 'model.hidden'" not in refused("model.hidden=3")


def test_a_file_without_any_label(refused, frames, tmp_path):
    for atoms in frames:
        atoms.calc = None
    write(tmp_path / "train.xyz", frames)
    assert "name their keys with keys.energy" in refused()


def test_forces_without_energies(refused, frames, tmp_path):
    for atoms in frames:
        del atoms.calc.results["energy"]
    write(tmp_path / "train.xyz", frames)
    training = {"max_epochs": 1, "loss": {"energy": 1.0}}
    assert "set training.loss.energy=0" in refused(training=training)


def test_a_metric_without_labels_does_not_pick_the_model(refused, config, frames, tmp_path):
    for atoms in frames:
        del atoms.calc.results["stress"]
    write(tmp_path / "train.xyz", frames)
    loss = {"energy": 1.0, "forces": 1.0}
    said = refused(training={"max_epochs": 1, "loss": loss, "select_by": "stress"})
    assert "expected stress labels on validation structures" in said
    assert not (tmp_path / "run" / "config.yaml").exists()  # the folder can be used


def test_a_run_goes_on_with_its_own_structures_and_checkpoint(command, config, frames, tmp_path):
    path, output = tmp_path / "config.yaml", tmp_path / "run"
    path.write_text(yaml.safe_dump(config))
    assert command("train", path, "--output", output)[0] == 0
    splits = (output / "splits.json").read_bytes()
    write(tmp_path / "train.xyz", frames[1:])
    words = ["train", path, "--output", output, "--resume", "training.max_epochs=2"]
    code, _, err = command(*words)
    assert code == 2
    assert "expected the structures of the run" in err
    assert (output / "splits.json").read_bytes() == splits
    flipped = relabeled(frames[3], forces=-frames[3].get_forces())
    write(tmp_path / "train.xyz", [*frames[:3], flipped, *frames[4:]])
    code, _, err = command(*words)
    assert code == 2
    assert "expected the labels of the run" in err
    assert f"got others on 1 of {len(frames)} structures, first" in err
    assert "train.xyz:4; resume with" in err
    assert (output / "splits.json").read_bytes() == splits
    write(tmp_path / "train.xyz", frames)
    checkpoint = (output / "last.ckpt").read_bytes()
    (output / "last.ckpt").write_bytes(checkpoint[: len(checkpoint) // 2])
    code, _, err = command(*words)
    assert code == 2
    assert "expected a whole checkpoint" in err
    (output / "last.ckpt").write_bytes(checkpoint)
    assert command(*words)[0] == 0


def test_labels_that_are_missing(refused, frames, tmp_path):
    for atoms in frames:
        del atoms.calc.results["stress"]
    write(tmp_path / "train.xyz", frames)
    assert "expected stress labels" in refused()


@pytest.mark.parametrize(("label", "value"), [("energy", np.nan), ("forces", np.inf)])
def test_labels_that_are_not_finite(refused, frames, tmp_path, label, value):
    bad = np.full((8, 3), value) if label == "forces" else value
    write(tmp_path / "train.xyz", [*frames[:6], relabeled(frames[6], **{label: bad}), *frames[7:]])
    assert "train.xyz:7" in refused()


def test_an_element_that_training_lacks(refused, frames, tmp_path):
    atoms = frames[0].copy()
    atoms.symbols[0] = "Ge"
    atoms.rattle(0.01, seed=1)
    write(tmp_path / "validation.xyz", relabeled_like(atoms, frames[0]))
    assert "got also Ge" in refused(validation=str(tmp_path / "validation.xyz"))


def relabeled_like(atoms: Atoms, other: Atoms) -> Atoms:
    atoms.calc = SinglePointCalculator(atoms, **other.calc.results)
    return atoms


def test_a_folder_that_holds_a_run(command, refused, config, tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    assert command("train", path, "--output", tmp_path / "run")[0] == 0
    before = {file: file.read_bytes() for file in (tmp_path / "run").iterdir() if file.is_file()}
    code, _, err = command("train", path, "--output", tmp_path / "run")
    assert code == 2
    assert "use --resume or another --output" in err
    assert before == {file: file.read_bytes() for file in before}


def test_a_device_that_is_not_there(refused):
    assert "expected a device of cpu" in refused("training.device=cuda:7")


def test_a_model_file_that_is_none(command, tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"nonsense")
    code, out, err = command("evaluate", tmp_path / "model.safetensors", DEMO)
    assert (code, out) == (2, "")
    assert "model.safetensors" in err


def test_isolated_atoms_are_no_test(command, frames, tmp_path):
    from gnnpot.potential.model_file import save_potential

    save_potential(small_potential("schnet", elements=("Si",)), tmp_path / "model.safetensors")
    atom = Atoms("Si", info={"config_type": "IsolatedAtom"})
    atom.calc = SinglePointCalculator(atom, energy=-100.0)
    write(tmp_path / "test.xyz", [atom, frames[0]])
    words = ("evaluate", tmp_path / "model.safetensors", tmp_path / "test.xyz")
    metrics = json.loads(command(*words, "--json")[1])
    assert (metrics["num_structures"], metrics["num_isolated"]) == (1, 1)
    assert "isolated atoms left out  1" in command(*words)[1]


def test_an_element_that_the_potential_never_saw(command, tmp_path):
    from gnnpot.potential.model_file import save_potential

    save_potential(small_potential("schnet", elements=("C", "H")), tmp_path / "model.safetensors")
    code, _, err = command("evaluate", tmp_path / "model.safetensors", DEMO)
    assert code == 2
    assert "got Si" in err


def test_open_structures_where_stress_is_trained(refused, frames, tmp_path):
    molecule = Atoms("Si2", [[0, 0, 0], [2.3, 0, 0]])
    molecule.calc = SinglePointCalculator(molecule, energy=-214.0, forces=np.zeros((2, 3)))
    write(tmp_path / "train.xyz", [*frames, molecule])
    assert "train.xyz:26" in refused()


def test_a_cell_without_volume(refused, frames, tmp_path):
    flat = frames[3].copy()
    flat.cell[2] = flat.cell[1]
    write(tmp_path / "train.xyz", [*frames, relabeled_like(flat, frames[3])])
    assert "volume" in refused()


def test_two_atoms_on_one_spot(refused, frames, tmp_path):
    close = frames[3].copy()
    close.positions[1] = close.positions[0]
    write(tmp_path / "train.xyz", [*frames, relabeled_like(close, frames[3])])
    assert "train.xyz:26" in refused()


def test_a_flipped_stress_sign(refused, tmp_path):
    flipped = [relabeled(atoms, stress=-atoms.get_stress()) for atoms in read(DEMO, ":100")]
    write(tmp_path / "train.xyz", flipped)
    assert "keys.stress_sign" in refused()


@pytest.mark.parametrize("words", [("models",), ("validate",)])
def test_a_mistake_of_thousands_of_characters(command, words):
    code, _, err = command(*words, "nothing=" + 5000 * "9")
    assert (code, err.count("\n")) == (2, 1)
    assert "nothing=999" in err
    assert len(err) < 1000
