"""The uncertainty of one potential from its last hidden layer."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write
from potentials import small_potential
from structures import silicon

from gnnpot.calculator.calculator import GNNPotCalculator
from gnnpot.commands.functions import evaluate
from gnnpot.data.dataset import GraphDataset
from gnnpot.data.store import GraphStore
from gnnpot.errors import ConfigError, DataError, ModelFileError
from gnnpot.graph.graph import AtomicGraph, collate
from gnnpot.models.hidden import hidden_features
from gnnpot.potential.last_layer import UNCERTAINTY_FILE, LastLayerUncertainty
from gnnpot.training.run import train
from gnnpot.training.run_config import RunConfig


def labeled(potential, seed, *, rattle=0.1, error=0.0, rng=None):
    """Silicon with the labels of a potential, and errors of the energy per atom and of the forces."""
    atoms, rng = silicon(rattle=rattle, seed=seed), rng or np.random.default_rng(seed)
    graph = AtomicGraph.from_ase(atoms, potential.cutoff, potential.dtype)
    with torch.no_grad():
        found = potential(graph)
    energy = found.energy.item() + len(atoms) * error * rng.normal()
    forces = found.forces.numpy() + error * rng.normal(size=(len(atoms), 3))
    atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces)
    return atoms


def batch(potential, seeds, **settings):
    rng = np.random.default_rng(0)
    frames = [labeled(potential, seed, rng=rng, **settings) for seed in seeds]
    store = GraphStore.in_memory(frames, potential.cutoff)
    return collate(list(GraphDataset(store, range(len(store)), dtype=potential.dtype)))


@pytest.fixture(scope="module")
def fitted():
    potential = small_potential("schnet")
    train, held_out = (batch(potential, seeds, error=0.01) for seeds in (range(30), range(30, 60)))
    return LastLayerUncertainty.fitted(potential, [train], [held_out]), train, held_out


def test_energies_are_the_closed_form_of_linear_regression(fitted):
    uncertainty, train, held_out = fitted

    def means(graph):
        return hidden_features(uncertainty.potential.model, graph).detach().numpy().reshape(30, 8, -1).mean(1)

    known, new = means(train), means(held_out)
    matrix = known.T @ known
    matrix += 1e-6 * np.diag(matrix).mean() * np.eye(len(matrix))
    plain = np.sqrt(np.einsum("sf,fg,sg->s", new, np.linalg.inv(matrix), new))
    found = uncertainty.deviations(held_out)
    np.testing.assert_allclose(found.energy.numpy() / 8, uncertainty.energy.sigma * plain, rtol=1e-5)


def test_forces_are_those_of_weights_drawn_from_it(fitted):
    uncertainty, _, _ = fitted
    graph = batch(uncertainty.potential, [5])
    graph.positions.requires_grad_(True)
    features = hidden_features(uncertainty.potential.model, graph).sum(0)
    gradients = [torch.autograd.grad(one, graph.positions, retain_graph=True)[0] for one in features]
    forces = torch.einsum("fnx,fk->knx", torch.stack(gradients), uncertainty.draws)
    expected = uncertainty.forces.sigma * forces.square().mean(0).sqrt()
    graph.positions.requires_grad_(False)
    np.testing.assert_allclose(uncertainty.deviations(graph).forces, expected, rtol=1e-5)


def test_held_out_errors_are_as_large_as_it_says(fitted):
    uncertainty, _, held_out = fitted
    prediction, found = uncertainty(held_out), uncertainty.deviations(held_out)
    energies = (prediction.energy - held_out.energy) / found.energy
    forces = (prediction.forces - held_out.forces) / found.forces
    for ratios, width in ((energies, uncertainty.energy.width), (forces, uncertainty.forces.width)):
        for count, share in ((1, 0.683), (width, 0.954)):
            assert (ratios.abs() <= count).double().mean().item() == pytest.approx(share, abs=0.04)


def test_the_intervals_hold_errors_that_are_far_from_normal():
    potential, rng = small_potential("schnet"), np.random.default_rng(1)

    def spoiled(seeds):  # a third of the structures has ten times the errors
        found = batch(potential, seeds)
        size = torch.where(torch.arange(found.num_structures) % 3 == 0, 0.1, 0.01)
        found.energy += found.num_atoms * size * torch.as_tensor(rng.normal(size=found.num_structures))
        sizes = size.repeat_interleave(8)[:, None].numpy()
        found.forces += torch.as_tensor(sizes * rng.normal(size=found.forces.shape))
        return found

    train, held_out, test = (spoiled(range(first, first + 30)) for first in (0, 30, 60))
    uncertainty = LastLayerUncertainty.fitted(potential, [train], [held_out])
    assert uncertainty.forces.width > 3
    errors = (uncertainty(test).forces - test.forces).abs() / uncertainty.deviations(test).forces
    for count, share in ((1, 0.683), (uncertainty.forces.width, 0.954)):
        assert (errors <= count).double().mean().item() == pytest.approx(share, abs=0.05)


def test_it_grows_away_from_the_training_structures(fitted):
    uncertainty, _, held_out = fitted
    far = batch(uncertainty.potential, range(70, 76), rattle=0.4)
    for name in ("energy", "forces", "atomic_energies"):
        like, unlike = (
            getattr(uncertainty.deviations(graph), name).median().item() for graph in (held_out, far)
        )
        assert unlike > 1.3 * like


def test_without_held_out_labels_it_cannot_be_scaled(fitted):
    uncertainty, train, _ = fitted
    bare = batch(uncertainty.potential, [1])
    bare.energy, bare.forces = (
        torch.full_like(bare.energy, torch.nan),
        torch.full_like(bare.forces, torch.nan),
    )
    with pytest.raises(DataError, match=r"^expected held-out structures with labels to scale by"):
        LastLayerUncertainty.fitted(uncertainty.potential, [train], [bare])


def test_a_calculator_tells_it_with_the_results_that_it_has_without(fitted, tmp_path):
    uncertainty, _, _ = fitted
    uncertainty.write(tmp_path / UNCERTAINTY_FILE)
    plain = GNNPotCalculator(uncertainty.potential)
    unsure = GNNPotCalculator(uncertainty.potential, uncertainty=tmp_path)
    assert "forces_uncertainty" in unsure.implemented_properties
    atoms = silicon(rattle=0.1, seed=90)
    for step in range(6):  # the later ones are replayed
        atoms.rattle(0.005, seed=step)
        for calculator in (plain, unsure):
            calculator.calculate(atoms)
        energy = unsure.results["energy_uncertainty"]
        assert "forces_uncertainty" not in unsure.results  # until it is asked for
        forces = unsure.get_property("forces_uncertainty", atoms)
        assert unsure.results["energy"] == pytest.approx(plain.results["energy"], abs=1e-9)
        np.testing.assert_allclose(unsure.results["forces"], plain.results["forces"], atol=1e-9)
        found = uncertainty.deviations(
            AtomicGraph.from_ase(atoms, unsure.potential.cutoff, unsure.potential.dtype)
        )
        assert energy == pytest.approx(found.energy.item(), rel=1e-6)
        assert forces.shape == (8, 3)
        np.testing.assert_allclose(forces, found.forces, rtol=1e-5)
        np.testing.assert_allclose(unsure.results["energies_uncertainty"], found.atomic_energies, rtol=1e-6)


def test_no_other_file_is_taken_for_it(fitted, tmp_path):
    potential = fitted[0].potential
    with pytest.raises(ModelFileError, match=r"training.uncertainty=last_layer$"):
        GNNPotCalculator(potential, uncertainty=tmp_path)
    with pytest.raises(ConfigError, match="expected one potential for an uncertainty of its own"):
        GNNPotCalculator([potential, potential], uncertainty=tmp_path)


def test_a_training_keeps_it_and_tells_its_coverage(tmp_path):
    potential = small_potential("schnet")
    path = tmp_path / "si.xyz"
    write(path, [labeled(potential, seed) for seed in range(24)])
    values = {
        "model": {"kind": "ani", "cutoff": 4.0, "angular_cutoff": 3.0, "hidden": [12, 8]},
        "training": {"max_epochs": 3, "uncertainty": "last_layer"},
        "train": str(path),
        "validation": {"frames": 6},
        "test": {"frames": 6},
    }
    train(RunConfig.from_dict(values, source="test"), tmp_path / "run")
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    for name in ("energy", "forces"):
        one, two = metrics["splits"]["test"]["uncertainty"][name]["coverage"]
        assert 0 <= one <= two <= 1
    assert "uncertainty" in (tmp_path / "run" / "report.html").read_text()
    calculator = GNNPotCalculator(tmp_path / "run", uncertainty=tmp_path / "run")
    atoms = silicon(rattle=0.1, seed=3)
    atoms.calc = calculator
    assert np.isfinite(atoms.get_potential_energy())
    assert calculator.get_property("energy_uncertainty", atoms) > 0
    found = evaluate(tmp_path / "run", path).calibration()
    assert set(found) == {"energy", "forces"}
