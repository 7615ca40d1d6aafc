"""Energy conservation and smoothness at the cutoff are measured right."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk, molecule
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from model_comparisons import DEMO, labeled
from potentials import small_potential

from gnnpot.benchmark.models.config import ComparisonConfig
from gnnpot.benchmark.models.dynamics import measured, starting_structure
from gnnpot.data.reading import read_frames
from gnnpot.evaluation.conservation import constant_energy, cutoff_jump, thermalize
from gnnpot.potential.model_file import save_potential


class Pull(Calculator):
    """A constant force (eV/Å) along x that no energy has."""

    implemented_properties = ["energy", "forces"]  # noqa: RUF012

    def __init__(self, force: float) -> None:
        super().__init__()
        self.force = force

    def calculate(self, atoms=None, properties=("energy",), system_changes=tuple(all_changes)):
        super().calculate(atoms, properties, system_changes)
        forces = np.zeros((len(atoms), 3))
        forces[:, 0] = self.force
        self.results = {"energy": 0.0, "forces": forces}


def test_a_potential_conserves_and_a_force_without_energy_drifts_by_what_it_does():
    crystal = bulk("Cu", cubic=True) * (2, 2, 2)
    crystal.calc = EMT()
    thermalize(crystal, 300.0, rng=np.random.default_rng(0))
    assert abs(crystal.get_momenta().sum(axis=0)).max() < 1e-10
    kept = constant_energy(crystal, steps=200, timestep=2.0)
    assert abs(kept.drift) < 0.5
    assert kept.times[-1] == pytest.approx(0.4)
    assert kept.seconds_per_atom_step > 0

    atoms = Atoms("Si2", [[0, 0, 0], [9, 0, 0]], calculator=Pull(0.1))
    pulled = constant_energy(atoms, steps=1000, timestep=1.0)
    mass = atoms.get_masses()[0]
    picosecond = 1000 * units.fs
    expected = 0.1**2 * picosecond**2 / (2 * mass) * 1000  # meV/atom/ps: a parabola a t² has the slope a T
    assert pulled.drift == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("scale", [1e3, 1e4])
def test_a_model_whose_atoms_fly_apart_has_neither_speed_nor_drift(tmp_path, scale):
    potential = small_potential("schnet")
    potential.scale *= scale
    save_potential(potential, tmp_path / "wild.safetensors")
    start = starting_structure(list(read_frames([DEMO]))[:20])
    config = ComparisonConfig.from_dict({"data": (str(DEMO),), "steps": 200}, source="test")
    found = measured(tmp_path / "wild.safetensors", start, config=config, elements=["Si"])
    assert math.isnan(found.microseconds)
    assert math.isnan(found.drift)
    assert re.search("temperature of|Å apart|finite", found.failure)
    assert found.forces_jump >= 0


class Spring(Calculator):
    """Pairs of energy (r − 3)² eV up to the cutoff, times a power of the distance to it."""

    implemented_properties = ["energy", "forces"]  # noqa: RUF012

    def __init__(self, cutoff: float, power: int) -> None:
        super().__init__()
        self.cutoff, self.power = cutoff, power

    def calculate(self, atoms=None, properties=("energy",), system_changes=tuple(all_changes)):
        super().calculate(atoms, properties, system_changes)
        energy, forces = 0.0, np.zeros((len(atoms), 3))
        for i in range(len(atoms)):
            for j in range(i):
                vector = atoms.positions[i] - atoms.positions[j]
                length = np.linalg.norm(vector)
                if length < self.cutoff:
                    left, p = self.cutoff - length, self.power
                    energy += (length - 3) ** 2 * left**p
                    slope = 2 * (length - 3) * left**p - (
                        p * (length - 3) ** 2 * left ** (p - 1) if p else 0.0
                    )
                    forces[i] -= slope * vector / length
                    forces[j] += slope * vector / length
        self.results = {"energy": energy, "forces": forces}


def test_a_jump_at_the_cutoff_is_found_in_energy_and_forces():
    hard = cutoff_jump(Spring(5.0, 0), 5.0, ["Si"])
    assert hard.energy == pytest.approx(4000.0, rel=2e-3)  # (5 − 3)² eV
    assert hard.forces == pytest.approx(4000.0, rel=2e-3)  # 2 (5 − 3) eV/Å
    kinked = cutoff_jump(Spring(5.0, 1), 5.0, ["Si"])
    assert kinked.energy < 10.0
    assert kinked.forces == pytest.approx(4000.0, rel=1e-2)
    smooth = cutoff_jump(Spring(5.0, 3), 5.0, ["Si", "C"])
    assert smooth.energy < 1e-2
    assert smooth.forces < 0.5


def test_dynamics_start_from_the_calmest_frame_large_enough():
    calm, wild = labeled(bulk("Si")), labeled(bulk("Si", a=5.0), forces=np.ones((2, 3)))
    calm.info["origin"] = "a.xyz:2"
    start = starting_structure([wild, calm])
    assert (start.origin, start.timestep) == ("a.xyz:2", 1.0)
    assert len(start.atoms) >= 64
    assert start.atoms.get_volume() / len(start.atoms) == pytest.approx(calm.get_volume() / 2)
    water = labeled(molecule("H2O"))
    water.info["origin"] = "w.xyz:1"
    start = starting_structure([water])
    assert (len(start.atoms), start.timestep) == (3, 0.5)
