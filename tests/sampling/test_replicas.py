"""Many runs as one batch are the runs that dynamics would make one by one."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from ase.calculators.calculator import Calculator, all_changes
from potentials import SMALL, small_potential
from structures import rattled_crystal

from gnnpot import GNNPotCalculator
from gnnpot.errors import DataError
from gnnpot.sampling import replicas as module
from gnnpot.sampling.ensembles import LangevinNVT
from gnnpot.sampling.limits import Limits
from gnnpot.sampling.md import MDConfig, MolecularDynamicsSampler
from gnnpot.sampling.replicas import Replicas
from gnnpot.sampling.schedule import Ramp, Schedule
from gnnpot.sampling.walk import WalkPlan

PLAN = MDConfig(temperatures=300.0, steps=40, interval=20, repetitions=3, timestep=0.5)


class Fragile(Calculator):
    """Copies of atoms on springs; one that is far from home raises an error for all."""

    implemented_properties = ("energy", "forces")

    def __init__(self, home, reach):
        super().__init__()
        self.home, self.reach, self.farthest = home, reach, 0.0

    def calculate(self, atoms=None, properties=("energy",), system_changes=tuple(all_changes)):
        super().calculate(atoms, properties, system_changes)
        away = self.atoms.positions.reshape(-1, *self.home.shape) - self.home
        if (far := np.abs(away).max()) > self.reach:
            raise DataError(f"an atom {far:.1f} Å from home")
        self.farthest = np.maximum(self.farthest, np.abs(away).max(axis=(1, 2)))
        self.results = {"energy": 0.0, "forces": -2 * away.reshape(-1, 3)}


def runs_of(atoms, plan, batch, seed=0, threads=1):
    walk_plan = WalkPlan(
        plan.ensemble, Schedule(plan, Ramp(first=plan.temperatures, last=plan.temperatures)), plan.limits
    )
    generators = np.random.default_rng(seed).spawn(plan.repetitions)
    return Replicas(atoms, walk_plan, generators, batch=batch, threads=threads)


def finished(runs):
    while runs.is_going:
        runs.advance()
    return runs


@pytest.mark.parametrize("kind", sorted(SMALL))
def test_copies_in_a_batch_have_the_forces_that_each_has_alone(kind):
    calculator = GNNPotCalculator(small_potential(kind), device="cpu")
    single = rattled_crystal()
    batch, places = single.copy(), [single.positions]
    for seed in (1, 2):
        other = single.copy()
        other.rattle(0.1, seed=seed)
        batch += other
        places.append(other.positions)
    together = calculator.replicas(3).get_forces(batch)
    for copy, forces in zip(places, together.reshape(3, -1, 3), strict=True):
        single.positions = copy
        np.testing.assert_allclose(forces, calculator.get_forces(single), atol=1e-9)


@pytest.mark.parametrize(
    ("kind", "most_atoms", "threads"),
    [("ani", 2048, 1), ("ani", 4, 1), ("ani", 2048, 2), ("schnet", 2048, 3)],
)
def test_runs_of_a_batch_are_those_that_walk_one_by_one(kind, most_atoms, threads, monkeypatch):
    monkeypatch.setattr(module, "MOST_ATOMS", most_atoms)  # one batch, or batches of two and one
    torch_threads = torch.get_num_threads()
    calculator, start = GNNPotCalculator(small_potential(kind), device="cpu"), rattled_crystal()
    walks = MolecularDynamicsSampler(PLAN, calculator)([start], np.random.default_rng(0))
    assert len(list(walks)) == 6
    runs = finished(runs_of(start, PLAN, calculator.replicas, threads=threads))
    assert torch.get_num_threads() == torch_threads
    assert runs.steps == [40] * 3
    assert runs.failures == [""] * 3
    for walk, positions, momenta in zip(walks.walks, runs.positions, runs.momenta, strict=True):
        np.testing.assert_allclose(positions, walk.atoms.positions, atol=1e-7)
        np.testing.assert_allclose(momenta, walk.atoms.get_momenta(), atol=1e-7)


@pytest.mark.parametrize("threads", [1, 3])
def test_a_run_that_fails_leaves_the_others_as_they_were(threads):
    start = rattled_crystal()
    home = start.positions.copy()
    plan = PLAN.model_copy(update={"repetitions": 8, "steps": 200, "ensemble": LangevinNVT(friction=0.05)})
    calm = Fragile(home, 100.0)
    whole = finished(runs_of(start, plan, lambda copies: calm))
    reach = float(np.median(calm.farthest))
    mixed = finished(runs_of(start, plan, lambda copies: Fragile(home, reach), threads=threads))
    failed = [bool(failure) for failure in mixed.failures]
    assert any(failed)
    assert not all(failed)
    for run, has_failed in enumerate(failed):
        if has_failed:
            assert "from home" in mixed.failures[run]
            assert mixed.steps[run] <= 200
        else:
            np.testing.assert_allclose(mixed.positions[run], whole.positions[run], atol=1e-12)


def test_runs_go_on_from_a_state_as_if_they_had_not_stopped():
    start = rattled_crystal()
    batch = lambda copies: Fragile(start.positions.copy(), 100.0)  # noqa: E731
    whole = finished(runs_of(start, PLAN, batch))
    begun = runs_of(start, PLAN, batch)
    begun.advance()
    state = json.loads(json.dumps(begun.state()))
    resumed = runs_of(start, PLAN, batch, seed=5)
    resumed.restore(state)
    assert 0 < resumed.share < 1
    np.testing.assert_array_equal(finished(resumed).positions, whole.positions)


def test_what_explodes_is_told_by_its_atom_and_unknown_elements_are_refused():
    start = rattled_crystal()
    plan = PLAN.model_copy(update={"limits": Limits(force=1e-3)})
    runs = finished(runs_of(start, plan, GNNPotCalculator(small_potential("ani"), device="cpu").replicas))
    assert all("over 0.001 eV/Å" in failure for failure in runs.failures)
    assert set(runs.steps) == {10}
    start.symbols[0] = "Ge"
    with pytest.raises(DataError, match="expected atoms of Si, got Ge"):
        runs_of(start, PLAN, GNNPotCalculator(small_potential("ani"), device="cpu").replicas).advance()
    with pytest.raises(DataError, match="expected atoms apart"):
        runs_of(start, PLAN.model_copy(update={"limits": Limits(distance=1.0)}), None)


def test_copies_follow_weights_that_change():
    calculator = GNNPotCalculator(small_potential(), device="cpu")
    atoms, rng = rattled_crystal(), np.random.default_rng(0)
    atoms.extend(rattled_crystal())
    atoms.calc = calculator.replicas(2)
    for _ in range(6):  # until the step is recorded
        atoms.positions += rng.normal(scale=0.002, size=atoms.positions.shape)
        before = atoms.get_potential_energy()
    for weight in calculator.potential.parameters():
        weight.mul_(0.5)
    after = atoms.get_potential_energy()
    atoms.calc = calculator.replicas(2)
    assert after == atoms.get_potential_energy() != before
