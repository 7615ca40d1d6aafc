"""Steered dynamics: the spring, its forces and stress, and the work that it does."""

from __future__ import annotations

import json

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from ase.calculators.fd import calculate_numerical_forces, calculate_numerical_stress
from harmonic import oscillators
from pydantic import ValidationError

from gnnpot.errors import ConfigError
from gnnpot.sampling import SpringCalculator, SteeredConfig
from gnnpot.sampling.steered import Pull, WorkCurve


def crystal() -> Atoms:
    """Sheared copper, some of its atoms in other images."""
    atoms = bulk("Cu", cubic=True) * (2, 2, 1)
    atoms.set_cell(atoms.cell.array + [[0, 0, 0], [0.5, 0, 0], [0.2, 0.1, 0]], scale_atoms=True)
    atoms.rattle(0.1, seed=3)
    atoms.positions[5] += 2 * atoms.cell[0] - atoms.cell[1]
    return atoms


def sampled(start: Atoms, **settings):
    config = SteeredConfig.model_validate({"steps": 40, "interval": 20, "between": [0, 1], **settings})
    return config.sampler(start.calc)([start], np.random.default_rng(0))


@pytest.mark.parametrize("groups", [((0,), (5,)), ((0, 1, 5), (7, 12)), ((3,), (2, 9, 14))])
def test_forces_and_stress_are_derivatives_of_the_energy_with_spring(groups):
    atoms = crystal()
    spring = SpringCalculator(EMT(), groups, stiffness=3.0, atoms=atoms)
    spring.move_to(spring.distance(atoms) + 0.7)
    atoms.calc = spring
    some = [0, 2, 5, 7]
    np.testing.assert_allclose(
        calculate_numerical_forces(atoms, eps=2e-5, iatoms=some), atoms.get_forces()[some], atol=1e-6
    )
    np.testing.assert_allclose(calculate_numerical_stress(atoms, eps=2e-5), atoms.get_stress(), atol=1e-6)
    free = atoms.copy()
    free.calc = EMT()
    assert atoms.get_potential_energy() - free.get_potential_energy() == pytest.approx(1.5 * 0.7**2)
    assert spring.unbiased["energy"] == pytest.approx(free.get_potential_energy())


def test_a_spring_that_is_too_long_pulls_its_ends_apart():
    atoms = Atoms("Cu2", [[0, 0, 0], [3, 0, 0]])
    spring = SpringCalculator(EMT(), ((0,), (1,)), stiffness=10.0, atoms=atoms)
    atoms.calc = spring
    free = atoms.get_forces()
    spring.move_to(3.5)
    assert spring.pull(atoms) == pytest.approx(5.0)
    np.testing.assert_allclose(atoms.get_forces() - free, [[-5, 0, 0], [5, 0, 0]], atol=1e-12)


def test_the_spring_joins_nearest_images_and_may_grow_beyond_half_the_cell():
    atoms = Atoms("Cu2", [[0.5, 0, 0], [7.5, 0, 0]], cell=[8, 8, 8], pbc=True)
    spring = SpringCalculator(EMT(), ((0,), (1,)), stiffness=1.0, atoms=atoms)
    assert spring.distance(atoms) == pytest.approx(1.0)
    atoms.positions[1, 0] -= 5
    assert spring.distance(atoms) == pytest.approx(6.0)


def test_groups_are_joined_at_their_centers_of_mass():
    atoms = Atoms("CuHNi", [[0, 0, 0], [1, 0, 0], [5, 0, 0]])
    masses = atoms.get_masses()
    spring = SpringCalculator(EMT(), ((0, 1), (2,)), stiffness=1.0, atoms=atoms)
    assert spring.distance(atoms) == pytest.approx(5 - masses[1] / (masses[0] + masses[1]))


@pytest.mark.parametrize("velocity", [20.0, -20.0])
def test_work_is_what_the_whole_gains_at_constant_energy(velocity):
    start = molecule("CH3CH2OH")
    start.calc = EMT()
    start.rattle(0.02, seed=0)
    walks = sampled(start, ensemble={"kind": "nve"}, timestep=0.1, velocity=velocity, steps=300, interval=1)
    totals = [walks.walks[0].atoms.get_total_energy() for _ in walks]
    work = walks.walks[0].action.work
    assert abs(work) > 0.02
    assert totals[-1] - totals[0] == pytest.approx(work, abs=0.02 * abs(work) + 1e-4)


def test_work_is_positive_when_the_spring_pulls_against_a_force():
    atoms = Atoms("Cu2", [[0, 0, 0], [3, 0, 0]])
    atoms.calc = spring = SpringCalculator(EMT(), ((0,), (1,)), stiffness=4.0, atoms=atoms)
    pull = Pull(spring, 0.1)
    atoms.get_forces()
    for step in range(1, 6):
        pull(atoms, step)
    assert spring.target == pytest.approx(3.5)
    assert pull.work == pytest.approx(2.0 * 0.5**2)  # the atoms stand still: all of it is in the spring


def test_the_spring_starts_after_equilibration_and_moves_at_its_velocity():
    start = oscillators()
    walks = sampled(start, equilibration=30, steps=50, timestep=2.0, velocity=3.0)
    list(walks)
    rows = np.array(walks.take_rows())
    assert rows[0, 1] == 31
    assert rows[0, 2] == pytest.approx(rows[0, 3])  # target = distance
    np.testing.assert_allclose(np.diff(rows[:, 2]), 0.006)
    np.testing.assert_allclose(rows[:, 4], 10 * (rows[:, 2] + 0.003 - rows[:, 3]), atol=1e-9)
    np.testing.assert_allclose(np.diff(rows[:, 5]), 0.006 * rows[:-1, 4], atol=1e-12)  # force times way
    assert start.calc.calls <= 82  # once a step, although the spring moves


def test_steered_dynamics_taken_up_from_their_state_are_those_that_never_stopped():
    start = oscillators()
    settings = {"equilibration": 10, "steps": 60, "interval": 10, "repetitions": 2}
    whole, begun, rest = sampled(start, **settings), sampled(start, **settings), sampled(start, **settings)
    frames = list(whole)
    head = [next(begun) for _ in range(5)]
    rows = begun.take_rows()
    rest.restore(json.loads(json.dumps(begun.state())))
    for first, second in zip(frames, [*head, *rest], strict=True):
        np.testing.assert_array_equal(first.positions, second.positions)
        assert first.info == second.info
    assert sorted(rows + rest.take_rows()) == sorted(whole.take_rows())


def test_the_published_curve_of_hexane_gives_its_activation_energy(shared):
    table = np.loadtxt(shared / "hexane_dftb3_smd_ref_ff.dat")
    targets, distances = table[:, 4], table[:, 5]
    moved = np.diff(targets) * 10.0 * ((targets[1:] + targets[:-1]) / 2 - distances[:-1])
    curve = WorkCurve(targets, distances, 10.0 * (targets - distances), np.append(0.0, moved.cumsum()))
    assert curve.activation_energy == pytest.approx(6.34, abs=0.03)
    np.testing.assert_allclose(curve.work, -table[:, 6], atol=0.03)


@pytest.mark.parametrize("between", [[0, 0], [[0, 1], [1, 2]], [3, [2, 3]]])
def test_a_spring_between_the_same_atom_is_refused(between):
    with pytest.raises(ValidationError, match="two different atoms"):
        SteeredConfig(steps=1, between=between)
    with pytest.raises(ConfigError, match="two different atoms"):
        SpringCalculator(EMT(), ((0,), (0,)), stiffness=1.0, atoms=molecule("H2O"))


@pytest.mark.parametrize("fault", [{"velocity": 0}, {"stiffness": -1}, {"temperature": -5}, {"steps": 0}])
def test_a_plan_that_makes_no_sense_is_refused(fault):
    with pytest.raises(ValidationError):
        SteeredConfig.model_validate({"steps": 1, "between": [0, 1], **fault})


def test_atoms_that_are_not_there_are_refused():
    start = oscillators()
    with pytest.raises(ConfigError, match=r"from 0 to 3.*\[9\]"):
        sampled(start, between=[0, 9])
