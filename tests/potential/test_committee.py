"""Several potentials as one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from potentials import SMALL, small_potential
from structures import ethanol, silicon

from gnnpot.errors import DataError
from gnnpot.graph.geometry import edge_lengths
from gnnpot.graph.graph import AtomicGraph, collate
from gnnpot.models.base import AtomicEnergyModel, ModelConfig
from gnnpot.potential.committee import Committee
from gnnpot.potential.potential import Potential


@pytest.fixture
def committee():
    return Committee([small_potential(seed=seed) for seed in range(3)])


def graph_of(atoms, potential):
    return AtomicGraph.from_ase(atoms, potential.cutoff, potential.dtype)


@torch.no_grad()
def test_mean_and_spread_are_those_of_the_members(committee):
    graph = collate([graph_of(silicon(seed=seed), committee) for seed in (1, 2)])
    members = [potential(graph) for potential in committee.members]
    mean, spread = committee(graph), committee.spread(graph)
    for name in ("energy", "forces", "stress", "atomic_energies"):
        values = np.stack([getattr(member, name).numpy() for member in members])
        np.testing.assert_allclose(getattr(mean, name), values.mean(axis=0), atol=1e-10)
        if name != "stress":
            deviation = np.sqrt(((values - values.mean(axis=0)) ** 2).sum(axis=0) / 2)  # M − 1
            np.testing.assert_allclose(getattr(spread, name), deviation, atol=1e-10)
            assert deviation.max() > 1e-3


@torch.no_grad()
@pytest.mark.parametrize("kind", sorted(SMALL))
def test_a_member_with_a_shorter_cutoff_sees_its_own_edges_only(kind):
    short, long = small_potential(kind, cutoff=3.6), small_potential(cutoff=4.5)
    committee = Committee([short, long])
    assert committee.cutoff == 4.5
    alone = short(graph_of(silicon(), short))
    together = committee.predictions(graph_of(silicon(), committee))[0]
    for expected, got in zip(alone, together, strict=True):
        torch.testing.assert_close(got, expected, atol=1e-9, rtol=1e-9)


class NeighborCount(AtomicEnergyModel):
    """A model without an envelope: each atom's energy is its number of neighbors."""

    Config = ModelConfig

    def __init__(self, config):
        super().__init__(config)
        self.weight = torch.nn.Parameter(torch.ones((), dtype=torch.float64))

    def atomic_energies(self, graph):
        ones = torch.ones_like(edge_lengths(graph))
        counts = torch.zeros_like(graph.positions[:, 0]).index_add(0, graph.edge_index[1], ones)
        return self.weight * counts + 0 * edge_lengths(graph).sum()


@torch.no_grad()
def test_longer_edges_are_not_even_shown_to_a_member_with_a_shorter_cutoff():
    members = [
        Potential(NeighborCount(ModelConfig(kind="count", cutoff=cutoff, elements=("Si",))), {"Si": 0.0})
        for cutoff in (3.0, 4.2)
    ]
    committee = Committee(members)
    short, long = committee.predictions(graph_of(silicon(rattle=0.0), committee))
    assert short.atomic_energies.tolist() == [4.0] * 8
    assert long.atomic_energies.tolist() == [16.0] * 8


def test_its_forces_are_the_derivative_of_its_energy(committee):
    graph = graph_of(silicon(), committee)
    graph.positions.requires_grad_(True)
    prediction = committee(graph)
    (gradient,) = torch.autograd.grad(prediction.energy.sum(), graph.positions)
    torch.testing.assert_close(prediction.forces, -gradient)


def test_its_spread_can_be_differentiated(committee):
    graph = graph_of(silicon(), committee)
    graph.positions.requires_grad_(True)
    (gradient,) = torch.autograd.grad(committee.spread(graph).energy.sum(), graph.positions)
    moved = graph_of(silicon(), committee)
    step = 1e-4
    values = []
    for sign in (1, -1):
        moved.positions[3, 1] += sign * step
        with torch.no_grad():
            values.append(committee.spread(moved).energy.item())
        moved.positions[3, 1] -= sign * step
    assert gradient[3, 1].item() == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-4)


def test_without_grad_mode_nothing_is_kept_for_derivatives(committee):
    with torch.no_grad():
        prediction = committee(graph_of(silicon(), committee))
    assert not any(values.requires_grad for values in prediction)


def test_it_knows_the_elements_that_all_members_know():
    committee = Committee(
        [small_potential(elements=("C", "H", "O")), small_potential(elements=("H", "O"), seed=2)]
    )
    assert committee.elements == ("H", "O")
    with pytest.raises(DataError, match=r"^expected atoms of H, O, got C; "):
        committee.check_elements(torch.as_tensor(ethanol().numbers))


def test_members_that_share_no_element_are_refused():
    with pytest.raises(DataError, match=r"^expected members that share an element, got Si; Ge; "):
        Committee([small_potential(elements=("Si",)), small_potential(elements=("Ge",))])


def test_one_member_is_no_committee():
    with pytest.raises(DataError, match=r"^expected at least two potentials for a committee, got 1; "):
        Committee([small_potential()])


def test_a_committee_is_no_member():
    nested = [Committee([small_potential(seed=0), small_potential(seed=1)]), small_potential(seed=2)]
    with pytest.raises(DataError, match=r"^expected potentials for a committee, got Committee, Potential; "):
        Committee(nested)


def test_members_of_two_precisions_are_refused():
    with pytest.raises(DataError, match=r"^expected members of one dtype, got float32, float64; "):
        Committee([small_potential(), small_potential(dtype=torch.float32)])
