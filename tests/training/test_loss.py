"""Losses against values worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from gnnpot.graph.graph import AtomicGraph
from gnnpot.potential.potential import Prediction
from gnnpot.training.loss import loss_terms
from gnnpot.training.loss_config import LossConfig

NAN = float("nan")


@pytest.fixture
def graph() -> AtomicGraph:
    """Structures of one and of two atoms in cells of 8 and 27 Å³."""
    return AtomicGraph(
        atomic_numbers=torch.tensor([14, 14, 14]),
        cell=torch.stack([2.0 * torch.eye(3), 3.0 * torch.eye(3)]).double(),
        pbc=torch.ones(2, 3, dtype=torch.bool),
        batch=torch.tensor([0, 1, 1]),
        energy=torch.tensor([-1.0, -4.0]).double(),
        forces=torch.zeros(3, 3).double(),
        stress=torch.zeros(2, 3, 3).double(),
        energy_weight=torch.ones(2).double(),
        forces_weight=torch.ones(2).double(),
        stress_weight=torch.ones(2).double(),
    )


@pytest.fixture
def prediction() -> Prediction:
    """Errors: energy 0.5 and −1 eV; forces 1, 2 and 3 eV/Å; stress 0.1 on xx, 0.2 on xy and yx."""
    stress = torch.zeros(2, 3, 3).double()
    stress[0, 0, 0] = 0.1
    stress[1, 0, 1] = stress[1, 1, 0] = 0.2
    return Prediction(
        energy=torch.tensor([-0.5, -5.0]).double(),
        forces=torch.tensor([[1.0, 0, 0], [0, 2.0, 0], [0, 0, -3.0]]).double(),
        stress=stress,
        atomic_energies=torch.zeros(3).double(),
    )


def values(settings: dict, prediction: Prediction, graph: AtomicGraph) -> dict[str, float]:
    terms = loss_terms(TypeAdapter(LossConfig).validate_python(settings), prediction, graph)
    return {name: float(term.total / term.size) for name, term in terms.items()}


def test_weighted_squares(prediction, graph):
    settings = {"energy": 2.0, "forces": 3.0, "stress": 5.0, "virial": 7.0}
    assert values(settings, prediction, graph) == pytest.approx(
        {
            "energy": 2 * (0.5**2 + 0.5**2) / 2,
            "forces": 3 * (1 + 4 + 9) / 9,
            "stress": 5 * (0.1**2 + 2 * 0.2**2) / 18,
            "virial": 7 * ((0.1 * 8) ** 2 + 2 * (0.2 * 27 / 2) ** 2) / 18,
        }
    )


def test_weighted_absolute_values(prediction, graph):
    settings = {"energy": 1.0, "forces": 1.0, "stress": 1.0, "error": "mae"}
    assert values(settings, prediction, graph) == pytest.approx(
        {"energy": 0.5, "forces": 6 / 9, "stress": 0.5 / 18}
    )


def test_weighted_huber(prediction, graph):
    settings = {"energy": 1.0, "forces": 1.0, "stress": 0.0, "error": "huber", "huber_delta": 2.0}
    assert values(settings, prediction, graph) == pytest.approx(
        {"energy": 0.5 * 0.5**2, "forces": (0.5 * 1 + 0.5 * 4 + 2 * (3 - 1)) / 9}
    )


def test_low2high(prediction, graph):
    settings = {"kind": "low2high", "energy": 1.0, "forces": 0.1, "stress": 0.025}
    assert values(settings, prediction, graph) == pytest.approx(
        {
            "energy": (0.25 / 1 + 1.0 / math.sqrt(2)) / 2,
            "forces": 0.1 * (1 / 1 + (4 + 9) / 2) / 2,
            "stress": 0.025 * ((0.1 * 8) ** 2 + (0.2 * 27) ** 2) / 2,
        }
    )


def test_schnet_trade_off(prediction, graph):
    expected = {"energy": 0.1 * (0.25 + 1.0) / 2, "forces": 0.9 * 14 / 9}
    assert values({"kind": "schnet", "rho": 0.1}, prediction, graph) == pytest.approx(expected)


def test_force_matching(prediction, graph):
    assert values({"kind": "force_matching"}, prediction, graph) == pytest.approx({"forces": 14 / 9})


def test_the_weight_of_a_structure_multiplies_its_items(prediction, graph):
    graph.energy_weight = torch.tensor([3.0, 0.0]).double()
    graph.forces_weight = torch.tensor([1.0, 2.0]).double()
    assert values({"energy": 1.0, "stress": 0.0}, prediction, graph) == pytest.approx(
        {"energy": 3 * 0.25, "forces": (1 + 2 * (4 + 9)) / 9}
    )


@pytest.mark.parametrize("settings", [{"energy": 0.0, "stress": 0.0}, {"kind": "force_matching"}])
def test_forces_that_do_not_count_are_neither_read_nor_counted(prediction, graph, settings):
    graph.forces[1] = NAN  # an atom that was held, and one component of another
    graph.forces[2, 0] = NAN
    assert values(settings, prediction, graph) == pytest.approx({"forces": (1 + 9) / (3 + 2)})


def test_low2high_takes_squares_an_atom_over_the_forces_that_count(prediction, graph):
    graph.forces[1] = NAN
    found = values({"kind": "low2high", "forces": 0.1, "stress": 0.0}, prediction, graph)
    assert found["forces"] == pytest.approx(0.1 * (1 / 1 + 9 / 1) / 2)


def test_a_batch_without_a_label_adds_nothing(prediction, graph):
    graph.energy_weight = torch.zeros(2).double()
    term = loss_terms(TypeAdapter(LossConfig).validate_python({}), prediction, graph)["energy"]
    assert (float(term.value), float(term.size)) == (0.0, 0.0)


@pytest.mark.parametrize("kind", ["weighted", "low2high", "schnet"])
def test_a_label_with_weight_zero_is_not_read(prediction, graph, kind):
    settings = {"kind": kind} if kind != "weighted" else {"stress": 1.0, "virial": 1.0}
    graph.energy_weight[1] = graph.forces_weight[1] = graph.stress_weight[1] = 0.0
    graph.energy[1] = NAN
    graph.forces[1:] = NAN
    graph.stress[1] = NAN
    for value in (prediction.energy, prediction.forces, prediction.stress):
        value.requires_grad_(True)
    terms = loss_terms(TypeAdapter(LossConfig).validate_python(settings), prediction, graph)
    sum(term.total for term in terms.values()).backward()
    assert all(torch.isfinite(term.total) for term in terms.values())
    assert torch.isfinite(prediction.forces.grad).all()
    assert torch.isfinite(prediction.energy.grad).all()


def test_a_loss_without_any_weight_is_refused():
    with pytest.raises(ValidationError, match="expected a weight above zero"):
        TypeAdapter(LossConfig).validate_python({"energy": 0.0, "forces": 0.0, "stress": 0.0})


@pytest.mark.parametrize(
    ("settings", "labels"),
    [
        ({}, ("energy", "forces", "stress")),  # until the data tell which are there
        ({"energy": 0.0, "stress": 1.0}, ("forces", "stress")),
        ({"virial": 1.0}, ("energy", "forces", "stress")),
        ({"kind": "low2high"}, ("energy", "forces", "stress")),
        ({"kind": "schnet", "rho": 0.0}, ("forces",)),
        ({"kind": "force_matching"}, ("forces",)),
    ],
)
def test_a_loss_names_the_labels_that_it_needs(settings, labels):
    assert TypeAdapter(LossConfig).validate_python(settings).labels == labels
