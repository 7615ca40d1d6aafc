"""The list with a skin gives the graph that a fresh list would."""

from __future__ import annotations

import pickle
from copy import deepcopy

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule
from hypothesis import given, settings
from hypothesis import strategies as st
from structures import ethanol, rattled_crystal, silicon, slab

from gnnpot.errors import DataError
from gnnpot.graph.coordination import coordination
from gnnpot.graph.geometry import pair_vectors
from gnnpot.graph.graph import AtomicGraph
from gnnpot.graph.verlet_list import SkinList, trim
from gnnpot.kernels.dispatch import plain_torch


def skin_list(skin=0.6, cutoff=4.0, dtype=torch.float64):
    return SkinList(cutoff, skin, dtype=dtype, device=torch.device("cpu"))


def edges(graph):
    """Edges as a set, with the image of each."""
    columns = torch.cat([graph.edge_index.T, graph.cell_shifts], dim=1)
    return sorted(map(tuple, columns.tolist()))


def assert_same_graph(graph, atoms, cutoff=4.0):
    fresh = AtomicGraph.from_ase(atoms, cutoff, torch.float64)
    assert edges(graph) == edges(fresh)
    source, center = graph.edge_index[:, 0::2]
    images = graph.cell_shifts[0::2].double() @ fresh.cell[0]
    expected = fresh.positions[source] + images - fresh.positions[center]
    torch.testing.assert_close(pair_vectors(graph), expected)
    assert torch.equal(graph.edge_index[:, 1::2], graph.edge_index[:, 0::2].flip(0))
    assert torch.equal(graph.cell_shifts[1::2], -graph.cell_shifts[0::2])


def lowest_coordination(graph, cutoff=4.0):
    lengths = torch.linalg.vector_norm(pair_vectors(graph), dim=-1)
    return coordination(lengths, graph.edge_index[:, 0::2], len(graph.atomic_numbers), cutoff).min()


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    structure=st.sampled_from([ethanol, rattled_crystal, silicon, slab]),
    step=st.sampled_from([0.02, 0.1, 0.4]),
    strain=st.sampled_from([0.0, 0.003, 0.03]),
)
def test_no_edge_is_missing_while_atoms_and_cell_move(seed, structure, step, strain):
    rng = np.random.default_rng(seed)
    atoms, neighbors = structure(), skin_list()
    for _ in range(8):
        atoms.positions += rng.normal(scale=step, size=(len(atoms), 3))
        deformation = np.eye(3) + rng.normal(scale=strain, size=(3, 3))
        atoms.set_cell(atoms.cell.array @ deformation, scale_atoms=bool(rng.integers(2)))
        graph = neighbors.graph(atoms)
        assert_same_graph(graph, atoms)
        assert graph.bonded_within == torch.inf or lowest_coordination(graph) >= 1.0


def test_a_list_lasts_while_atoms_move_less_than_half_the_skin():
    atoms, neighbors = silicon(), skin_list(skin=0.6)
    neighbors.graph(atoms)
    atoms.positions[3] += [0.29, 0.0, 0.0]
    assert neighbors.covers(atoms)
    atoms.positions[3] += [0.02, 0.0, 0.0]
    assert not neighbors.covers(atoms)


def test_a_list_lasts_while_the_cell_shrinks_by_less_than_its_skin():
    atoms, neighbors = silicon(), skin_list(skin=0.4)  # 4.4 Å shrunk by 1/11 is 4.0 Å
    neighbors.graph(atoms)
    cell = atoms.cell.array
    atoms.set_cell(cell * 0.92, scale_atoms=True)
    assert neighbors.covers(atoms)
    atoms.set_cell(cell * 0.90, scale_atoms=True)
    assert not neighbors.covers(atoms)


def test_a_cell_that_shrinks_around_resting_atoms_needs_a_new_list():
    atoms, neighbors = silicon(), skin_list(skin=0.4)
    neighbors.graph(atoms)
    atoms.set_cell(atoms.cell.array * 0.92, scale_atoms=False)
    assert not neighbors.covers(atoms)
    assert_same_graph(neighbors.graph(atoms), atoms)


def test_another_structure_needs_another_list():
    atoms, neighbors = silicon(), skin_list()
    neighbors.graph(atoms)
    open_cell, germanium = atoms.copy(), atoms.copy()
    open_cell.pbc = (True, True, False)
    germanium.numbers[0] = 32
    for other in (open_cell, germanium, atoms[:-1], atoms * (2, 1, 1)):
        assert not neighbors.covers(other)
        assert_same_graph(neighbors.graph(other), other)


def test_far_from_the_origin_float32_keeps_its_digits():
    atoms, moved = silicon(), silicon()
    moved.positions += 10_000.0
    graphs = [skin_list(dtype=torch.float32).graph(one) for one in (atoms, moved)]
    here, there = (torch.linalg.vector_norm(graph.pair_vectors, dim=1).sort().values for graph in graphs)
    assert there.dtype == torch.float32
    torch.testing.assert_close(there, here, atol=1e-6, rtol=0)


def test_results_of_a_calculator_do_not_become_labels():
    from ase.calculators.singlepoint import SinglePointCalculator

    atoms = silicon()
    atoms.calc = SinglePointCalculator(atoms, energy=1.0)
    assert "energy" not in skin_list().graph(atoms)


def test_atoms_without_neighbors_have_a_graph():
    assert skin_list().graph(Atoms("Si")).edge_index.shape == (2, 0)
    assert skin_list().graph(Atoms("Si2", [[0, 0, 0], [0, 0, 9.0]])).edge_index.shape == (2, 0)


def test_two_atoms_on_one_spot_are_told():
    atoms = molecule("H2O")
    atoms.positions[2] = atoms.positions[0]
    neighbors = skin_list()
    for _ in range(2):
        with pytest.raises(
            DataError, match=r"^expected atoms apart, got atoms 0 and 2 on one spot; move one of them$"
        ):
            neighbors.graph(atoms)
    crystal = silicon()
    crystal.positions[5] = crystal.positions[1] + crystal.cell[0]
    with pytest.raises(DataError, match="atoms 1 and 5 on one spot"):
        skin_list().graph(crystal)


@pytest.mark.parametrize(("part", "name"), [("positions", "positions"), ("cell", "cell vectors")])
def test_what_is_not_finite_is_told_on_a_list_that_exists(part, name):
    atoms, neighbors = silicon(), skin_list()
    neighbors.graph(atoms)
    getattr(atoms, part)[0, 0] = np.nan
    for _ in range(2):  # what was refused is no list
        with pytest.raises(DataError, match=f"expected finite {name}"):
            neighbors.graph(atoms)


def test_trimming_keeps_what_is_shorter_and_its_derivative():
    graph = AtomicGraph.from_ase(silicon(), 6.0, torch.float64)
    trimmed = trim(graph, 4.0)
    assert_same_graph(trimmed, silicon())
    assert graph.edge_index.shape[1] > trimmed.edge_index.shape[1]
    graph.positions.requires_grad_(True)
    assert trim(graph, 4.0).pair_vectors.requires_grad


@pytest.mark.parametrize("make", [rattled_crystal, slab, ethanol])
@pytest.mark.parametrize("few", [0, 10_000])
def test_compiled_lists_are_those_of_plain_torch(make, few):
    atoms = make()
    settings = {"dtype": torch.float64, "device": torch.device("cpu"), "few": few}
    compiled, plain = (SkinList(3.8, 1.5, **settings) for _ in range(2))
    rng = np.random.default_rng(0)
    sizes = set()
    for factor in (1.06, 1 / 1.06, 0.94, 1 / 0.94, 0.97):
        atoms.positions = factor * atoms.positions + rng.normal(scale=0.03, size=atoms.positions.shape)
        atoms.cell *= factor
        one = compiled.graph(atoms)
        with plain_torch():
            other = plain.graph(atoms)
        sizes.add(one.edge_index.shape[1])
        for name in ("edge_index", "cell_shifts", "pair_vectors", "positions", "cell"):
            torch.testing.assert_close(one[name], other[name], atol=1e-14, rtol=1e-14)
        for mine, theirs in zip(one.neighborhoods, other.neighborhoods, strict=True):
            assert torch.equal(mine, theirs)
    assert (len(sizes) > 1) == (few == 0)


def test_a_new_list_with_the_same_edges_keeps_what_was_made_of_the_old():
    atoms = ethanol()
    lists = SkinList(20.0, 0.4, dtype=torch.float64, device=torch.device("cpu"), few=1000)
    first = lists.graph(atoms)
    edges, vectors = first.edge_index, first.pair_vectors.clone()
    atoms.positions[0] += 0.3  # more than half the skin
    second = lists.graph(atoms)
    assert second.edge_index is edges
    assert not torch.equal(second.pair_vectors, vectors)


def test_a_list_that_is_copied_or_pickled_goes_its_own_way():
    atoms, lists = ethanol(), skin_list()
    lists.graph(atoms)
    for twin in (deepcopy(lists), pickle.loads(pickle.dumps(lists))):
        atoms.rattle(0.3, rng=np.random.default_rng(0))
        before = lists.graph(ethanol()).pair_vectors.clone()
        assert_same_graph(twin.graph(atoms), atoms)
        assert torch.equal(lists.graph(ethanol()).pair_vectors, before)


def test_it_is_known_of_bonded_structures_alone_that_no_atom_loses_its_last_neighbor():
    for make in (ethanol, rattled_crystal, silicon):
        assert skin_list(0.3).graph(make()).bonded_within == 4.0
    for distance in (1.9, 2.5, 3.9, 9.0):
        assert skin_list().graph(Atoms("CO", [[0, 0, 0], [0, 0, distance]])).bonded_within == torch.inf


def test_a_list_of_the_same_edges_is_another_where_an_atom_may_come_apart():
    """What was recorded with one must not be repeated with the other."""
    neighbors = skin_list()
    atoms = Atoms("CO", [[0, 0, 0], [0, 0, 1.1]])
    near = neighbors.graph(atoms)
    atoms.positions[1, 2] = 2.2
    apart = neighbors.graph(atoms)
    assert (near.bonded_within, apart.bonded_within) == (4.0, torch.inf)
    assert apart.edge_index is not near.edge_index
