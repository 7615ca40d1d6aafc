"""The folder of a graph store: what is appended, and what is not believed."""

from __future__ import annotations

import json
import multiprocessing
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from structures import ethanol, rattled_crystal, silicon, slab

from gnnpot.data.columns import COLUMNS, structure_row
from gnnpot.data.dataset import GraphDataset
from gnnpot.data.store import GraphStore
from gnnpot.errors import DataError, OutputError
from gnnpot.graph.neighbors import Pairs


def labeled(atoms: Atoms, seed: int) -> Atoms:
    rng = np.random.default_rng(seed)
    atoms.calc = SinglePointCalculator(atoms, energy=rng.normal(), forces=rng.normal(size=(len(atoms), 3)))
    atoms.info.update(origin=f"a.xyz:{seed + 1}", group="g")
    return atoms


@pytest.fixture
def frames() -> list[Atoms]:
    return [labeled(make(), seed) for seed, make in enumerate((ethanol, rattled_crystal, slab, silicon))]


def assert_same(store: GraphStore, other: GraphStore) -> None:
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(store, name), getattr(other, name))
    for name in ("origins", "groups", "hashes", "cutoff", "about"):
        assert getattr(store, name) == getattr(other, name)


def count_lists(monkeypatch) -> list[int]:
    """A list that grows with every neighbor list that is built."""
    from vesin import NeighborList

    built, compute = [], NeighborList.compute

    def counted(self, *arguments, **options):
        built.append(len(options["points"]))
        return compute(self, *arguments, **options)

    monkeypatch.setattr(NeighborList, "compute", counted)
    return built


def test_appended_structures_stand_behind_the_others_and_nothing_is_built_again(
    frames, tmp_path, monkeypatch
):
    whole = GraphStore.build(frames, 4.0, tmp_path / "whole")
    store = GraphStore.build(frames[:1], 4.0, tmp_path / "graphs")
    built = count_lists(monkeypatch)
    longer = store.append(frames[1:3]).append(frames[3:])
    assert built == [len(atoms) for atoms in frames[1:]]
    assert_same(longer, whole)
    assert_same(GraphStore.open(tmp_path / "graphs"), whole)
    assert len(store) == 1  # what was open stays as it was
    assert torch.isfinite(GraphDataset(store, [0], dtype=torch.float64)[0].positions).all()


def test_appending_that_was_cut_off_or_refused_leaves_the_old_structures(frames, tmp_path):
    store = GraphStore.build(frames[:2], 4.0, tmp_path / "graphs")
    bad = labeled(silicon(), 9)
    bad.calc.results["energy"] = np.nan
    with pytest.raises(DataError, match=r"expected a finite energy label in a.xyz:10"):
        store.append([frames[2], bad])
    with (tmp_path / "graphs" / "positions.bin").open("ab") as file:
        file.write(b"what a killed process left")
    assert_same(GraphStore.open(tmp_path / "graphs"), store)
    assert_same(store.append(frames[2:]), GraphStore.build(frames, 4.0, tmp_path / "whole"))


@pytest.mark.parametrize("name", [*(f"{column}.bin" for column in COLUMNS), "index.json"])
@pytest.mark.parametrize("change", ["flip", "truncate", "remove", "empty"])
def test_a_store_of_which_a_byte_is_another_is_not_opened(frames, tmp_path, name, change):
    store = GraphStore.build(frames, 4.0, tmp_path / "graphs")
    path = store.folder / name
    content = bytearray(path.read_bytes())
    if change == "flip":
        content[len(content) // 2] ^= 1
    path.unlink()
    if change != "remove":
        path.write_bytes({"flip": content, "truncate": content[:-1], "empty": b""}[change])
    with pytest.raises(DataError, match=r"expected (whole )?graphs in .*; build them again$"):
        GraphStore.open(store.folder)


@pytest.mark.parametrize(
    "content", ["[]", "{}", "null", "[" * 100_000, '{"format": 1}', '{"format": 2}', "\xff"]
)
def test_an_index_that_is_none_is_not_opened(frames, tmp_path, content):
    store = GraphStore.build(frames, 4.0, tmp_path / "graphs")
    (store.folder / "index.json").write_text(content, encoding="latin-1")
    with pytest.raises(DataError, match="build them again"):
        GraphStore.open(store.folder)


def test_a_store_of_another_version_is_not_opened(frames, tmp_path):
    store = GraphStore.build(frames, 4.0, tmp_path / "graphs")
    index = json.loads((store.folder / "index.json").read_text())
    (store.folder / "index.json").write_text(json.dumps({**index, "format": index["format"] + 1}))
    with pytest.raises(DataError, match="another version"):
        GraphStore.open(store.folder)


def test_a_store_of_one_cutoff_becomes_one_of_another(frames, tmp_path):
    store = GraphStore.build(frames, 4.0, tmp_path / "graphs")
    assert_same(store.with_cutoff(5.5), GraphStore.build(frames, 5.5, tmp_path / "new"))
    assert_same(GraphStore.open(tmp_path / "graphs"), GraphStore.open(tmp_path / "new"))
    assert not list(tmp_path.glob("*.partial"))


def test_a_store_in_memory_equals_one_on_disk(frames, tmp_path):
    store = GraphStore.in_memory(frames, 4.0)
    assert_same(store, GraphStore.build(frames, 4.0, tmp_path / "graphs"))
    assert_same(pickle.loads(pickle.dumps(store)), store)
    assert len(GraphStore.in_memory([], 4.0)) == 0


def test_a_store_is_sent_to_other_processes_as_its_folder(frames, tmp_path):
    store = GraphStore.build(frames * 20, 4.0, tmp_path / "graphs")
    sent = pickle.dumps(store)
    assert len(sent) < 500
    assert_same(pickle.loads(sent), store)


def test_neighbors_farther_apart_than_shifts_can_say_are_refused():
    atoms = Atoms("Si2", [[0, 0, 0], [40_000 * 3.0, 0, 0]], cell=[3, 3, 3], pbc=True)
    pairs = Pairs(np.array([1]), np.array([0]), np.array([[-40_000, 0, 0]]))
    with pytest.raises(DataError, match=r"within 32,767 cells .* got 40,000; wrap the positions"):
        structure_row(atoms, pairs)


def test_a_refused_structure_leaves_no_folder(frames, tmp_path):
    bad = labeled(silicon(), 9)
    bad.calc.results["energy"] = np.nan
    with pytest.raises(DataError):
        GraphStore.build([*frames, bad], 4.0, tmp_path / "graphs")
    assert not (tmp_path / "graphs").exists()


def _fill_the_disk(folder: Path) -> None:
    import resource
    import signal

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
    with pytest.raises(OutputError, match=r"expected to write .*; free space"):
        GraphStore.build([labeled(silicon(), seed) for seed in range(100)], 4.0, folder)


def test_a_full_disk_is_one_line(tmp_path):
    process = multiprocessing.get_context("fork").Process(target=_fill_the_disk, args=(tmp_path / "graphs",))
    process.start()
    process.join()
    assert process.exitcode == 0
