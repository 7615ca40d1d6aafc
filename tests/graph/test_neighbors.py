"""The neighbor list against ASE's, for any cell."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.neighborlist import primitive_neighbor_list
from hypothesis import given, settings
from hypothesis import strategies as st

from gnnpot.errors import DataError
from gnnpot.graph.geometry import Neighborhoods
from gnnpot.graph.neighbors import neighbor_pairs


@st.composite
def structures(draw) -> Atoms:
    """Few atoms, inside the cell or not, in a skewed cell of either hand, with any open directions."""
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    size = draw(st.integers(1, 5))
    cell = np.diag(rng.uniform(2.0, 6.0, 3)) + rng.uniform(-1.0, 1.0, (3, 3))
    if draw(st.booleans()):
        cell = cell[[1, 0, 2]]
    pbc = draw(st.tuples(st.booleans(), st.booleans(), st.booleans()))
    return Atoms(f"Si{size}", rng.uniform(-1.0, 2.0, (size, 3)) @ cell, cell=cell, pbc=pbc)


@settings(max_examples=60, deadline=None)
@given(structures(), st.floats(1.0, 5.0))
def test_edges_equal_those_of_ase(atoms, cutoff):
    edge_index, shifts = neighbor_pairs(atoms.positions, atoms.cell.array, atoms.pbc, cutoff)
    ours = sorted(map(tuple, np.column_stack([edge_index[1], edge_index[0], shifts]).tolist()))
    center, source, images = primitive_neighbor_list(
        "ijS", atoms.pbc, atoms.cell.array, atoms.positions, cutoff, self_interaction=False
    )
    theirs = sorted(map(tuple, np.column_stack([center, source, images]).tolist()))
    assert ours == theirs


@settings(max_examples=30, deadline=None)
@given(structures())
def test_each_odd_edge_is_the_reverse_of_the_one_before(atoms):
    edge_index, shifts = neighbor_pairs(atoms.positions, atoms.cell.array, atoms.pbc, 4.0)
    assert (edge_index[:, 0::2] == edge_index[::-1, 1::2]).all()
    assert (shifts[0::2] == -shifts[1::2]).all()


def test_a_slab_without_a_third_vector_has_neighbors():
    atoms = Atoms("Si2", [[0, 0, 0], [0, 0, 2.3]], cell=[3, 3, 0], pbc=(True, True, False))
    edge_index, _ = neighbor_pairs(atoms.positions, atoms.cell.array, atoms.pbc, 3.5)
    assert edge_index.shape[1] == 2 * 4 + 2


@pytest.mark.parametrize("cell", [np.zeros((3, 3)), np.diag([3.0, 3.0, 0.0]), np.ones((3, 3))])
def test_a_periodic_cell_without_a_volume_is_refused(cell):
    with pytest.raises(DataError, match="expected a cell with a volume"):
        neighbor_pairs(np.zeros((1, 3)), cell, np.ones(3, dtype=bool), 3.0)


def test_positions_that_are_not_finite_are_refused():
    with pytest.raises(DataError, match="expected finite positions"):
        neighbor_pairs(np.full((1, 3), np.nan), np.eye(3), np.zeros(3, dtype=bool), 3.0)


@pytest.mark.parametrize("num_atoms", [1, 300, 65536, 65537])
def test_neighborhoods_list_the_edges_atom_by_atom_as_they_come(num_atoms):
    ends = torch.randint(num_atoms, (2, 1000), generator=torch.Generator().manual_seed(0))
    ends[1, 0] = num_atoms - 1
    edge_index = torch.stack([ends, ends.flip(0)], dim=2).flatten(1)
    center = edge_index[1]
    edges = Neighborhoods.of_edges(edge_index, num_atoms)
    assert edges.num_atoms == num_atoms
    assert edges.start[-1] == len(center)
    for atom in {0, num_atoms - 1, *center[:50].tolist()}:
        own = edges.order[edges.start[atom] : edges.start[atom + 1]]
        assert torch.equal(own, (center == atom).nonzero().squeeze(-1))
