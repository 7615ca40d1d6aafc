"""The laws of physics that every registered model obeys."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, make_supercell
from scipy.spatial.transform import Rotation
from structures import ethanol, rattled_crystal, silicon, slab
from torch import Tensor

from gnnpot.graph.graph import AtomicGraph, collate
from gnnpot.kernels.dispatch import plain_torch
from gnnpot.models import MODELS, build_model
from gnnpot.potential.model_file import load_potential, save_potential
from gnnpot.potential.potential import Potential, Prediction
from gnnpot.potential.repulsion import ZBLRepulsion

ELEMENTS = ("H", "C", "O", "Si", "Ni")
SMALL: dict[str, dict[str, Any]] = {
    "ani": {"cutoff": 4.5, "hidden": (16, 8), "activation": "silu", "envelope": "polynomial"},
    "dimenet++": {"channels": 8, "interaction_channels": 4, "output_channels": 8, "num_blocks": 2},
    "nequip": {"channels": 4, "radial_hidden": (8,), "num_neighbors": 40.0},
    "schnet": {"channels": 8, "num_filters": 8, "num_basis": 12, "num_interactions": 2},
}
VARIANTS = {"schnet, exact": {**SMALL["schnet"], "filters": "exact"}}


@pytest.fixture(params=[*sorted(MODELS), *VARIANTS])
def potential(request) -> Potential:
    return build(request.param)


@pytest.fixture(params=["compiled", "torch"], autouse=True)
def kernels(request) -> Iterator[None]:
    """Every law holds with compiled loops and in plain torch."""
    with plain_torch() if request.param == "torch" else nullcontext():
        yield


def build(name: str) -> Potential:
    """A small model with no weight at zero."""
    torch.manual_seed(1)
    sizes = VARIANTS.get(name, SMALL.get(name, {}))
    config = MODELS[name.split(",")[0]].Config(**{"cutoff": 4.0, **sizes})
    model = build_model(config, ELEMENTS).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.03 * torch.randn_like(parameter))
    references = {symbol: -1.0 - number for number, symbol in enumerate(ELEMENTS)}
    return Potential(model, references, scale=0.5, repulsion=ZBLRepulsion())


@torch.no_grad()
def predict(potential: Potential, *structures: Atoms) -> Prediction:
    graphs = [AtomicGraph.from_ase(atoms, potential.cutoff, potential.dtype) for atoms in structures]
    return potential(collate(graphs))


def energy(potential: Potential, atoms: Atoms) -> float:
    return predict(potential, atoms).energy.item()


def strained(atoms: Atoms, strain: np.ndarray) -> Atoms:
    moved = atoms.copy()
    moved.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
    return moved


def sheared_nickel() -> Atoms:
    """One atom in a strongly anisotropic cell: all neighbors are its own images."""
    return strained(bulk("Ni"), np.array([[0.1, 0.05, 0.0], [0.0, -0.08, 0.1], [0.02, 0.0, 0.0]]))


def close_pair() -> Atoms:
    """Within the reach of the short-range repulsion."""
    return Atoms("SiCO", [[0, 0, 0], [1.2, 0, 0], [1.4, 1.1, 0.3]])


@pytest.mark.parametrize("make", [ethanol, rattled_crystal, slab, close_pair], ids=lambda make: make.__name__)
def test_forces_are_minus_the_gradient_of_the_energy(potential, make):
    atoms, step = make(), 1e-5
    forces = predict(potential, atoms).forces.numpy()
    for atom in range(0, len(atoms), max(1, len(atoms) // 3)):
        for axis in range(3):
            sides = []
            for side in (-1, 1):
                moved = atoms.copy()
                moved.positions[atom, axis] += side * step
                sides.append(energy(potential, moved))
            assert forces[atom, axis] == pytest.approx(
                -(sides[1] - sides[0]) / (2 * step), abs=1e-6, rel=1e-6
            )
    assert np.abs(forces).max() > 1e-4


@pytest.mark.parametrize("make", [rattled_crystal, sheared_nickel], ids=lambda make: make.__name__)
def test_stress_is_the_derivative_of_the_energy_by_strain(potential, make):
    atoms, step = make(), 1e-4
    stress = predict(potential, atoms).stress[0].numpy()
    for i in range(3):
        for j in range(3):
            strain = np.zeros((3, 3))
            strain[i, j] += 0.5 * step
            strain[j, i] += 0.5 * step
            slope = (
                energy(potential, strained(atoms, strain)) - energy(potential, strained(atoms, -strain))
            ) / 2
            assert stress[i, j] == pytest.approx(slope / step / atoms.get_volume(), abs=1e-7)
    assert np.abs(stress).max() > 1e-4


def test_a_batch_gives_what_its_members_give(potential):
    members = [ethanol(), rattled_crystal(), Atoms("O"), slab(), sheared_nickel()]
    together = predict(potential, *members)
    alone = [predict(potential, atoms) for atoms in members]
    for name in Prediction._fields:
        expected = torch.cat([getattr(prediction, name) for prediction in alone])
        torch.testing.assert_close(getattr(together, name), expected, atol=1e-10, rtol=1e-10, equal_nan=True)
    assert torch.isnan(together.stress).flatten(1).any(1).tolist() == [True, False, True, True, False]


@pytest.mark.parametrize("make", [ethanol, rattled_crystal], ids=lambda make: make.__name__)
@pytest.mark.parametrize("sign", [1, -1], ids=["rotation", "inversion"])
def test_rotating_the_structure_rotates_forces_and_stress(potential, make, sign):
    atoms = make()
    turn = sign * Rotation.from_rotvec([0.4, -1.1, 0.7]).as_matrix()
    turned = atoms.copy()
    turned.set_cell(atoms.cell.array @ turn)
    turned.positions = atoms.positions @ turn
    before, after = predict(potential, atoms), predict(potential, turned)
    matrix = torch.as_tensor(turn)
    torch.testing.assert_close(after.energy, before.energy, atol=1e-10, rtol=0)
    torch.testing.assert_close(after.forces, before.forces @ matrix, atol=1e-9, rtol=0)
    expected = matrix.T @ before.stress @ matrix
    torch.testing.assert_close(after.stress, expected, atol=1e-10, rtol=0, equal_nan=True)


def test_translation_changes_nothing_and_the_forces_balance(potential):
    atoms, moved = rattled_crystal(), rattled_crystal()
    moved.positions += [0.31, -2.4, 7.7]
    before, after = predict(potential, atoms), predict(potential, moved)
    torch.testing.assert_close(after.energy, before.energy, atol=1e-10, rtol=0)
    torch.testing.assert_close(after.forces, before.forces, atol=1e-9, rtol=0)
    torch.testing.assert_close(before.forces.sum(0), torch.zeros(3).double(), atol=1e-10, rtol=0)


def test_renumbering_atoms_renumbers_the_forces(potential):
    atoms = ethanol()
    order = np.random.default_rng(0).permutation(len(atoms))
    before, after = predict(potential, atoms), predict(potential, atoms[order])
    torch.testing.assert_close(after.energy, before.energy, atol=1e-10, rtol=0)
    torch.testing.assert_close(after.forces, before.forces[order], atol=1e-9, rtol=0)


def test_an_atom_and_its_image_are_the_same_atom(potential):
    atoms, moved = silicon(), silicon()
    moved.positions[3] += 2 * atoms.cell[0] - atoms.cell[2]
    torch.testing.assert_close(predict(potential, moved).forces, predict(potential, atoms).forces)


def test_a_supercell_has_the_energy_of_its_cells(potential):
    atoms = rattled_crystal()
    large = make_supercell(atoms, [[2, 1, 0], [0, 1, 0], [0, -1, 2]])
    before, after = predict(potential, atoms), predict(potential, large)
    assert after.energy.item() == pytest.approx(4 * before.energy.item(), abs=1e-9)
    torch.testing.assert_close(after.stress, before.stress, atol=1e-10, rtol=0)


def test_a_left_handed_cell_has_the_same_stress(potential):
    atoms = rattled_crystal()
    left = atoms.copy()
    left.set_cell(atoms.cell.array[[1, 0, 2]])
    assert np.linalg.det(left.cell.array) * np.linalg.det(atoms.cell.array) < 0
    torch.testing.assert_close(predict(potential, left).stress, predict(potential, atoms).stress)


def test_energy_and_forces_are_smooth_where_a_neighbor_crosses_the_cutoff(potential):
    reach, step = potential.cutoff, 1e-4
    inside, outside = (
        predict(potential, Atoms("SiOSi", [[0, 0, 0], [1.7, 0, 0], [0, reach + side * step, 0]]))
        for side in (-1, 1)
    )
    assert inside.energy.item() == pytest.approx(outside.energy.item(), abs=1e-7)
    torch.testing.assert_close(inside.forces, outside.forces, atol=1e-4, rtol=0)


def test_a_lone_atom_feels_nothing(potential):
    prediction = predict(potential, Atoms("Si"))
    assert torch.isfinite(prediction.energy).all()
    assert prediction.forces.abs().max() == 0


def test_no_atoms_have_no_energy(potential):
    prediction = predict(potential, Atoms(cell=[4.0, 4.0, 4.0], pbc=True))
    assert prediction.energy.tolist() == [0.0]
    assert prediction.forces.shape == (0, 3)


@pytest.mark.parametrize("angle", [0.0, 180.0])
def test_collinear_atoms_have_finite_forces_and_second_derivatives(potential, angle):
    cosine = np.cos(np.radians(angle))
    atoms = Atoms("SiCSi", [[0, 0, 0], [1.9, 0, 0], [1.9 - 2.2 * cosine, 0, 0]])
    if angle == 0.0:
        atoms.positions[2, 0] = 1.9 - 2.9
    assert_second_derivatives(potential, atoms)


@pytest.mark.parametrize("make", [lambda: bulk("Ni", cubic=True), lambda: bulk("Si")], ids=["fcc", "diamond"])
def test_perfect_crystals_have_finite_second_derivatives(potential, make):
    assert_second_derivatives(potential, make())


def assert_second_derivatives(potential: Potential, atoms: Atoms) -> None:
    """They are finite, and equal to finite differences of the forces."""
    graph = AtomicGraph.from_ase(atoms, potential.cutoff, torch.float64)
    graph.positions.requires_grad_(True)
    force = potential(graph).forces[0, 0]
    (row,) = torch.autograd.grad(-force, graph.positions)
    step, sides = 1e-5, []
    for side in (-1, 1):
        moved = atoms.copy()
        moved.positions[0, 1] += side * step
        sides.append(predict(potential, moved).forces[0, 0].item())
    assert torch.isfinite(row).all()
    assert row[0, 1].item() == pytest.approx(-(sides[1] - sides[0]) / (2 * step), abs=1e-5)


SURROUNDINGS = {
    "a batch": [ethanol, rattled_crystal, lambda: Atoms("O"), slab, sheared_nickel, close_pair],
    "a crystal": [rattled_crystal],
    "a lone atom": [lambda: Atoms("Si")],
    "a dimer": [lambda: Atoms("SiC", [[0, 0, 0], [1.9, 0, 0]])],
    "atoms out of reach": [lambda: Atoms("SiC", [[0, 0, 0], [50.0, 0, 0]])],
    "no atoms": [Atoms],
}


@pytest.mark.parametrize("name", SURROUNDINGS)
def test_compiled_loops_give_what_torch_gives(potential, plain, name):
    pytest.importorskip("numba")
    structures = [make() for make in SURROUNDINGS[name]]
    fused, expected = (way(potential, structures) for way in (trained_on, partial(plain, trained_on)))
    for one, other in zip(fused, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-10, rtol=1e-10, equal_nan=True)


def trained_on(potential: Potential, structures: list[Atoms]) -> list[Tensor]:
    """Predictions, and the gradients of a loss on energy and forces."""
    graphs = [AtomicGraph.from_ase(atoms, potential.cutoff, potential.dtype) for atoms in structures]
    prediction = potential(collate(graphs))
    loss = prediction.energy.sum() + prediction.forces.square().mean()
    gradients = torch.autograd.grad(loss, [*potential.parameters()], materialize_grads=True)
    return [*prediction, *gradients]


@pytest.mark.parametrize("make", [ethanol, rattled_crystal], ids=lambda make: make.__name__)
def test_the_energy_has_the_same_derivatives_from_outside(potential, make):
    graph = AtomicGraph.from_ase(make(), potential.cutoff, torch.float64)
    graph.positions.requires_grad_(True)
    prediction = potential(graph)
    once = torch.autograd.grad(prediction.energy.sum(), graph.positions, retain_graph=True)[0]
    again = torch.autograd.grad(prediction.energy.sum(), graph.positions, create_graph=True)[0]
    direction = torch.randn(once.shape, dtype=once.dtype, generator=torch.Generator().manual_seed(0))
    rows = [
        torch.autograd.grad((first * direction).sum(), graph.positions, retain_graph=True)[0]
        for first in (again, -prediction.forces)
    ]
    for found in (once, again):
        torch.testing.assert_close(found, -prediction.forces, atol=1e-10, rtol=1e-10)
    torch.testing.assert_close(*rows, atol=1e-9, rtol=1e-9)


def test_predicting_leaves_the_graph_as_it_was(potential):
    graph = AtomicGraph.from_ase(rattled_crystal(), potential.cutoff, torch.float64)
    before = graph.clone()
    potential(graph)
    assert set(graph.keys()) == set(before.keys())
    assert all(torch.equal(graph[name], before[name]) for name in before.keys())  # noqa: SIM118
    assert not graph.positions.requires_grad


@pytest.mark.parametrize("quantity", ["forces", "stress"])
def test_a_loss_on_derivatives_reaches_every_weight(potential, quantity):
    structures = [rattled_crystal(), silicon()] if quantity == "stress" else [rattled_crystal(), ethanol()]
    if quantity == "stress":
        structures += [bulk(name, "fcc", a=4.0, cubic=True) for name in ("H", "C", "O", "Ni")]
        for seed, atoms in enumerate(structures):
            atoms.rattle(0.1, seed=seed)
    else:
        structures.append(Atoms("NiNi", [[0, 0, 0], [2.3, 0.1, 0]]))
    graphs = [AtomicGraph.from_ase(atoms, potential.cutoff, torch.float64) for atoms in structures]
    value = getattr(potential(collate(graphs)), quantity)
    value[torch.isfinite(value)].square().sum().backward()
    names = dict(potential.model.named_parameters())
    silent = [
        name for name, weight in names.items() if weight.grad is None or not weight.grad.abs().max() > 0
    ]
    shifts = [name for name in silent if names[name].shape == (1,)]  # bias of the energy: a constant
    assert silent == shifts


def test_exchanging_elements_changes_the_energy(potential):
    positions = [[0, 0, 0], [1.6, 0, 0], [0.2, 1.9, 0]]
    one, other = Atoms("SiCO", positions), Atoms("CSiO", positions)
    assert abs(energy(potential, one) - energy(potential, other)) > 1e-4


def test_single_precision_agrees_with_double(potential):
    atoms = rattled_crystal()
    double = predict(potential, atoms)
    potential.model.float()
    single = predict(potential, atoms)
    assert single.energy.dtype == torch.float64
    torch.testing.assert_close(single.energy, double.energy, atol=1e-4, rtol=0)
    torch.testing.assert_close(single.forces.double(), double.forces, atol=1e-3, rtol=1e-3)


def test_the_same_question_has_the_same_answer(potential):
    one, other = predict(potential, silicon()), predict(potential, silicon())
    assert torch.equal(one.forces, other.forces)
    assert torch.equal(one.energy, other.energy)


def test_saving_and_loading_is_exact(potential, tmp_path):
    save_potential(potential, tmp_path / "model.safetensors")
    before, after = (
        predict(p, silicon()) for p in (potential, load_potential(tmp_path / "model.safetensors"))
    )
    for name in Prediction._fields:
        assert torch.equal(getattr(before, name), getattr(after, name))
