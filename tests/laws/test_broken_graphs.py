"""What models say of graphs that are no structures: nothing is read or written outside of them."""

from __future__ import annotations

import pytest
import torch
from structures import rattled_crystal
from test_model_contract import build

from gnnpot.errors import DataError
from gnnpot.graph.graph import AtomicGraph
from gnnpot.models import MODELS
from gnnpot.potential.potential import Potential


@pytest.fixture(params=sorted(MODELS))
def potential(request) -> Potential:
    return build(request.param)


def graph_of(potential: Potential) -> AtomicGraph:
    return AtomicGraph.from_ase(rattled_crystal(), potential.cutoff, torch.float64)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("is_trained", [True, False])
def test_positions_that_are_no_numbers_have_no_energy(potential, value, is_trained):
    graph = graph_of(potential)
    graph.positions[1, 2] = value
    for _ in range(3):
        with torch.set_grad_enabled(is_trained):
            prediction = potential(graph)
        assert prediction.energy.isnan().all()
        assert prediction.forces[1].isnan().any()
        if is_trained:
            (prediction.energy.sum() + prediction.forces.square().sum()).backward()


def test_elements_that_a_model_does_not_know_are_refused(potential):
    for number in (79, -1):
        graph = graph_of(potential)
        graph.atomic_numbers[0] = number
        with pytest.raises(DataError, match="expected atoms of H, C, O, Si, Ni, got"):
            potential(graph)


@pytest.mark.parametrize("atom", [-1, 10**6])
@pytest.mark.parametrize("end", [0, 1])
def test_edges_to_no_atom_are_refused(potential, atom, end):
    graph = graph_of(potential)
    graph.edge_index[end, 0] = graph.edge_index[1 - end, 1] = atom
    with pytest.raises((DataError, IndexError), match=r"expected edges between atoms 0 to|out of range"):
        potential(graph)
    graph.pair_vectors = torch.ones(graph.edge_index.shape[1] // 2, 3).double()
    with pytest.raises(DataError, match=f"expected edges between atoms 0 to .*, got one of atom {atom}"):
        potential(graph)


def test_edges_without_their_reverse_and_too_few_vectors_are_refused(potential):
    graph = graph_of(potential)
    graph.pair_vectors = torch.ones(3, 3).double()
    with pytest.raises(DataError, match=r"expected a vector of each of .* pairs of atoms, got 3"):
        potential(graph)
    del graph.pair_vectors
    graph.edge_index = graph.edge_index.roll(1, dims=1)
    with pytest.raises(DataError, match="expected each edge with its reverse after it"):
        potential(graph)
