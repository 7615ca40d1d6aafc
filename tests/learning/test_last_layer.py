"""The uncertainty of one potential from its last hidden layer."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase.calculators.singlepoint import SinglePointCalculator
from potentials import small_potential
from structures import silicon

from gnnpot.data.dataset import GraphDataset
from gnnpot.data.store import GraphStore
from gnnpot.errors import DataError
from gnnpot.graph.graph import AtomicGraph, collate
from gnnpot.learning.last_layer import LastLayerUncertainty
from gnnpot.models.hidden import hidden_features


def dataset(potential, seeds, *, rattle=0.1, error=None):
    frames, rng = [], np.random.default_rng(0)
    for seed in seeds:
        atoms = silicon(rattle=rattle, seed=seed)
        if error is not None:
            graph = AtomicGraph.from_ase(atoms, potential.cutoff, potential.dtype)
            with torch.no_grad():
                energy = potential(graph).energy.item()
            atoms.calc = SinglePointCalculator(atoms, energy=energy + 8 * error * rng.normal())
        frames.append(atoms)
    store = GraphStore.in_memory(frames, potential.cutoff)
    return GraphDataset(store, range(len(store)), dtype=potential.dtype)


@pytest.fixture(scope="module")
def fitted():
    potential = small_potential("schnet")
    train, held_out = (dataset(potential, seeds, error=0.01) for seeds in (range(30), range(30, 60)))
    return LastLayerUncertainty.fitted(potential, train, held_out), train, held_out


def test_it_is_the_closed_form_of_linear_regression(fitted):
    uncertainty, train, held_out = fitted

    def means(graphs):
        with torch.no_grad():
            found = [hidden_features(uncertainty.potential.model, graph).mean(0) for graph in graphs]
        return torch.stack(found).numpy()

    known, new = means(train), means(held_out)
    matrix = known.T @ known
    matrix += 1e-6 * np.diag(matrix).mean() * np.eye(len(matrix))
    plain = np.sqrt(np.einsum("sf,fg,sg->s", new, np.linalg.inv(matrix), new))
    found = uncertainty.energy_per_atom(collate(list(held_out)))
    np.testing.assert_allclose(found, uncertainty.alpha * plain, rtol=1e-5)


def test_held_out_errors_are_as_large_as_it_says(fitted):
    uncertainty, _, held_out = fitted
    graph = collate(list(held_out))
    with torch.no_grad():
        errors = ((uncertainty.potential(graph).energy - graph.energy) / 8).numpy()
    ratios = errors / uncertainty.energy_per_atom(graph)
    assert np.sqrt(np.mean(ratios**2)) == pytest.approx(1.0, abs=1e-6)


def test_it_grows_away_from_the_training_structures(fitted):
    uncertainty, _, held_out = fitted
    far = dataset(uncertainty.potential, range(70, 76), rattle=0.4)
    like, unlike = (np.median(uncertainty.energy_per_atom(collate(list(one)))) for one in (held_out, far))
    assert unlike > 2 * like
    assert uncertainty.atoms(far[0]).shape == (8,)


def test_without_held_out_energies_it_cannot_be_scaled(fitted):
    uncertainty, train, _ = fitted
    with pytest.raises(DataError, match=r"^expected held-out structures with energies to scale by"):
        LastLayerUncertainty.fitted(uncertainty.potential, train, dataset(uncertainty.potential, [1]))
