"""A file is read once and a neighbor list is built once, whatever a run does with the structures."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write
from potentials import small_potential
from vesin import NeighborList

from gnnpot.data import reading
from gnnpot.data.columns import COLUMNS
from gnnpot.data.split import read_splits
from gnnpot.data.structure_set import Structures
from gnnpot.errors import ConfigError, DataError
from gnnpot.evaluation import stability
from gnnpot.potential.model_file import load_potential, save_potential
from gnnpot.training.fit import Observer
from gnnpot.training.run import train
from gnnpot.training.run_config import RunConfig
from gnnpot.training.run_graphs import read_graphs
from gnnpot.transferring.config import TransferConfig
from gnnpot.transferring.run import transfer

DEMO = Path(str(files("gnnpot.configs"))) / "silicon-demo.xyz"
TRAINING = {"max_epochs": 1, "batch_size": 10, "loss": {"energy": 1.0, "forces": 1.0}}
MODEL = {"kind": "schnet", "cutoff": 4.0, "channels": 4, "num_filters": 4, "num_interactions": 1}


class Counts:
    """How often each file was read, and how many neighbor lists were built."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.readings = Counter[str]()
        self.lists = 0


@pytest.fixture
def counts(monkeypatch) -> Counts:
    counts, compute, raw_frames = Counts(), NeighborList.compute, reading._raw_frames

    def counted(self, *arguments: Any, **options: Any) -> Any:
        counts.lists += 1
        return compute(self, *arguments, **options)

    def read_again(path: Path) -> Iterator[Atoms]:
        counts.readings[path.name] += 1
        return raw_frames(path)

    monkeypatch.setattr(NeighborList, "compute", counted)
    monkeypatch.setattr(reading, "_raw_frames", read_again)
    return counts


@pytest.fixture
def no_report(monkeypatch) -> None:
    """Figures take longer than all the rest."""
    for module in ("training", "transferring"):
        monkeypatch.setattr(f"gnnpot.{module}.run.write_report", lambda *_: None)


@pytest.fixture
def data(tmp_path) -> dict[str, str]:
    """Fifty structures to train on and ten to test."""
    write(tmp_path / "train.xyz", read(DEMO, "::4"))
    write(tmp_path / "test.xyz", read(DEMO, "1::20"))
    return {"train": str(tmp_path / "train.xyz"), "test": str(tmp_path / "test.xyz")}


def settings(**values: Any) -> RunConfig:
    whole = {"model": MODEL, "training": TRAINING, "validation": {"frames": 5}, **values}
    return RunConfig.from_dict(whole, source="test")


def test_a_training_reads_each_file_once_and_builds_each_list_once(data, tmp_path, counts):
    metrics = train(settings(**data), tmp_path / "run")
    assert metrics["num_structures"] == 10
    assert counts.readings == {"train.xyz": 1, "test.xyz": 1}
    assert counts.lists == 60


@pytest.mark.usefixtures("no_report")
def test_a_training_with_files_for_validation_does_so_too(data, tmp_path, counts):
    write(tmp_path / "validation.xyz", read(DEMO, "2::20"))
    train(settings(**data, validation=str(tmp_path / "validation.xyz")), tmp_path / "run")
    assert counts.readings == {"train.xyz": 1, "validation.xyz": 1, "test.xyz": 1}
    assert counts.lists == 70


@pytest.mark.usefixtures("no_report")
def test_a_resumed_training_reads_nothing_again_and_builds_nothing(data, tmp_path, counts):
    first = train(settings(**data), tmp_path / "run")
    counts.clear()
    again = train(settings(**data), tmp_path / "run", resume=True)
    assert (counts.lists, counts.readings) == (0, {})
    assert again == first


def opened(data: dict[str, str], folder: Path) -> dict[str, list[Any]]:
    """All that the graphs of a run hold, read, checked and built where they are not there."""
    config = settings(**data)
    graphs = read_graphs(config, folder, cutoff=config.model.cutoff)
    stores = {"train": graphs.train.store, "test": graphs.test.store}
    return {
        part: [
            *(np.array(getattr(store, name)) for name in COLUMNS),
            store.origins,
            store.groups,
            store.about,
        ]
        for part, store in stores.items()
    }


@pytest.mark.parametrize("name", [*(f"{column}.bin" for column in COLUMNS), "index.json"])
@pytest.mark.parametrize("change", ["flip", "truncate", "remove"])
def test_graphs_that_were_changed_are_built_again(data, tmp_path, counts, name, change):
    first = opened(data, tmp_path)
    for part, count in (("train", 50), ("test", 10)):
        path = tmp_path / "graphs" / part / name
        content = bytearray(path.read_bytes())
        content[len(content) // 3] ^= 0x10
        path.unlink()
        if change != "remove":
            path.write_bytes(content if change == "flip" else content[: len(content) // 2])
        counts.clear()
        np.testing.assert_equal(opened(data, tmp_path), first)
        assert (counts.lists, counts.readings) == (count, {f"{part}.xyz": 1})
    opened(data, tmp_path)
    assert counts.lists == 10  # nothing more: it is whole again


@pytest.mark.usefixtures("no_report")
def test_a_file_that_holds_something_else_is_read_again(data, tmp_path, counts):
    config = settings(**data)
    train(config, tmp_path / "run")
    frames = read(data["test"], ":")
    write(data["test"], frames[1:])
    counts.clear()
    assert train(config, tmp_path / "run", resume=True)["num_structures"] == 9
    assert (counts.lists, counts.readings) == (9, {"test.xyz": 1})


@pytest.mark.usefixtures("no_report")
def test_warnings_of_the_data_are_told_when_a_run_is_resumed(data, tmp_path):
    class Notes(Observer):
        def __init__(self) -> None:
            self.told: list[str] = []

        def note(self, text: str) -> None:
            self.told.append(text)

    frames = read(data["train"], ":")
    write(data["train"], [*frames, frames[3]])
    first, second = Notes(), Notes()
    train(settings(**data), tmp_path / "run", observer=first)
    train(settings(**data), tmp_path / "run", resume=True, observer=second)
    assert any("the same structure is there twice" in text for text in first.told)
    assert second.told == first.told


@pytest.mark.usefixtures("no_report")
def test_structures_in_memory_give_what_those_of_files_give(data, tmp_path, counts):
    from_files = train(settings(**data), tmp_path / "files")
    given = Structures(train=read(data["train"], ":"), test=read(data["test"], ":"))
    counts.clear()
    config = settings(train="memory:")
    assert train(config, tmp_path / "run", structures=given) == from_files
    assert (counts.lists, counts.readings) == (60, {})
    assert read_splits(tmp_path / "run" / "splits.json")["train"][0].origin == "memory:1"
    one, other = (load_potential(tmp_path / name / "model.safetensors") for name in ("files", "run"))
    for name, weight in one.state_dict().items():
        np.testing.assert_array_equal(weight, other.state_dict()[name])


@pytest.mark.usefixtures("no_report")
def test_a_run_on_structures_in_memory_goes_on_without_them_and_not_with_others(data, tmp_path, counts):
    frames = read(data["train"], ":")
    first = train(settings(train="memory:"), tmp_path / "run", structures=Structures(train=frames))
    written = RunConfig.from_yaml(tmp_path / "run" / "config.yaml")
    assert [str(file) for file in written.train] == ["memory:"]
    counts.clear()
    assert train(written, tmp_path / "run", resume=True) == first
    assert train(written, tmp_path / "run", structures=Structures(train=frames), resume=True) == first
    assert counts.lists == 0
    with pytest.raises(DataError, match="expected the structures of the run"):
        train(written, tmp_path / "run", structures=Structures(train=frames[1:]), resume=True)
    with pytest.raises(ConfigError, match=r"got 'memory:', which stands for structures in memory"):
        train(written, tmp_path / "new")


@pytest.mark.usefixtures("no_report")
def test_labels_in_memory_are_found_under_the_keys_of_the_configuration(data, tmp_path):
    frames = []
    for atoms in read(data["train"], ":"):
        bare = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
        bare.info["dft"], bare.arrays["f"] = atoms.get_potential_energy(), atoms.get_forces()
        frames.append(bare)
    config = settings(train="memory:", keys={"energy": "dft", "forces": "f"})
    metrics = train(config, tmp_path / "run", structures=Structures(train=frames))
    assert metrics["energy"] is not None
    assert metrics["forces"] is not None


@pytest.mark.usefixtures("no_report")
def test_results_of_another_structure_are_no_labels(tmp_path):
    calculator, frames = EMT(), []
    for number in range(5):
        atoms = Atoms("Cu2", [[0, 0, 0], [2.4 + 0.01 * number, 0, 0]], calculator=calculator)
        atoms.get_forces()
        frames.append(atoms)
    with pytest.raises(DataError, match=r"expected results of memory:1 in its .* other positions"):
        train(settings(train="memory:"), tmp_path / "run", structures=Structures(train=frames))
    assert not (tmp_path / "run" / "graphs").exists()


@pytest.fixture
def germanium(data) -> dict[str, str]:
    for path in data.values():
        frames = read(path, ":")
        for atoms in frames:
            results = atoms.calc.results
            atoms.symbols[:] = "Ge"
            atoms.calc = SinglePointCalculator(atoms, **results)
        write(path, frames)
    return data


def carried_over(tmp_path: Path, data: dict[str, str], **values: Any) -> TransferConfig:
    source = tmp_path / "source.safetensors"
    save_potential(small_potential("schnet"), source)
    whole = {"source": str(source), "training": TRAINING, "validation": {"frames": 5}, **data, **values}
    return TransferConfig.from_dict(whole, source="test")


def test_a_transfer_reads_each_file_once_and_builds_each_list_once(germanium, tmp_path, counts):
    config = carried_over(tmp_path, germanium, stages=[{"freeze": ["first"]}, {}])
    result = transfer(config, tmp_path / "run")
    assert counts.readings == {"train.xyz": 1, "test.xyz": 1}
    assert counts.lists == 60
    counts.clear()
    assert transfer(config, tmp_path / "run", resume=True) == result
    assert (counts.lists, counts.readings) == (0, {})


@pytest.mark.usefixtures("no_report")
def test_a_comparison_with_scratch_is_on_the_same_graphs(germanium, tmp_path, counts, monkeypatch):
    monkeypatch.setattr("gnnpot.transferring.run.stability", lambda *_, **__: stability.Stability(1.0, ""))
    transfer(carried_over(tmp_path, germanium), tmp_path / "run", compare_scratch=True)
    assert counts.readings == {"train.xyz": 1, "test.xyz": 1}
    assert counts.lists == 60


@pytest.mark.usefixtures("no_report")
def test_a_lattice_scale_costs_lists_of_another_cutoff_for_the_structures_that_judge_it(
    germanium, tmp_path, counts
):
    config = carried_over(tmp_path, germanium, lattice_scale=1.04, fit_frames=4)
    transfer(config, tmp_path / "run")
    assert counts.readings == {"train.xyz": 1, "test.xyz": 1}
    assert counts.lists == 60 + 4


@pytest.mark.usefixtures("no_report")
def test_a_transfer_takes_structures_in_memory(germanium, tmp_path):
    from_files = transfer(carried_over(tmp_path, germanium), tmp_path / "files")
    given = Structures(train=read(germanium["train"], ":"), test=read(germanium["test"], ":"))
    config = carried_over(tmp_path, {"train": "memory:"})
    result = transfer(config, tmp_path / "run", structures=given)
    assert result["transferred"] == from_files["transferred"]
    assert json.loads((tmp_path / "run" / "transfer.json").read_text())["baseline"] == from_files["baseline"]


@pytest.mark.usefixtures("no_report")
def test_a_folder_of_an_older_version_is_resumed(data, tmp_path, counts):
    first = train(settings(**data), tmp_path / "run")
    graphs = tmp_path / "run" / "graphs"
    shutil.rmtree(graphs / "test")
    (graphs / "train" / "index.json").write_text(json.dumps({"format": 1, "cutoff": 4.0, "origins": []}))
    (graphs / "train" / "key.txt").write_text("0123 4.0")
    counts.clear()
    assert train(settings(**data), tmp_path / "run", resume=True) == first
    assert counts.lists == 60
    assert not (graphs / "train" / "key.txt").exists()
