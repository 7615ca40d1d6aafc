"""Errors against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from potentials import small_potential
from structures import rattled_crystal, silicon, slab

from gnnpot.calculator import GNNPotCalculator
from gnnpot.committee import Committee
from gnnpot.data.graph import AtomicGraph
from gnnpot.errors import DataError
from gnnpot.evaluation import Evaluation, evaluate
from gnnpot.report import Report, write_report

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
    assert metrics["groups"]["liquid"]["energy"] is None
    assert metrics["groups"]["liquid"]["forces"] == pytest.approx({"mae": 100.0, "rmse": 1000 * 0.06**0.5})
    assert metrics["elements"]["O"]["mae"] == pytest.approx(200.0)
    assert metrics["elements"]["Si"]["mae"] == pytest.approx(50.0)


def test_the_worst_structure_comes_first(evaluation):
    assert [origin for origin, _ in evaluation.worst(2)] == ["a.xyz:2", "a.xyz:1"]


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
    with pytest.raises(DataError, match="expected structures with energies or forces"):
        evaluate(small_potential("schnet", elements=("Si",)), [silicon()])


def test_an_unknown_element_names_its_frame():
    atoms = Atoms("Ge", info={"origin": "b.xyz:3"})
    with pytest.raises(DataError, match=r"b.xyz:3: expected atoms of Si, got Ge"):
        evaluate(small_potential("schnet", elements=("Si",)), [atoms])


def test_a_report_is_one_file_that_loads_nothing(evaluation, tmp_path):
    history = [
        {"epoch": epoch, "learning_rate": 1e-3, "seconds": 1.0, "train_loss": 1 / epoch,
         "validation_loss": 1 / epoch, "train_forces_rmse": 9.0, "validation_forces_rmse": 8.0}
        for epoch in (1.0, 2.0)
    ]  # fmt: skip
    report = Report(
        "silicon <dioxide>", {"validation": evaluation}, history=history, best_epoch=2.0,
        facts={"seed": "0"}, warnings=["Ni & more"],
    )  # fmt: skip
    write_report(tmp_path / "report.html", report)
    text = (tmp_path / "report.html").read_text()
    assert "silicon &lt;dioxide&gt;" in text
    assert "Ni &amp; more" in text
    assert text.count("<svg") == 2
    assert "<script" not in text
    assert 'src="http' not in text
    assert "a.xyz:2" in text
