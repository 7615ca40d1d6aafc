"""Optimizers and learning rates."""

from __future__ import annotations

import pytest
import torch
from potentials import SMALL, small_potential
from pydantic import TypeAdapter
from torch import nn

from gnnpot.training.optimizer_config import OptimizerConfig, ScheduleConfig
from gnnpot.training.optimizers import LearningRates, build_optimizers


def built(settings, module):
    return build_optimizers(TypeAdapter(OptimizerConfig).validate_python(settings), module)


@pytest.fixture
def network() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))


def rates(schedule: dict, network: nn.Module, kind: str = "adamw") -> LearningRates:
    rate = {"learning_rate": 2e-3} if kind == "adamw" else {}
    optimizers = built({"kind": kind, **rate}, network)
    return LearningRates(TypeAdapter(ScheduleConfig).validate_python(schedule), optimizers)


def test_adamw_decays_weights_and_spares_biases(network):
    (optimizer,) = build_optimizers(
        TypeAdapter(OptimizerConfig).validate_python({"weight_decay": 0.1}), network
    )
    decays = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert {decays[id(p)] for name, p in network.named_parameters() if name.endswith("weight")} == {0.1}
    assert {decays[id(p)] for name, p in network.named_parameters() if name.endswith("bias")} == {0.0}


def test_the_recipe_of_the_papers_has_adam_on_weights_and_sgd_on_biases(network):
    settings = {"kind": "adam+sgd", "learning_rate": 2e-3, "bias_learning_rate": 5e-4, "weight_decay": 1e-6}
    adam, sgd = built(settings, network)
    assert isinstance(adam, torch.optim.AdamW)
    assert isinstance(sgd, torch.optim.SGD)
    assert {len(p.shape) for p in adam.param_groups[0]["params"]} == {2}
    assert {len(p.shape) for p in sgd.param_groups[0]["params"]} == {1}
    assert (adam.param_groups[0]["lr"], sgd.param_groups[0]["lr"]) == (2e-3, 5e-4)


@pytest.mark.parametrize("kind", SMALL)
def test_sgd_gets_biases_embeddings_and_frequencies_of_a_model_alone(kind):
    potential = small_potential(kind)
    names = {id(parameter): name for name, parameter in potential.named_parameters()}
    adam, sgd = build_optimizers(
        TypeAdapter(OptimizerConfig).validate_python({"kind": "adam+sgd"}), potential
    )
    weights, others = (
        [names[id(parameter)] for group in optimizer.param_groups for parameter in group["params"]]
        for optimizer in (adam, sgd)
    )
    assert len(weights) + len(others) == len(names)
    tables = ("bias", "frequencies", "embedding.weight", "element.weight")
    assert all(name.endswith(tables) for name in others)
    assert not any(name.endswith(tables) for name in weights)


def test_a_cosine_falls_to_its_final_rate(network):
    learning = rates({"kind": "cosine", "warmup_epochs": 0, "final": 0.1}, network)
    seen = []
    for progress in (0.0, 0.5, 1.0):
        learning.before_step(10 * progress, progress)
        seen.append(learning.groups[0]["lr"])
    assert seen == pytest.approx([2e-3, 1.1e-3, 2e-4])


def test_an_exponential_falls_by_equal_factors(network):
    learning = rates({"kind": "exponential", "final": 1e-2}, network)
    learning.before_step(5.0, 0.5)
    assert learning.groups[0]["lr"] == pytest.approx(2e-4)


def test_the_warm_up_rises_linearly(network):
    learning = rates({"kind": "constant", "warmup_epochs": 4}, network)
    learning.before_step(2.0, 0.02)
    assert learning.groups[0]["lr"] == pytest.approx(1e-3, rel=1e-2)
    learning.before_step(4.0, 0.04)
    assert learning.groups[0]["lr"] == pytest.approx(2e-3)


def test_a_plateau_lowers_both_optimizers_and_survives_a_restart(network):
    settings = {"kind": "plateau", "patience": 1, "factor": 0.5}
    learning = rates(settings, network, "adam+sgd")
    for metric in (1.0, 1.0, 1.0):
        learning.before_step(1.0, 0.0)
        learning.after_epoch(metric)
    assert [group["lr"] for group in learning.groups] == [0.5e-3, 0.5e-3]

    resumed = rates(settings, network, "adam+sgd")
    for group in resumed.groups:
        group["lr"] = 0.5e-3  # as the optimizers' own states restore it
    resumed.load_state_dict(learning.state_dict())
    for each in (learning, resumed):
        for metric in (1.0, 1.0):
            each.before_step(4.0, 0.0)
            each.after_epoch(metric)
    assert [g["lr"] for g in resumed.groups] == [g["lr"] for g in learning.groups] == [0.25e-3, 0.25e-3]
