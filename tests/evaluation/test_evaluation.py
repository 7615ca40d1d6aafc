"""Errors against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from potentials import small_potential
from structures import rattled_crystal, silicon, slab

from gnnpot.calculator.calculator import GNNPotCalculator
from gnnpot.errors import DataError
from gnnpot.evaluation.evaluation import Evaluation, evaluate
from gnnpot.graph.graph import AtomicGraph
from gnnpot.potential.committee import Committee

NAN = np.nan


@pytest.fixture
def evaluation() -> Evaluation:
    """Two structures of one and two atoms; the second has no energy and no stress."""
    stress = np.zeros((2, 2, 3, 3))
    stress[0, 1] = NAN
    stress[1, 0, 0, 0] = 1 / 160.21766208  # 1 GPa on xx
    forces = np.zeros((2, 3, 3))
    forces[1, 0] = [0.3, 0.0, 0.0]
    forces[1, 2] = [0.0, -0.6, 0.0]
    return Evaluation(
        origins=("a.xyz:1", "a.xyz:2"),
        groups=("solid", "liquid"),
        sizes=np.array([1, 2]),
        energy=np.array([[-1.0, NAN], [-1.01, 5.0]]),
        stress=stress,
        atomic_numbers=np.array([14, 14, 8]),
        forces=forces,
    )


def test_metrics_are_those_worked_out_by_hand(evaluation):
    metrics = evaluation.metrics()
    assert metrics["energy"] == pytest.approx({"mae": 10.0, "rmse": 10.0})
    assert metrics["forces"] == pytest.approx({"mae": 100.0, "rmse": 1000 * (0.45 / 9) ** 0.5})
    assert metrics["stress"] == pytest.approx({"mae": 1000 / 9, "rmse": 1000 / 3})
    assert metrics["num_structures"] == 2
    assert metrics["num_labeled"] == {"energy": 1, "forces": 2, "stress": 1}
    assert metrics["groups"]["liquid"]["energy"] is None
    assert metrics["groups"]["liquid"]["num_labeled"] == {"energy": 0, "forces": 1, "stress": 0}
    assert metrics["groups"]["liquid"]["forces"] == pytest.approx({"mae": 100.0, "rmse": 1000 * 0.06**0.5})
    assert metrics["elements"]["O"]["mae"] == pytest.approx(200.0)
    assert metrics["elements"]["Si"]["mae"] == pytest.approx(50.0)


def test_the_worst_structure_comes_first(evaluation):
    first, second = evaluation.worst(2)
    assert (first.origin, first.group, first.num_atoms) == ("a.xyz:2", "liquid", 2)
    assert first.forces == pytest.approx((0.36 / 6) ** 0.5)
    assert first.largest_force == pytest.approx(0.6)
    assert np.isnan(first.energy)
    assert second.forces == pytest.approx((0.09 / 3) ** 0.5)
    assert second.energy == pytest.approx(-0.01)
    assert len(evaluation.worst(1)) == 1


def labeled(atoms: Atoms, potential, **changes) -> Atoms:
    """Atoms with the potential's own predictions as labels, some of them changed."""
    atoms = atoms.copy()
    atoms.calc = GNNPotCalculator(potential)
    results = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
    if atoms.pbc.all():
        results["stress"] = atoms.get_stress()
    atoms.calc = SinglePointCalculator(atoms, **{**results, **changes})
    return atoms


@pytest.mark.parametrize("batch_atoms", [1, 20, 1000])
def test_a_potential_has_no_error_on_its_own_predictions(batch_atoms):
    potential = small_potential("dimenet++", elements=("Si",))
    structures = (rattled_crystal(), silicon(), slab(), Atoms("Si"))
    frames = [labeled(atoms, potential) for atoms in structures]
    metrics = evaluate(potential, frames, batch_atoms=batch_atoms).metrics()
    assert metrics["energy"]["rmse"] < 1e-3
    assert metrics["forces"]["rmse"] < 1e-3
    assert metrics["stress"]["rmse"] < 1e-2
    assert metrics["num_structures"] == 4


def test_a_committee_is_evaluated_by_its_mean():
    members = [small_potential("schnet", elements=("Si",), seed=seed) for seed in (0, 1)]
    atoms = silicon()
    graph = AtomicGraph.from_ase(atoms, members[0].cutoff, members[0].dtype)
    with torch.no_grad():
        mean = sum(member(graph).energy.item() for member in members) / 2
    frame = labeled(atoms, members[0], energy=mean)
    assert evaluate(Committee(members), [frame]).metrics()["energy"]["mae"] < 1e-3


def test_structures_without_labels_are_refused():
    with pytest.raises(DataError, match="expected structures with energies, forces or stress, got 1 without"):
        evaluate(small_potential("schnet", elements=("Si",)), [silicon()])


def bare(atoms: Atoms, **labels) -> Atoms:
    """Atoms with these labels alone."""
    atoms = atoms.copy()
    atoms.info["origin"] = "b.xyz:3"
    atoms.calc = SinglePointCalculator(atoms, **labels)
    return atoms


def test_structures_without_a_label_do_not_count_for_it():
    potential = small_potential()
    full = labeled(silicon(), potential)
    off = bare(silicon(), energy=full.calc.results["energy"] + 0.08)
    metrics = evaluate(potential, [full, bare(silicon(seed=4)), off]).metrics()
    assert metrics["num_structures"] == 3
    assert metrics["num_labeled"] == {"energy": 2, "forces": 1, "stress": 1}
    assert metrics["energy"] == pytest.approx({"mae": 5.0, "rmse": 10 / 2**0.5}, abs=1e-6)


def isolated() -> Atoms:
    atoms = bare(Atoms("Si", cell=[12, 12, 12], pbc=True), energy=5.0, forces=np.zeros((1, 3)))
    atoms.info["config_type"] = "IsolatedAtom"
    return atoms


@pytest.mark.parametrize("batch_atoms", [1, 1000])
def test_isolated_atoms_are_left_out_of_all_errors(batch_atoms):
    potential = small_potential()
    frames = [labeled(silicon(), potential), bare(rattled_crystal(), energy=0.0)]
    metrics = evaluate(potential, frames, batch_atoms=batch_atoms).metrics()
    mixed = [isolated(), frames[0], isolated(), isolated(), frames[1]]
    assert metrics["num_isolated"] == 0
    told = {"num_isolated": 3, "free_atoms": {"Si": pytest.approx(-100.0 - 5.0)}}
    assert evaluate(potential, mixed, batch_atoms=batch_atoms).metrics() == {**metrics, **told}
    with pytest.raises(DataError, match="got 0 without and 1 isolated atoms"):
        evaluate(potential, [isolated()])


def test_stress_alone_is_enough_to_evaluate_on():
    potential = small_potential()
    stress = labeled(silicon(), potential).calc.results["stress"]
    evaluation = evaluate(potential, [bare(silicon(), stress=stress)])
    metrics = evaluation.metrics()
    assert metrics["stress"]["rmse"] < 1e-3
    assert (metrics["energy"], metrics["forces"], metrics["elements"]["Si"]) == (None, None, None)
    assert evaluation.worst(3) == []


def test_a_stress_label_of_an_open_structure_does_not_count():
    frame = bare(slab(), energy=-1000.0, stress=np.ones(6))
    metrics = evaluate(small_potential(), [frame]).metrics()
    assert metrics["stress"] is None
    assert metrics["num_labeled"]["stress"] == 0


@pytest.mark.parametrize(("name", "value"), [("energy", np.inf), ("forces", NAN), ("stress", NAN)])
def test_a_label_that_is_not_finite_names_its_frame(name, value):
    values = {"energy": -800.0, "forces": np.zeros((8, 3)), "stress": np.zeros(6)}
    values[name] = values[name] + value
    with pytest.raises(DataError, match=f"expected a finite {name} label in b.xyz:3, got NaN"):
        evaluate(small_potential(), [bare(silicon(), **values)])


def test_a_prediction_that_is_not_finite_names_its_frame():
    atoms = silicon()
    atoms.positions[1] = atoms.positions[0]
    frames = [labeled(silicon(), small_potential()), bare(atoms, energy=-800.0)]
    with pytest.raises(DataError, match=r"expected a finite energy and forces for b.xyz:3, got"):
        evaluate(small_potential(), frames)


def test_frames_are_taken_batch_by_batch():
    potential = small_potential()
    frame, taken, seen = labeled(silicon(), potential), [], []

    def frames():
        for number in range(6):
            taken.append(number)
            yield frame

    evaluate(potential, frames(), batch_atoms=16, advance=lambda count: seen.append((count, len(taken))))
    assert seen == [(2, 3), (2, 5), (2, 6)]  # never more than a batch and the frame that did not fit


def test_an_unknown_element_names_its_frame():
    atoms = Atoms("Ge", info={"origin": "b.xyz:3"})
    with pytest.raises(DataError, match=r"b.xyz:3: expected atoms of Si, got Ge"):
        evaluate(small_potential("schnet", elements=("Si",)), [atoms])
