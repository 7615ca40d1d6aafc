"""A free atom has its reference energy, whatever the model is and however the potential came about."""

from __future__ import annotations

import pytest
import torch
from ase import Atoms
from ase.data import atomic_numbers
from potentials import SMALL, small_potential
from structures import ethanol

from gnnpot.graph.graph import AtomicGraph, collate
from gnnpot.potential.committee import Committee
from gnnpot.potential.model_file import load_potential, read_header, save_potential
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


def test_fitted_reference_energies_take_it_in_when_they_are_saved(potential, tmp_path):
    molecule = graph_of(potential, ethanol())
    potential.release(("C", "O"))
    with torch.no_grad():
        before = potential(molecule)
    assert potential.fitted == {"C", "O"}
    assert interaction(potential, "H") == pytest.approx(0.0, abs=1e-9)
    assert abs(interaction(potential, "C")) > 1e-3
    save_potential(potential, tmp_path / "model.safetensors")
    loaded = load_potential(tmp_path / "model.safetensors")
    assert_law(loaded)
    assert read_header(tmp_path / "model.safetensors").reference_energies["C"] == pytest.approx(
        float(loaded.reference_energies[6])
    )
    potential.settle()
    assert_law(potential)
    with torch.no_grad():
        for other in (potential, loaded):
            torch.testing.assert_close(other(molecule).energy, before.energy, atol=1e-9, rtol=0)
            torch.testing.assert_close(other(molecule).forces, before.forces, atol=1e-9, rtol=0)


def test_a_committee_has_the_mean_of_the_reference_energies(potential):
    assert_law(Committee([potential, small_potential("schnet", elements=ELEMENTS, seed=5)]))


def test_a_carried_potential_obeys_it_once_it_is_settled(potential):
    elements = resolve_element_map({"Si": "C"}, source=ELEMENTS, target=["Si", "H"])
    target = carried(potential, elements, length_scale=1.2, energy_scale=0.8)
    target.settle()
    assert_law(target)
