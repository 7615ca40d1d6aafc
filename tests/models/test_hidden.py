"""The last hidden layer of every model."""

from __future__ import annotations

import pytest
import torch
from potentials import SMALL, small_potential
from structures import ethanol, silicon

from gnnpot.graph.graph import AtomicGraph, collate
from gnnpot.models.ani import ANI
from gnnpot.models.hidden import hidden_features


@torch.no_grad()
@pytest.mark.parametrize("kind", sorted(SMALL))
@pytest.mark.parametrize("make", [silicon, ethanol], ids=["silicon", "ethanol"])
def test_energies_are_linear_in_the_features(kind, make):
    elements = tuple(sorted(set(make().symbols)))
    potential = small_potential(kind, elements=elements)
    graphs = [AtomicGraph.from_ase(make(), potential.cutoff, potential.dtype) for _ in range(2)]
    graph = collate(graphs)
    features = hidden_features(potential.model, graph)
    energies = potential.model.atomic_energies(graph)
    weights = _last_weights(potential.model)
    rest = energies - features @ weights  # a bias, which may be that of an element
    for number in graph.atomic_numbers.unique():
        own = rest[graph.atomic_numbers == number]
        torch.testing.assert_close(own, own[:1].expand_as(own), atol=1e-9, rtol=1e-9)
    assert features.abs().max() > 0


def _last_weights(model):
    """Weights of the layers of width one, in the order of the features."""
    if isinstance(model, ANI):
        return torch.cat([network[-1].weight[0] for network in model.networks.networks])
    found = [
        module.weight[0]
        for module in model.modules()
        if isinstance(module, torch.nn.Linear) and module.out_features == 1
    ]
    return torch.cat(found)


@torch.no_grad()
def test_looking_at_features_leaves_no_hook_behind():
    potential = small_potential()
    graph = AtomicGraph.from_ase(silicon(), potential.cutoff, potential.dtype)
    before = potential(graph).energy
    hidden_features(potential.model, graph)
    assert not any(module._forward_pre_hooks for module in potential.modules())
    torch.testing.assert_close(potential(graph).energy, before)
