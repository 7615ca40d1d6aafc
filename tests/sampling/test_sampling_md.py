"""Molecular dynamics as a sampler: ensembles, schedules, explosions, going on exactly."""

from __future__ import annotations

import json

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from harmonic import EinsteinCrystal, oscillators
from potentials import small_potential
from pydantic import ValidationError

from gnnpot.calculator.calculator import GNNPotCalculator
from gnnpot.errors import DataError
from gnnpot.potential.committee import Committee
from gnnpot.sampling import MDConfig

KINDS = [
    *("nve", "langevin", "bussi", "berendsen", "nose-hoover"),
    *("npt-langevin", "npt-isotropic", "npt-flexible"),
]


def sampled(seed: int = 0, start: Atoms | None = None, **settings):
    start = oscillators() if start is None else start
    config = MDConfig.model_validate({"steps": 60, "interval": 20, "temperatures": 300, **settings})
    return config.sampler(start.calc)([start], np.random.default_rng(seed))


def assert_same(first: Atoms, second: Atoms) -> None:
    np.testing.assert_array_equal(first.positions, second.positions)
    np.testing.assert_array_equal(first.cell.array, second.cell.array)
    assert first.info == second.info


@pytest.mark.parametrize("kind", KINDS)
def test_dynamics_taken_up_from_their_state_are_those_that_never_stopped(kind):
    settings = {
        "ensemble": {"kind": kind},
        "temperatures": [300, 600] if kind == "nve" else [300, {"first": 300, "last": 600}],
        "equilibration": 15,
    }
    whole = list(sampled(**settings))
    begun = sampled(**settings)
    head = [next(begun) for _ in range(3)]
    rest = sampled(**settings)
    rest.restore(json.loads(json.dumps(begun.state())))
    assert len(whole) == 6
    for first, second in zip(whole, [*head, *rest], strict=True):
        assert_same(first, second)


@pytest.mark.parametrize("kind", ["langevin", "npt-langevin"])
def test_the_mean_energy_is_that_of_the_temperature(kind):
    start = bulk("Cu", cubic=True) * (2, 1, 1)
    start.calc = EinsteinCrystal(start, cell_stiffness=5.0)
    walks = sampled(
        start=start,
        ensemble={"kind": kind},
        equilibration=500,
        steps=5000,
        interval=5,
        timestep=4.0,
        temperatures=600,
    )
    away = [start.calc.away(atoms) for atoms in walks]
    mean = np.mean(np.square(away)) * start.calc.stiffness / 2
    assert mean == pytest.approx(units.kB * 600 / 2, rel=0.12)


@pytest.mark.parametrize("kind", ["bussi", "berendsen", "nose-hoover", "npt-isotropic", "npt-flexible"])
def test_a_center_of_mass_at_rest_is_no_degree_of_freedom(kind):
    start = bulk("Cu", cubic=True)
    start.rattle(0.1, seed=0)
    start.calc = EMT()
    walks = sampled(
        start=start, ensemble={"kind": kind}, steps=2500, interval=5, timestep=5.0, temperatures=600
    )
    list(walks)
    (walk,) = walks.walks
    assert np.abs(walk.atoms.get_momenta().sum(axis=0)).max() < 1e-9
    _, _, told, potential, total, _, _ = np.mean(walks.take_rows(), axis=0)
    assert (total - potential) / (1.5 * units.kB * (len(start) - 1)) == pytest.approx(600, rel=0.15)
    assert told == pytest.approx((total - potential) / (1.5 * units.kB * (len(start) - 1)))


def test_constant_energy_stays():
    walks = sampled(ensemble={"kind": "nve"}, steps=400, interval=20)
    list(walks)
    energies = [row[4] for row in walks.take_rows()]
    assert len(energies) == 20
    assert np.ptp(energies) < 1e-3


def test_34_temperatures_are_34_runs_side_by_side():
    walks = sampled(temperatures={"first": 300, "last": 3600, "count": 34}, steps=20, interval=10)
    frames = list(walks)
    assert [atoms.info["temperature"] for atoms in frames] == [*range(300, 3601, 100)] * 2
    assert [atoms.info["run"] for atoms in frames[:34]] == [*range(34)]


def test_a_ramp_ends_at_its_last_temperature():
    frames = list(sampled(temperatures=[{"first": 100, "last": 500}], steps=400, interval=100))
    assert [atoms.info["temperature"] for atoms in frames] == [200, 300, 400, 500]


def test_frames_come_after_equilibration_at_the_interval_and_tell_where_they_are_from():
    frames = list(sampled(equilibration=15, repetitions=2))
    assert [atoms.info["step"] for atoms in frames] == [35, 35, 55, 55, 75, 75]
    assert frames[1].info["sampler"] == "md"
    assert (frames[1].info["seed"], frames[1].info["run"]) == (0, 1)
    assert np.abs(frames[0].positions - frames[1].positions).max() > 1e-3  # their random numbers differ


def test_frames_carry_what_the_calculator_says_of_them():
    start = oscillators()
    for atoms in sampled(start=start, ensemble={"kind": "npt-isotropic"}):
        energy, forces = atoms.get_potential_energy(), atoms.get_forces()
        atoms.calc = start.calc
        assert energy == pytest.approx(atoms.get_potential_energy(), abs=1e-12)
        np.testing.assert_allclose(forces, atoms.get_forces(), atol=1e-12)


def test_a_step_calls_the_calculator_once():
    start = oscillators()
    list(sampled(start=start, steps=200, interval=10))
    assert start.calc.calls <= 202


def test_a_run_that_explodes_stops_and_keeps_what_was_good():
    start = bulk("Cu", cubic=True) * (2, 2, 2)
    start.calc = EMT()
    walks = sampled(start=start, temperatures=[300, 1e5], steps=60, interval=10, timestep=8.0)
    frames = list(walks)
    calm, wild = walks.walks
    assert (calm.failure, calm.frames) == ("", 6)
    assert wild.failure
    assert wild.frames < 6
    assert len(frames) == calm.frames + wild.frames
    assert all(np.isfinite(atoms.positions).all() for atoms in frames)


def test_atoms_that_met_end_a_run():
    start = Atoms("Cu2", [[0, 0, 0], [0.5, 0, 0]], cell=[9, 9, 9], pbc=True)
    start.calc = EinsteinCrystal(start)
    start.positions[1, 0] = 1.1
    walks = sampled(start=start, temperatures=1, limits={"heating": 1e6}, interval=2)
    assert len(list(walks)) < 30
    assert "Å apart" in walks.walks[0].failure
    start.positions[1, 0] = 0.5
    with pytest.raises(DataError, match="expected atoms apart to start from"):
        sampled(start=start, temperatures=1)


def test_a_potential_and_a_committee_of_ours_drive_dynamics():
    potentials = [small_potential("schnet", seed=seed) for seed in (0, 1)]
    start = bulk("Si", "diamond", a=5.43, cubic=True)
    for model in (potentials[0], Committee(potentials)):
        start.calc = GNNPotCalculator(model)
        assert len(list(sampled(start=start, steps=4, interval=2, temperatures=50))) == 2


def test_a_calculator_sees_atoms_inside_the_cell():
    seen = []

    class Watching(EinsteinCrystal):
        def calculate(self, atoms=None, *rest):
            seen.append(atoms.get_scaled_positions(wrap=False))
            super().calculate(atoms, *rest)

    start = oscillators()
    start.positions += [12.0, -7.0, 0.0]
    start.calc = Watching(start)
    frame = list(sampled(start=start))[-1]
    assert len(seen) > 50
    assert np.min(seen) >= 0
    assert np.max(seen) <= 1
    np.testing.assert_allclose(frame.positions, start.positions, atol=1)


def test_the_given_structure_stays_as_it_is():
    start = oscillators()
    before = start.copy()
    list(sampled(start=start))
    np.testing.assert_array_equal(start.positions, before.positions)
    assert not start.has("momenta")


@pytest.mark.parametrize(
    "fault",
    [
        *({"temperatures": -1}, {"temperatures": []}, {"steps": 0}, {"timestep": 0}, {"interval": 0}),
        *({"limits": {"distance": 1e-300}}, {"limits": {"distance": 2.0}}),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(fault):
    with pytest.raises(ValidationError):
        sampled(**fault)


@pytest.mark.parametrize("kind", ["npt-langevin", "npt-isotropic", "npt-flexible"])
def test_a_molecule_without_a_cell_has_no_pressure(kind):
    start = molecule("H2O")
    start.calc = EMT()
    with pytest.raises(DataError, match="without; give it a cell"):
        sampled(start=start, ensemble={"kind": kind})


def test_an_element_that_the_calculator_lacks_is_refused():
    start = bulk("Si", cubic=True)
    start.calc = EMT()
    with pytest.raises(DataError, match="choose a calculator that knows its elements"):
        sampled(start=start)


def test_no_structure_is_refused():
    config = MDConfig(steps=1, interval=1, temperatures=300)
    with pytest.raises(DataError, match="got none"):
        config.sampler(EMT())([], np.random.default_rng(0))


def test_atoms_thrown_out_of_the_world_end_their_own_run_alone():
    start = Atoms("Si5", np.random.default_rng(0).uniform(0, 20, (5, 3)))
    start.calc = GNNPotCalculator(small_potential())
    walks = sampled(
        start=start, temperatures=[50, 1e18, 1e24], steps=20, interval=10, ensemble={"kind": "nve"}
    )
    frames = list(walks)
    calm, fast, lost = walks.walks
    assert (calm.failure, fast.failure) == ("", "")
    assert np.ptp(frames[3].positions) > 1e5
    assert "expected positions up to 1e+09 Å" in lost.failure


def test_deuterium_moves_as_deuterium():
    start = Atoms("H2", [[2, 2, 2], [6, 6, 6]], cell=[8, 8, 8], pbc=True)
    start.set_masses([1.008, 2.014])
    start.calc = EinsteinCrystal(start, stiffness=2.0)
    walks = sampled(start=start, ensemble={"kind": "nve"}, timestep=0.05, steps=100, interval=100)
    velocities = walks.walks[0].atoms.get_velocities()
    (frame,) = walks
    assert frame.get_masses().tolist() == [1.008, 2.014]
    for atom, mass in enumerate((1.008, 2.014)):
        rate = np.sqrt(2.0 / mass)
        expected = velocities[atom] / rate * np.sin(rate * 5.0 * units.fs)
        np.testing.assert_allclose(frame.positions[atom] - start.positions[atom], expected, rtol=1e-4)
