"""Scales, rates, groups, anchors and low-rank updates of a transfer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from structures import silicon
from torch import nn
from transfers import mapped, potential_of, renamed

from gnnpot.errors import ConfigError
from gnnpot.graph.graph import AtomicGraph
from gnnpot.potential.repulsion import ZBLRepulsion
from gnnpot.training.config import TrainingConfig
from gnnpot.training.low_rank import add_low_rank, merged
from gnnpot.training.optimizers import build_optimizers
from gnnpot.training.parameter_groups import Tuning, group_plans
from gnnpot.transferring.start import fitted_energy_scale, fitted_length_scale, golden_section
from gnnpot.transferring.weights import carried


@pytest.mark.parametrize("repulsion", [None, ZBLRepulsion(1.4)], ids=["alone", "with repulsion"])
def test_scales_are_found_that_made_the_labels(repulsion):
    source = potential_of("schnet", ("Si",))
    source.repulsion = repulsion
    truth = carried(source, mapped({}, "Si", "Ge"), length_scale=1.1, energy_scale=0.7)
    frames = []
    for seed in range(2):
        atoms = renamed(silicon(seed=seed), "Ge")
        atoms.set_cell(1.1 * atoms.cell, scale_atoms=True)
        graph = AtomicGraph.from_ase(atoms, truth.cutoff, torch.float64)
        with torch.no_grad():
            prediction = truth(graph)
        atoms.calc = SinglePointCalculator(
            atoms, forces=prediction.forces.numpy(), stress=prediction.stress.numpy()[0]
        )
        frames.append(atoms)
        assert repulsion is None or repulsion.atomic_energies(graph, truth.cutoff).max() > 0.01

    def scaled(length):
        return carried(source, mapped({}, "Si", "Ge"), length_scale=length)

    for energy_scale in (None, 0.7):
        assert fitted_length_scale(scaled, frames, energy_scale=energy_scale) == pytest.approx(1.1, abs=2e-4)
    right = carried(source, mapped({}, "Si", "Ge"), length_scale=1.1)
    assert fitted_energy_scale(right, frames) == pytest.approx(0.7, rel=1e-9)


def test_a_length_scale_alone_makes_the_start_better_as_it_is():
    source = potential_of("schnet", ("Si",))
    weak = carried(source, mapped({}, "Si", "Ge"), length_scale=1.1, energy_scale=0.05)
    atoms = renamed(silicon(), "Ge")
    atoms.set_cell(1.1 * atoms.cell, scale_atoms=True)
    labels = weak(AtomicGraph.from_ase(atoms, weak.cutoff, torch.float64)).forces.detach()
    atoms.calc = SinglePointCalculator(atoms, forces=labels.numpy())

    def scaled(length):
        return carried(source, mapped({}, "Si", "Ge"), length_scale=length)

    def error(length):
        potential = scaled(length)
        found = potential(AtomicGraph.from_ase(atoms, potential.cutoff, torch.float64))
        return (found.forces - labels).norm().item()

    free, fixed = (fitted_length_scale(scaled, [atoms], energy_scale=scale) for scale in (None, 1.0))
    assert free == pytest.approx(1.1, abs=2e-4)
    assert error(fixed) < 0.9 * min(error(free), error(1.0))


def test_a_crystal_without_forces_is_fitted_to_its_stress():
    source = potential_of("schnet", ("Si",))
    truth = carried(source, mapped({}, "Si", "Ge"), length_scale=1.1, energy_scale=0.7)
    atoms = bulk("Ge", "diamond", 5.5, cubic=True)
    with torch.no_grad():
        prediction = truth(AtomicGraph.from_ase(atoms, truth.cutoff, torch.float64))
    assert prediction.forces.abs().max() < 1e-9
    assert prediction.stress.abs().max() > 1e-3
    noisy = np.random.default_rng(0).normal(0.0, 1e-5, (len(atoms), 3))
    atoms.calc = SinglePointCalculator(atoms, forces=noisy, stress=prediction.stress.numpy()[0])
    right = carried(source, mapped({}, "Si", "Ge"), length_scale=1.1)
    assert fitted_energy_scale(right, [atoms]) == pytest.approx(0.7, rel=1e-6)
    atoms.calc = SinglePointCalculator(atoms, forces=noisy, stress=1e-6 * np.eye(3))
    assert fitted_energy_scale(right, [atoms]) == 1.0


def test_golden_section_finds_the_minimum():
    assert golden_section(lambda x: (x - 0.3) ** 2, -1.0, 1.0) == pytest.approx(0.3, abs=1e-4)


def test_rates_fall_from_output_to_input_and_factors_multiply():
    model = potential_of("schnet", ("Si",)).model
    plans = group_plans(model, TrainingConfig(layer_decay=0.5, rates={"first": 0.1}, freeze=("last",)))
    assert [plan.factor for plan in plans] == pytest.approx([0.0125, 0.25, 0.5, 1.0])
    assert plans[-1].state(1e-3) == "frozen"
    assert plans[0].state(1e-3) == "learning rate 1.25e-05"
    assert sum(plan.num_parameters for plan in plans) == model.num_parameters


def test_optimizers_follow_the_rates():
    model = potential_of("schnet", ("Si",)).model
    training = TrainingConfig(rates={"embedding": 0.1}, freeze=("interaction 1",))
    tuning = Tuning(model, training)
    (optimizer,) = build_optimizers(training.optimizer, model, tuning.factor)
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert rates[id(model.embedding.weight)] == pytest.approx(0.1 * training.optimizer.learning_rate)
    assert rates[id(model.readout[0].weight)] == pytest.approx(training.optimizer.learning_rate)
    assert id(model.interactions[0].source.weight) not in rates


@pytest.mark.parametrize("key", ["freeze", "unfreeze", "rates"])
def test_an_unknown_group_is_refused_with_the_nearest(key):
    value: Any = ("interacton 1",) if key == "freeze" else {"interacton 1": 1}
    with pytest.raises(ConfigError, match=rf"training.{key} has it; did you mean 'interaction 1'"):
        group_plans(potential_of("schnet", ("Si",)).model, TrainingConfig(**{key: value}))


def test_freezing_everything_is_refused():
    model = potential_of("ani", ("Si",)).model
    for freeze, unfreeze in ((("layer 1", "layer 2", "layer 3"), {}), (("layer 1", "layer 2"), {"last": 3})):
        with pytest.raises(ConfigError, match="expected a group that trains from the first epoch"):
            group_plans(model, TrainingConfig(freeze=freeze, unfreeze=unfreeze))


def test_the_anchor_is_the_mean_squared_distance_from_the_start():
    model = potential_of("schnet", ("Si",)).model
    tuning = Tuning(model, TrainingConfig(anchor=2.0, freeze=("embedding", "interaction 1", "interaction 2")))
    assert tuning.penalty().item() == 0.0
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.5)
    assert tuning.penalty().item() == pytest.approx(2.0 * 0.25)


def test_low_rank_updates_start_at_zero_and_merge_into_plain_weights():
    network = nn.Sequential(nn.Linear(20, 30), nn.Tanh(), nn.Linear(30, 1)).double()
    x = torch.randn(4, 20, dtype=torch.float64)
    before = network(x)
    changed = add_low_rank([network[0], network[2]], 2)
    assert changed == [network[0]]  # the update of the last would be larger than its weight
    assert torch.equal(network(x), before)
    with torch.no_grad():
        network[0].parametrizations.weight[0].second.normal_()
    plain = merged(network)
    assert [name for name, _ in plain.named_parameters()] == ["0.weight", "0.bias", "2.weight", "2.bias"]
    torch.testing.assert_close(plain(x), network(x))
    assert network[0].weight.requires_grad
    assert (
        np.linalg.matrix_rank((plain[0].weight - network[0].parametrizations.weight.original).detach()) == 2
    )
