"""``gnnpot transfer`` and ``transfer-structures``: what they write, and what they refuse in one line."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write
from potentials import small_potential
from safetensors import safe_open
from safetensors.torch import save_file

from gnnpot.potential.model_file import save_potential
from gnnpot.training.run_config import shipped_configs
from gnnpot.transferring.config import TransferConfig

DEMO = Path(str(files("gnnpot.configs"))) / "silicon-demo.xyz"


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("source") / "silicon.safetensors"
    save_potential(small_potential("schnet"), path)
    return path


@pytest.fixture
def config(tmp_path) -> dict[str, Any]:
    frames = read(DEMO, "30:46:2")
    for atoms in frames:
        labels = atoms.calc.results
        atoms.symbols[:] = "Ge"
        atoms.calc = SinglePointCalculator(atoms, **labels)
    write(tmp_path / "train.xyz", frames)
    return {
        "training": {"max_epochs": 1, "loss": {"energy": 1.0, "forces": 1.0}},
        "train": str(tmp_path / "train.xyz"),
        "validation": {"frames": 2},
    }


@pytest.fixture
def refused(command, config, source, tmp_path):
    """A transfer that must be refused in one line; gives the line."""

    def run(*words: object, start: Path | None = source, **changes: Any) -> str:
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump({**config, **changes}))
        given = [] if start is None else ["--from", start]
        code, out, err = command("transfer", path, *given, "--output", tmp_path / "run", *words)
        lines = [line for line in err.splitlines() if line.startswith("gnnpot:")]
        assert (code, out, len(lines)) == (2, "", 1), err
        assert "Traceback" not in err
        assert not (tmp_path / "run" / "model.safetensors").exists()
        return lines[0]

    return run


def test_a_transfer_prints_and_writes_its_results(command, config, source, tmp_path):
    path, output = tmp_path / "config.yaml", tmp_path / "run"
    path.write_text(yaml.safe_dump(config))
    words = ["transfer", path, "--from", source, "--map", "Si=Ge", "--output", output]
    code, out, err = command(*words, "lattice_scale=[5.66, 5.43]", "--json")
    assert code == 0, err
    result = json.loads(out)
    assert result == json.loads((output / "transfer.json").read_text())
    assert result["map"] == {"Ge": "Si"}
    assert result["lattice_scale"] == pytest.approx(5.66 / 5.43)
    assert "Si=Ge was read as Ge=Si" in err
    assert "source, Ge=Si" in " ".join(err.split())
    code, out, err = command(*words, "lattice_scale=[5.66, 5.43]", "--resume")
    assert code == 0, err
    assert "before training" in out
    code, _, err = command(*words)
    assert code == 2
    assert "use --resume or another --output" in err


def test_a_map_from_an_element_that_the_source_lacks(refused):
    assert "an element of the source (Si), nearest or fresh, got 'Sn'" in refused("--map", "Ge=Sn")


def test_a_target_element_without_data(refused):
    assert "got Al, which no structure has" in refused("--map", "Ge=Si,Al=Si")


def test_freezing_everything(refused):
    words = "training.freeze=[embedding, interaction 1, interaction 2, readout]"
    assert "expected a group that trains from the first epoch" in refused(words)


@pytest.mark.parametrize("value", ["0", "-1", "[5.6, 0]", "[1, 2, 3]", "fitt", ".nan", "true"])
def test_a_lattice_scale_that_is_none(refused, value):
    assert "lattice_scale: expected a number above 0" in refused(f"lattice_scale={value}")


@pytest.mark.parametrize("value", ["100", "0.01", "[575.4, 5.469]"])
def test_a_lattice_scale_that_no_lattice_has(refused, value):
    assert "expected a lattice scale between 0.5 and 2" in refused(f"lattice_scale={value}")


def test_a_transfer_goes_on_from_its_own_source(command, config, source, tmp_path):
    path, own = tmp_path / "config.yaml", tmp_path / "own.safetensors"
    path.write_text(yaml.safe_dump(config))
    own.write_bytes(source.read_bytes())
    words = ["transfer", path, "--from", own, "--map", "Ge=Si", "--output", tmp_path / "run"]
    assert command(*words)[0] == 0
    save_potential(small_potential("schnet", seed=2), own)
    code, _, err = command(*words, "--resume")
    assert code == 2
    assert "expected the source that the transfer in" in err


def test_what_is_no_model_or_source(refused):
    assert "expected a model section, got 'ani'" in refused(model="ani")
    assert "no key is called hidden" in refused("model.hidden=3")
    assert "expected source to be a model file, got 5" in refused(start=None, source=5)
    said = refused("stages=[{freez: [first]}]")
    assert said.endswith("stage 1: no key is called freez; did you mean 'freeze'?")


def test_a_source_of_a_newer_format(refused, source, tmp_path):
    with safe_open(source, framework="pt") as file:
        header = json.loads(file.metadata()["gnnpot"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    newer = {"gnnpot": json.dumps({**header, "format": 99})}
    save_file(tensors, tmp_path / "newer.safetensors", metadata=newer)
    assert "of format 99" in refused(start=tmp_path / "newer.safetensors")


def test_no_source_and_no_model(refused):
    assert "give --from MODEL" in refused(start=None)


def test_another_model_than_that_of_the_source(refused):
    assert "got another model.kind" in refused(model={"kind": "ani"})
    assert "got another model.channels" in refused("model.channels=99")


def test_labels_that_the_loss_asks_for(refused, config):
    frames = read(config["train"], ":")
    for atoms in frames:
        del atoms.calc.results["stress"]
    write(config["train"], frames)
    assert "expected stress labels" in refused("training.loss.stress=1")
    stages = [{}, {"loss": {"kind": "low2high"}}]
    assert "expected stress labels" in refused(stages=stages)


def test_an_unknown_group(refused):
    assert "did you mean 'readout'?" in refused("training.freeze=[readuot]")


def test_a_stage_is_overridden_by_its_number():
    path = shipped_configs()["low2high"]
    two = TransferConfig.read(path, ["stages.1.max_epochs=7", "training.batch_size=3"])
    assert [training.max_epochs for training in two.trainings] == [200, 7]
    assert [training.batch_size for training in two.trainings] == [3, 3]
    assert two.trainings[1].freeze == ("first", "last")


def test_an_unknown_key_of_a_stage(refused):
    assert "did you mean 'max_epochs'?" in refused(stages=[{"max_epoch": 3}])


def test_a_precision_of_one_stage_alone(refused):
    assert "stage 2: expected dtype float32 in every stage" in refused(stages=[{}, {"dtype": "float64"}])


def test_comparing_with_scratch_needs_a_source(refused):
    model = {"kind": "schnet", "cutoff": 4.0}
    assert "give --from" in refused("--compare-scratch", start=None, model=model)


def test_structures_are_renamed_and_scaled_and_lose_their_labels(command, tmp_path):
    path, out = tmp_path / "silicon.xyz", tmp_path / "aluminum.xyz"
    write(path, read(DEMO, ":3"))
    assert command("transfer-structures", path, out, "--map", "Si=Al", "--scale", "4.05/5.4")[0] == 0
    before, after = read(path, ":"), read(out, ":")
    assert len(after) == 3
    for old, new in zip(before, after, strict=True):
        assert set(new.symbols) == {"Al"}
        assert new.calc is None
        np.testing.assert_allclose(new.cell, 0.75 * old.cell, atol=1e-7)
        np.testing.assert_allclose(new.positions, 0.75 * old.positions, atol=1e-7)
    assert command("transfer-structures", path, out)[0] == 2  # it is there


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--map", "Ni=Al"], "got Ni"),
        (["--map", "Si=Aa"], "no element is called 'Aa'"),
        (["--scale", "0"], "expected a scale above 0"),
        (["--scale", "1/0"], "expected a scale above 0"),
    ],
)
def test_structures_that_cannot_be_transferred(command, tmp_path, words, message):
    code, _, err = command("transfer-structures", DEMO, tmp_path / "new.xyz", *words)
    assert (code, err.count("\n")) == (2, 1)
    assert message in err
    assert not (tmp_path / "new.xyz").exists()


def test_the_shipped_transfers_are_read(source):
    two = TransferConfig.read(shipped_configs()["low2high"])
    assert [training.select_by for training in two.trainings] == ["energy", "stress"]
    assert two.trainings[1].freeze == ("first", "last")
    assert two.trainings[0].loss.model_dump() == {
        "kind": "low2high", "energy": 1.0, "forces": 0.1, "stress": 0.025
    }  # fmt: skip
    assert TransferConfig.read(shipped_configs()["transfer-ge"], source=source).map == {"Ge": "Si"}
