"""Graphs on disk."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from structures import ethanol, rattled_crystal, silicon, slab

from gnnpot.data.columns import label_hash
from gnnpot.data.dataset import GraphDataset
from gnnpot.data.store import GraphStore
from gnnpot.errors import DataError
from gnnpot.graph.graph import AtomicGraph, collate


def labeled(atoms: Atoms, seed: int) -> Atoms:
    rng = np.random.default_rng(seed)
    results = {"energy": rng.normal(), "forces": rng.normal(size=(len(atoms), 3))}
    if atoms.pbc.all():
        results["stress"] = rng.normal(size=6)
    atoms.calc = SinglePointCalculator(atoms, **results)
    atoms.info.update(origin=f"a.xyz:{seed + 1}", group="g", forces_weight=0.5)
    return atoms


@pytest.fixture
def frames() -> list[Atoms]:
    makers = (ethanol, rattled_crystal, slab, lambda: Atoms("Si"), silicon)
    return [labeled(make(), seed) for seed, make in enumerate(makers)]


def test_graphs_from_disk_equal_those_made_from_atoms(frames, tmp_path):
    store = GraphStore.build(iter(frames), 4.0, tmp_path / "graphs")
    dataset = GraphDataset(store, range(len(frames)), dtype=torch.float64)
    assert len(dataset) == len(frames)
    for graph, atoms in zip(dataset, frames, strict=True):
        expected = AtomicGraph.from_ase(atoms, 4.0, torch.float64)
        for name in expected.keys():  # noqa: SIM118
            torch.testing.assert_close(graph[name], expected[name], rtol=0, atol=0)


def test_structures_from_disk_equal_those_that_went_there(frames, tmp_path):
    store = GraphStore.build(frames, 4.0, tmp_path / "graphs")
    for atoms, expected in zip(
        GraphDataset(store, [4, 0], dtype=torch.float32).frames(), (frames[4], frames[0]), strict=True
    ):
        assert atoms == expected
        assert atoms.info["origin"] == expected.info["origin"]
        assert atoms.get_potential_energy() == expected.get_potential_energy()
        np.testing.assert_array_equal(atoms.get_forces(), expected.get_forces())
    assert "stress" not in atoms.calc.results


def test_labels_have_one_hash_on_disk_and_in_atoms(frames, tmp_path):
    store = GraphStore.build(frames, 4.0, tmp_path / "graphs")
    hashes = GraphDataset(store, range(len(frames)), dtype=torch.float32).label_hashes()
    assert hashes == [label_hash(atoms) for atoms in frames]
    assert len(set(hashes)) == len(frames)


def test_a_label_that_a_structure_lacks_has_weight_zero(frames, tmp_path):
    store = GraphStore.build(frames, 4.0, tmp_path / "graphs")
    graph = collate(list(GraphDataset(store, [0, 4], dtype=torch.float64)))
    assert graph.stress_weight.tolist() == [0.0, 1.0]
    assert torch.isnan(graph.stress[0]).all()
    assert GraphDataset(store, [0, 4], dtype=torch.float64).lacking("stress") == ["a.xyz:1"]


def test_a_stress_without_three_periodic_directions_is_no_label(frames, tmp_path):
    frames[2].calc.results["stress"] = np.ones(6)
    assert "stress" not in AtomicGraph.from_ase(frames[2], 4.0)
    dataset = GraphDataset(GraphStore.build(frames, 4.0, tmp_path), [1, 2], dtype=torch.float64)
    assert [float(graph.stress_weight) for graph in dataset] == [1.0, 0.0]
    assert "stress" not in list(dataset.frames())[1].calc.results


def test_a_store_that_was_cut_off_is_no_store(frames, tmp_path):
    GraphStore.build(frames, 4.0, tmp_path / "graphs")
    (tmp_path / "graphs" / "index.json").unlink()
    with pytest.raises(DataError, match="expected graphs in"):
        GraphStore.open(tmp_path / "graphs")


def test_a_batch_refuses_labels_on_some_graphs_only(frames):
    graphs = [AtomicGraph.from_ase(atoms, 4.0) for atoms in (frames[1], frames[2])]
    with pytest.raises(DataError, match=r"expected stress labels on all 2 structures .* got 1 without"):
        collate(graphs)


def test_structures_are_read_one_by_one(tmp_path):
    """A generator of many structures is consumed as it goes; only one is alive at a time."""
    import weakref

    alive: list[weakref.ref[Atoms]] = []

    def many():
        for seed in range(50):
            assert sum(ref() is not None for ref in alive) <= 3
            atoms = labeled(rattled_crystal(), seed)
            atoms.calc.atoms = None  # the calculator refers back to the atoms
            alive.append(weakref.ref(atoms))
            yield atoms

    assert len(GraphStore.build(many(), 3.0, tmp_path / "graphs")) == 50
