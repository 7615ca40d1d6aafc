"""Recorded steps give what the potential gives."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from potentials import SMALL, small_potential
from structures import ethanol, rattled_crystal

from gnnpot import GNNPotCalculator
from gnnpot.calculator.recording import Replay
from gnnpot.graph.geometry import pair_vectors
from gnnpot.graph.graph import AtomicGraph
from gnnpot.potential.repulsion import ZBLRepulsion


def walk(atoms, steps=8, seed=0):
    """Positions and cells of a short random walk within the skin."""
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        atoms.positions += rng.normal(scale=0.01, size=atoms.positions.shape)
        if atoms.pbc.all():
            atoms.set_cell(atoms.cell.array * (1 + 1e-4 * rng.normal()), scale_atoms=True)
        yield atoms


def graph_of(make):
    graph = AtomicGraph.from_ase(make(), 4.0, torch.float64)
    graph.pair_vectors = pair_vectors(graph)
    return graph


def recording_of(calculator):
    return calculator._predict._recording


@pytest.mark.parametrize("kind", sorted(SMALL))
@pytest.mark.parametrize("make", [rattled_crystal, ethanol])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_walk_is_recorded_and_equals_that_of_the_potential_bit_by_bit(kind, make, dtype):
    elements = tuple(sorted(set(make().symbols)))
    potential = small_potential(kind, elements=elements)
    atoms = make()
    recorded = GNNPotCalculator(potential, device="cpu", default_dtype=dtype)
    called = GNNPotCalculator(potential, device="cpu", default_dtype=dtype)
    called._predict._refused = True
    for step, moved in enumerate(walk(atoms)):
        recorded.calculate(moved)
        called.calculate(moved)
        assert (recording_of(recorded) is not None) == (step >= 2)
        assert recorded.results.keys() == called.results.keys()
        for name, value in called.results.items():
            np.testing.assert_array_equal(recorded.results[name], value)
    assert np.ptp(called.results["forces"]) > 1e-3


def test_a_committee_is_recorded():
    atoms = rattled_crystal()
    members = [small_potential(seed=seed) for seed in range(3)]
    calculator = GNNPotCalculator(members, device="cpu")
    for moved in walk(atoms):
        calculator.calculate(moved)
    assert recording_of(calculator) is not None
    fresh = GNNPotCalculator(members, device="cpu")
    fresh.calculate(atoms)
    for name in ("energy", "forces", "forces_uncertainty", "stress"):
        np.testing.assert_allclose(calculator.results[name], fresh.results[name], atol=1e-10)


def test_other_atoms_or_a_new_list_end_a_recording():
    calculator = GNNPotCalculator(small_potential(), device="cpu")
    atoms = rattled_crystal()
    for moved in walk(atoms):
        calculator.calculate(moved)
    for other in (atoms * (2, 1, 1), atoms[:3], atoms):
        fresh = GNNPotCalculator(small_potential(), device="cpu")
        for moved in walk(other.copy(), steps=5):
            calculator.calculate(moved)
            fresh.calculate(moved)
            np.testing.assert_allclose(calculator.results["forces"], fresh.results["forces"], atol=1e-10)


def in_place(potential):
    with torch.no_grad():
        for weight in potential.parameters():
            weight *= 1.1


def by_an_optimizer(potential):
    weights = list(potential.parameters())
    for weight in weights:
        weight.grad = torch.ones_like(weight)
    torch.optim.Adam(weights, lr=0.02).step()


def changed_state(potential):
    return {name: value * 1.1 for name, value in potential.state_dict().items()}


def by_data(potential):
    for weight in potential.parameters():
        weight.data = weight.data * 1.1


def by_other_parameters(potential):
    for module in potential.modules():
        for name, weight in list(module.named_parameters(recurse=False)):
            setattr(module, name, torch.nn.Parameter(weight.detach() * 1.1, requires_grad=False))


def twice_at_one_address(potential):
    for factor in (2.0, 0.55):
        for weight in potential.parameters():
            weight.data = weight.data * factor


def another(model):
    """A model like this one with other weights."""
    other = copy.deepcopy(model)
    with torch.no_grad():
        for weight in other.parameters():
            weight *= 1.2
    return other


WAYS = {
    "in place": in_place,
    "optimizer": by_an_optimizer,
    "state": lambda potential: potential.load_state_dict(changed_state(potential)),
    "assigned state": lambda potential: potential.load_state_dict(changed_state(potential), assign=True),
    "data": by_data,
    "data, twice": twice_at_one_address,
    "parameters": by_other_parameters,
    "scale in place": lambda potential: potential.scale.mul_(2.0),
    "another scale": lambda potential: setattr(potential, "scale", potential.scale * 2.0),
    "reference energies": lambda potential: potential.reference_energies.add_(1.0),
    "other reference energies": lambda potential: setattr(
        potential, "reference_energies", potential.reference_energies + 1.0
    ),
    "another model": lambda potential: setattr(potential, "model", another(potential.model)),
    "another repulsion": lambda potential: setattr(potential, "repulsion", ZBLRepulsion(1.2)),
}


@pytest.mark.parametrize("kind", sorted(SMALL))
def test_whatever_changes_the_potential_changes_the_next_result(kind):
    calculator = GNNPotCalculator(small_potential(kind), device="cpu", skin=2.0)
    atoms = rattled_crystal()
    for change in WAYS.values():
        for moved in walk(atoms, steps=4):
            calculator.calculate(moved)
        assert recording_of(calculator) is not None
        before = calculator.get_property("energies", atoms)
        assert calculator.get_property("energies", atoms) is not None  # from ASE's cache
        change(calculator.potential)
        assert recording_of(calculator) is not None
        found = {name: calculator.get_property(name, atoms) for name in ("energies", "forces", "stress")}
        fresh = GNNPotCalculator(copy.deepcopy(calculator.potential), device="cpu")
        for name, value in found.items():
            np.testing.assert_allclose(value, fresh.get_property(name, atoms), atol=1e-9, rtol=1e-9)
        assert np.abs(found["energies"] - before).max() > 1e-9


def test_what_was_written_behind_torch_counts_once_the_calculator_forgets():
    calculator = GNNPotCalculator(small_potential(), device="cpu")
    atoms = rattled_crystal()
    for moved in walk(atoms, steps=4):
        calculator.calculate(moved)
    for weight in calculator.potential.parameters():
        weight.data *= 1.1
    calculator.forget()
    fresh = GNNPotCalculator(calculator.potential, device="cpu")
    np.testing.assert_allclose(calculator.get_forces(atoms), fresh.get_forces(atoms), atol=1e-9)


@pytest.mark.parametrize(
    "function",
    [
        lambda graph: graph.pair_vectors[graph.pair_vectors[:, 0] > 1.0].sum(),  # as many rows as numbers say
        lambda graph: graph.pair_vectors.sum() * float(graph.pair_vectors.max()),
        lambda graph: torch.ones(3).double().add_(graph.pair_vectors.sum()),  # to a constant in place
        lambda graph: graph.pair_vectors.sum() * torch.from_numpy(graph.pair_vectors.numpy() ** 2).sum(),
    ],
)
def test_what_cannot_be_recorded_is_called(function):
    replay = Replay(function)
    graph = graph_of(rattled_crystal)
    for scale in (1.0, 1.1, 1.2, 1.3, 1.4, 1.5):
        moved = copy.copy(graph)
        moved.pair_vectors = scale * graph.pair_vectors
        torch.testing.assert_close(replay(moved), function(moved), atol=0, rtol=0)
    assert replay._refused


def test_what_does_not_depend_on_the_positions_is_computed_once():
    def function(graph):
        table = torch.exp(graph.cell_shifts.double()).sum()
        table = table.mul_(2.0)  # not again at every step
        return (graph.pair_vectors * table).sum() + torch.zeros(3, dtype=torch.float64).add_(
            graph.positions.sum()
        )

    replay = Replay(function)
    graph = graph_of(rattled_crystal)
    for scale in (1.0, 1.1, 1.2, 1.3, 1.4):
        moved = copy.copy(graph)
        moved.pair_vectors, moved.positions = scale * graph.pair_vectors, scale * graph.positions
        torch.testing.assert_close(replay(moved), function(moved), atol=0, rtol=0)
    assert not replay._refused
    assert len(replay._recording.steps) == 6  # the product, two sums, zero, and two additions


def test_a_calculator_with_a_recording_can_be_copied_and_pickled():
    calculator = GNNPotCalculator(small_potential(), device="cpu")
    atoms = rattled_crystal()
    for moved in walk(atoms):
        calculator.calculate(moved)
    for other in (copy.deepcopy(calculator), pickle.loads(pickle.dumps(calculator))):
        other.calculate(atoms)
        np.testing.assert_array_equal(other.results["forces"], calculator.results["forces"])


def test_a_large_recording_is_not_kept(monkeypatch):
    monkeypatch.setattr("gnnpot.calculator.recording._MOST_MEMORY", 1000)
    calculator = GNNPotCalculator(small_potential(), device="cpu")
    for moved in walk(rattled_crystal()):
        calculator.calculate(moved)
    assert recording_of(calculator) is None
    assert np.isfinite(calculator.results["energy"])
