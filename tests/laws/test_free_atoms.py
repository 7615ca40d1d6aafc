"""A free atom has its reference energy, whatever the model is and however the potential came about."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.data import atomic_numbers
from potentials import SMALL, small_potential
from structures import ethanol

from gnnpot import GNNPotCalculator
from gnnpot.graph.graph import AtomicGraph, collate
from gnnpot.potential.committee import Committee
from gnnpot.potential.header import read_header
from gnnpot.potential.model_file import load_potential, save_potential
from gnnpot.potential.potential import Potential
from gnnpot.transferring.element_map import resolve_element_map
from gnnpot.transferring.weights import carried

ELEMENTS = ("C", "H", "O")


@pytest.fixture(params=sorted(SMALL))
def potential(request) -> Potential:
    return small_potential(request.param, elements=ELEMENTS)


def graph_of(potential, *structures: Atoms) -> AtomicGraph:
    return collate([AtomicGraph.from_ase(atoms, potential.cutoff, torch.float64) for atoms in structures])


def interaction(potential, symbol: str) -> float:
    """Energy of a free atom less its reference energy (eV)."""
    with torch.no_grad():
        energy = potential(graph_of(potential, Atoms(symbol))).energy.item()
    members = potential.potentials if isinstance(potential, Committee) else [potential]
    number = atomic_numbers[symbol]
    return energy - sum(float(one.reference_energies[number]) for one in members) / len(members)


def assert_law(potential) -> None:
    assert [interaction(potential, symbol) for symbol in potential.elements] == pytest.approx(
        [0.0] * len(potential.elements), abs=1e-9
    )


def test_a_free_atom_has_its_reference_energy_after_any_change(potential):
    assert_law(potential)
    with torch.no_grad():
        for weight in potential.parameters():
            weight.add_(0.05)
    assert_law(potential)
    potential.load_state_dict(
        {name: 1.1 * value for name, value in potential.state_dict().items()}, assign=True
    )
    assert_law(potential)
    potential.scale = torch.tensor(7.0, dtype=torch.float64)
    assert_law(potential)
    potential.model = small_potential(potential.model.config.kind, elements=ELEMENTS, seed=9).model
    assert_law(potential)
    potential.model.float()
    with torch.no_grad():
        single = potential(AtomicGraph.from_ase(Atoms("C"), potential.cutoff, torch.float32)).energy.item()
    assert single == pytest.approx(float(potential.reference_energies[6]), abs=1e-3)


def test_while_training_too_where_no_weight_changes_it(potential):
    graph = graph_of(potential, Atoms("C"), ethanol(), Atoms("O"))
    energy = potential(graph).energy
    expected = potential.reference_energies[[6, 8]]
    torch.testing.assert_close(energy[[0, 2]], expected, atol=1e-9, rtol=0)
    gradients = torch.autograd.grad(energy[0], list(potential.parameters()), materialize_grads=True)
    assert max(float(gradient.abs().max()) for gradient in gradients if gradient.numel()) < 1e-9
    with torch.no_grad():
        torch.testing.assert_close(potential(graph).energy, energy, atol=1e-9, rtol=0)


def dimer(distance: float) -> Atoms:
    return Atoms("CO", [[0.0, 0.0, 0.0], [0.0, 0.0, distance]])


@pytest.mark.parametrize(("distance", "part"), [(1.9, 1.0), (3.0, 0.875), (4.0, 0.0)])
def test_an_atom_has_more_of_the_network_the_closer_its_neighbor_is(potential, distance, part):
    """At 3/4 of the cutoff a neighbor counts one half: 1 − (1 − 1/2)³."""
    potential.repulsion = None
    graph = graph_of(potential, dimer(distance))
    with torch.no_grad():
        network = potential.model.atomic_energies(graph).sum().double() * potential.scale
        energy = potential(graph).energy.item()
    expected = float(potential.reference_energies[[6, 8]].sum() + part * network)
    assert energy == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("distance", [2.2, 3.0, 3.9])
def test_forces_are_derivatives_while_a_molecule_comes_apart(potential, distance):
    def energy(length):
        with torch.no_grad():
            return potential(graph_of(potential, dimer(length))).energy.item()

    step = 1e-4
    slope = (energy(distance + step) - energy(distance - step)) / (2 * step)
    graph = graph_of(potential, dimer(distance))
    with torch.no_grad():
        assert potential(graph).forces[1, 2].item() == pytest.approx(-slope, rel=1e-5, abs=1e-6)
    assert abs(slope) > 1e-4
    weight = next(w for w in potential.parameters() if w.numel())
    (gradient,) = torch.autograd.grad(potential(graph).forces[1, 2], weight)
    place, changes = int(gradient.abs().argmax()), []
    for change in (step, -2 * step):
        with torch.no_grad():
            weight.view(-1)[place] += change
            changes.append(potential(graph).forces[1, 2].item())
    difference = (changes[0] - changes[1]) / (2 * step)
    assert gradient.view(-1)[place].item() == pytest.approx(difference, rel=1e-4, abs=1e-6)


def test_energy_force_and_its_slope_go_on_where_the_network_sets_in(potential):
    potential.repulsion = None
    for place in (2.0, 4.0):
        lengths = place + 1e-5 * torch.arange(-2, 3)
        with torch.no_grad():
            graphs = [graph_of(potential, dimer(length)) for length in lengths.tolist()]
            forces = torch.stack([potential(graph).forces[1, 2] for graph in graphs])
        before, after = forces[1] - forces[0], forces[4] - forces[3]
        assert float(after - before) == pytest.approx(0.0, abs=1e-6)


def test_a_bonded_structure_is_left_to_the_network(potential):
    graph = graph_of(potential, ethanol(), ethanol())
    assert potential.network_part(graph) is None
    assert potential.network_part(graph_of(potential, ethanol(), dimer(2.5))) is not None


def test_it_is_the_same_in_files_and_may_be_left_out(potential, tmp_path):
    path, atoms = tmp_path / "model.safetensors", dimer(3.0)
    potential.free_atoms = "network"
    save_potential(potential, path)
    assert read_header(path).free_atoms == "network"
    loaded = load_potential(path)
    assert abs(interaction(loaded, "C")) > 1e-3
    with torch.no_grad():
        expected = potential(graph_of(potential, atoms)).energy
        assert torch.equal(loaded(graph_of(loaded, atoms)).energy, expected)
    potential.free_atoms = "reference"
    save_potential(potential, path)
    assert_law(load_potential(path))


def test_dynamics_obeys_it_while_a_molecule_comes_apart_and_meets_again(potential):
    atoms, recorded = dimer(1.8), GNNPotCalculator(potential, device="cpu")
    atoms.positions += [0.0, 0.0, 1.0]
    bonded, parting, apart = np.linspace(1.2, 1.3, 5), np.linspace(1.9, 3.4, 16), np.linspace(4.1, 4.3, 5)
    for distance in (*bonded, *parting, *apart, *parting[::-1]):
        atoms.positions[1, 2] = atoms.positions[0, 2] + distance
        recorded.calculate(atoms)
        with torch.no_grad():
            expected = potential(graph_of(potential, atoms))
        assert recorded.results["energy"] == pytest.approx(expected.energy.item(), abs=1e-9)
        assert recorded.results["forces"] == pytest.approx(expected.forces.numpy(), abs=1e-9)


def test_a_committee_has_the_mean_of_the_reference_energies(potential):
    assert_law(Committee([potential, small_potential("schnet", elements=ELEMENTS, seed=5)]))


def test_a_carried_potential_obeys_it(potential):
    potential.free_atoms = "network"
    elements = resolve_element_map({"Si": "C"}, source=ELEMENTS, target=["Si", "H"])
    assert_law(carried(potential, elements, length_scale=1.2, energy_scale=0.8))
