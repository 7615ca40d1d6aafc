"""Cells of which some components move, strained cells, displaced atoms, other materials."""

from __future__ import annotations

import json

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk, molecule
from harmonic import EinsteinCrystal, oscillators
from pydantic import ValidationError

from gnnpot.errors import DataError
from gnnpot.sampling import DeformationConfig, NoiseConfig, RattleConfig, ScalingConfig, StrainConfig


def deformed(start: Atoms, **settings):
    config = DeformationConfig.model_validate(
        {"components": ["lx", "xy"], "steps": 40, "interval": 20, "pressure": 0.0, **settings}
    )
    return config.sampler(start.calc)([start], np.random.default_rng(0))


def static(config, *seeds: Atoms) -> list[Atoms]:
    return list(config.sampler(None)(seeds, np.random.default_rng(0)))


@pytest.mark.parametrize("thermostat", ["langevin", "bussi"])
def test_only_the_chosen_components_move(thermostat):
    start = oscillators()
    frames = list(deformed(start, thermostat={"kind": thermostat}, steps=200))
    changes = np.array([atoms.cell.array - start.cell.array for atoms in frames])
    moved = np.abs(changes).max(axis=0) > 0
    assert moved.tolist() == [[True, False, False], [True, False, False], [False, False, False]]


def test_components_fluctuate_as_statistical_mechanics_says():
    """The density of a length l with its restoring energy is l^N exp(−β c (l − l_0)²/2)."""
    start, temperature = oscillators(), 600.0
    walks = deformed(
        start, temperature=temperature, equilibration=500, steps=6000, interval=2, cell_interval=2, timestep=4
    )
    cells = np.array([atoms.cell.array for atoms in walks])
    thermal = units.kB * temperature / start.calc.cell_stiffness
    lengths = np.linspace(4, 6, 4001)
    density = lengths**4 * np.exp(-((lengths - 5) ** 2) / (2 * thermal))
    density /= density.sum()
    assert cells[:, 0, 0].mean() == pytest.approx(density @ lengths, abs=0.02)
    assert cells[:, 0, 0].var() == pytest.approx(density @ (lengths - density @ lengths) ** 2, rel=0.25)
    assert cells[:, 1, 0].var() == pytest.approx(thermal, rel=0.25)
    assert cells[:, 1, 0].mean() == pytest.approx(0, abs=0.02)


def test_the_trial_size_is_learned_and_then_kept():
    start = oscillators()
    walks = deformed(start, cell_step=2.0, equilibration=1000, steps=20, interval=20)
    next(walks)
    learned = dict(walks.walks[0].action.steps)
    assert max(learned.values()) < 1.0
    list(walks)
    assert walks.walks[0].action.steps == learned


def test_deformation_taken_up_from_its_state_is_that_which_never_stopped():
    start = oscillators()
    settings = {"equilibration": 20, "repetitions": 2}
    whole, begun, rest = (deformed(start, **settings) for _ in range(3))
    frames, head = list(whole), [next(begun) for _ in range(3)]
    rest.restore(json.loads(json.dumps(begun.state())))
    for first, second in zip(frames, [*head, *rest], strict=True):
        np.testing.assert_array_equal(first.positions, second.positions)
        np.testing.assert_array_equal(first.cell.array, second.cell.array)


def test_unknown_components_are_refused_with_the_nearest():
    with pytest.raises(ValidationError, match="'xyy'; did you mean 'xy'"):
        DeformationConfig(components=["xyy"], steps=1)
    with pytest.raises(ValidationError, match="no component of strain is called 'lx'"):
        StrainConfig(strains={"lx": [0.1]})


def test_a_turned_cell_or_none_is_refused():
    turned = bulk("Cu")
    turned.calc = EinsteinCrystal(turned)
    with pytest.raises(DataError, match="a along x"):
        deformed(turned)
    water = molecule("H2O")
    water.calc = turned.calc
    with pytest.raises(DataError, match="give it a cell"):
        deformed(water)
    with pytest.raises(DataError, match="give it a cell"):
        static(StrainConfig(strains={"xx": [0.1]}), water)


@pytest.mark.parametrize("fault", [{"components": []}, {"temperature": -1}, {"steps": 0}])
def test_a_plan_that_makes_no_sense_is_refused(fault):
    with pytest.raises(ValidationError):
        DeformationConfig.model_validate({"components": ["lx"], "steps": 1, **fault})


def test_strains_are_taken_one_by_one_or_all_together():
    strains = {"xx": [-0.01, 0.01], "xy": [0.02, 0.04, 0.06]}
    start = bulk("Cu", cubic=True)
    each = static(StrainConfig(strains=strains), start)
    together = static(StrainConfig(strains=strains, combine="all"), start)
    assert (len(each), len(together)) == (5, 6)
    assert each[1].info == {"sampler": "strain", "group": "strain", "seed": 0, "strain_xx": 0.01}
    np.testing.assert_allclose(each[0].cell.array, np.diag([0.99, 1, 1]) * 3.61)
    np.testing.assert_allclose(
        each[3].cell.array, 3.61 * (np.eye(3) + 0.04 * np.eye(3)[[1, 0, 2]] * [1, 1, 0])
    )
    np.testing.assert_allclose(each[3].get_scaled_positions(), start.get_scaled_positions(), atol=1e-12)


def test_a_change_of_volume_is_what_it_says():
    (frame,) = static(StrainConfig(strains={"volume": [0.1]}), bulk("Cu", cubic=True))
    assert frame.get_volume() == pytest.approx(1.1 * 3.61**3)
    with pytest.raises(DataError, match="leaves a volume"):
        static(StrainConfig(strains={"volume": [-1.0]}), bulk("Cu", cubic=True))


def test_noise_reaches_every_coordinate_of_every_atom_by_itself():
    start = bulk("Cu", cubic=True) * 5
    moves = np.array([atoms.positions - start.positions for atoms in static(NoiseConfig(copies=2), start)])
    assert moves.shape == (2, 500, 3)
    assert np.abs(moves).max() <= 0.05
    assert np.abs(moves).max() > 0.0499
    assert (moves != 0).all()
    np.testing.assert_allclose(np.corrcoef(moves.reshape(-1, 3).T), np.eye(3), atol=0.1)
    assert moves.std() == pytest.approx(0.05 / np.sqrt(3), rel=0.05)


def test_a_rattle_has_its_deviation():
    start = bulk("Cu", cubic=True) * 5
    (frame,) = static(RattleConfig(deviation=0.2), start)
    assert (frame.positions - start.positions).std() == pytest.approx(0.2, rel=0.05)
    assert frame.info == {"sampler": "rattle", "group": "rattle", "seed": 0, "copy": 0}


def test_nickel_becomes_aluminum():
    start = bulk("Ni", "fcc", a=3.52, cubic=True)
    start.calc = EinsteinCrystal(start)
    start.get_potential_energy()
    (frame,) = static(ScalingConfig(elements={"Ni": "Al"}, scale="4.05/3.52"), start)
    assert set(frame.symbols) == {"Al"}
    np.testing.assert_allclose(frame.cell.lengths(), 4.05)
    np.testing.assert_allclose(frame.get_scaled_positions(), start.get_scaled_positions(), atol=1e-12)
    assert frame.calc is None
    with pytest.raises(ValidationError, match="expected a scale above 0"):
        ScalingConfig(scale="0/3.52")
