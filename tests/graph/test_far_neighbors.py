"""Neighbor lists of atoms that are far apart, far from the cell, or in cells without end."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from ase import Atoms
from hypothesis import given, settings
from hypothesis import strategies as st
from test_neighbors import structures

from gnnpot.errors import DataError
from gnnpot.graph import neighbors
from gnnpot.graph.neighbors import neighbor_pairs

OPEN, SLAB, PERIODIC = np.zeros(3, dtype=bool), np.array([True, True, False]), np.ones(3, dtype=bool)


def edges(atoms: Atoms, cutoff: float) -> set[tuple[int, ...]]:
    edge_index, shifts = neighbor_pairs(atoms.positions, atoms.cell.array, atoms.pbc, cutoff)
    found = {tuple(row) for row in np.column_stack([edge_index.T, shifts]).tolist()}
    assert len(found) == edge_index.shape[1]
    return found


def all_pairs(atoms: Atoms, cutoff: float, shifts: list[tuple[int, ...]]) -> set[tuple[int, ...]]:
    """The edges among these cell shifts by the distances of all pairs."""
    found = set()
    for shift in shifts:
        vectors = atoms.positions[:, None] + np.array(shift) @ atoms.cell.array - atoms.positions
        near = np.linalg.norm(vectors, axis=2) < cutoff
        if not any(shift):
            np.fill_diagonal(near, False)
        found |= {(j, i, *shift) for j, i in np.argwhere(near).tolist()}
    return found


@settings(max_examples=100, deadline=None)
@given(structures(), st.floats(1.0, 5.0))
def test_the_tree_finds_the_pairs_of_the_grid(atoms, cutoff):
    structure = neighbors._Structure.of(atoms.positions, atoms.cell.array, atoms.pbc, cutoff)
    found = []
    for way in (neighbors._by_grid, neighbors._by_tree):
        source, center, shifts = way(structure)
        pairs = np.column_stack([center, source, shifts])
        backward = np.column_stack([source, center, -shifts])
        found.append(sorted(np.concatenate([pairs, backward]).tolist()))
    assert found[0] == found[1]


@pytest.mark.parametrize("distance", [1e2, 1e4, 1e5, 1e6, 1e8, 9e8])
@pytest.mark.parametrize("pbc", [OPEN, SLAB], ids=["open", "slab"])
@pytest.mark.parametrize("direction", [[0, 0, 1], [1, 1, 1]], ids=str)
def test_an_atom_far_along_open_directions_has_its_own_neighbors_alone(distance, pbc, direction):
    positions = [[0, 0, 0], [1.5, 0, 0], [0.3, 0.4, 2.0], distance * np.array(direction)]
    atoms = Atoms("Si4", positions, cell=np.diag([3.9, 4.2, 0.0]) * pbc, pbc=pbc)
    expected = edges(atoms[:3], 5.0)
    far = {edge for edge in edges(atoms, 5.0) if 3 in edge[:2]}
    assert edges(atoms, 5.0) - far == expected
    if pbc.any():
        assert far == {(3, 3, *shift) for _, _, *shift in edges(Atoms("Si", cell=atoms.cell, pbc=pbc), 5.0)}
    else:
        assert not far


@pytest.mark.parametrize("length", [1e3, 1e5, 1e6, 9e8])
def test_atoms_in_a_cell_without_end_have_neighbors_through_its_faces(length):
    positions = [[0.5, 0, 0], [length - 0.5, 0, length - 1.0], [1.5, 2.0, 0]]
    atoms = Atoms("Si3", positions, cell=[length] * 3, pbc=True)
    through = {(1, 0, -1, 0, -1), (0, 1, 1, 0, 1), (1, 2, -1, 0, -1), (2, 1, 1, 0, 1)}
    assert edges(atoms, 4.0) == {(0, 2, 0, 0, 0), (2, 0, 0, 0, 0)} | through


@pytest.mark.parametrize("number", [10**3, 10**6, 10**8])
def test_atoms_many_cells_away_have_the_neighbors_of_their_images(number):
    atoms = Atoms("Si2", [[0, 0, 0], [1.0, 1.5, 2.0]], cell=np.diag([4.0, 4.5, 5.0]) + 0.25, pbc=True)
    moved = atoms.copy()
    away = np.array([number, -2 * number // 3, 7])
    moved.positions[1] += away @ atoms.cell.array
    images = [tuple(map(int, np.array(shift) + side * away)) for side in (-1, 0, 1) for shift in CUBE]
    expected = {(j, i, *(s + np.sign(j - i) * -away).tolist()) for j, i, *s in map(tuple, edges(atoms, 4.9))}
    assert edges(moved, 4.9) == expected == all_pairs(moved, 4.9, images)


CUBE = list(product(range(-2, 3), repeat=3))


def test_sparse_and_dense_clusters_have_all_their_pairs():
    rng = np.random.default_rng(0)
    origins = rng.uniform(-1e5, 1e5, (5, 3))
    positions = np.concatenate([origin + rng.uniform(0, 4, (20, 3)) for origin in origins])
    atoms = Atoms("Si100", positions)
    found = edges(atoms, 3.0)
    assert found == all_pairs(atoms, 3.0, [(0, 0, 0)])
    assert len(found) > 500


@pytest.mark.parametrize(
    ("sizes", "spacing", "pbc"),
    [((115, 115, 1), 7.0, SLAB), ((1, 115, 115), 7.0, PERIODIC), ((14000, 1, 1), 18.0, PERIODIC)],
    ids=str,
)
def test_wide_sheets_and_long_wires_of_dimers_have_one_pair_each(sizes, spacing, pbc):
    cell = spacing * np.diag(sizes) * np.where(pbc, 1.0, 0.0)
    places = np.stack(np.meshgrid(*map(np.arange, sizes), indexing="ij"), axis=-1).reshape(-1, 3)
    positions = np.concatenate([spacing * places, spacing * places + [1.0, 0.5, 0.0]])
    edge_index, shifts = neighbor_pairs(positions, cell, pbc, 2.5)
    pairs = np.sort(edge_index[:, 0::2], axis=0)
    assert not shifts.any()
    assert (pairs[:, pairs[0].argsort()] == np.arange(2 * len(places)).reshape(2, -1)).all()


def test_what_no_number_resolves_is_refused():
    far = np.array([[0, 0, 0], [0, 0, 1e12]])
    with pytest.raises(DataError, match=r"expected positions up to 1e\+09 Å, got 1e\+12"):
        neighbor_pairs(far, np.zeros((3, 3)), OPEN, 5.0)
    with pytest.raises(DataError, match="expected cell vectors up to"):
        neighbor_pairs(np.zeros((1, 3)), 1e12 * np.eye(3), PERIODIC, 5.0)
    with pytest.raises(DataError, match="check its unit"):
        neighbor_pairs(np.zeros((1, 3)), 0.01 * np.eye(3), PERIODIC, 5.0)
