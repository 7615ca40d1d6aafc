"""Every ensemble samples its distribution: averages and fluctuations that are known exactly.

The atoms are an ideal gas or a harmonic crystal, in a cell whose energy depends on its volume and shape.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
from ase import Atoms, units
from ase.calculators.calculator import Calculator, all_changes
from ase.stress import full_3x3_to_voigt_6_stress

from gnnpot.sampling import MDConfig
from gnnpot.units import kBar

Array = np.ndarray
KT = units.kB * 300.0
SIZE = 4
PRESSURE = 100.0  # bar
VOLUME, WIDTH = 1000.0, 250.0  # Å³: of the well, and of its fluctuation but for pressure and atoms
FREE = ["npt-langevin", "npt-isotropic"]  # a cell of any shape needs longer to forget its start
ISOBARIC = ["npt-langevin", "npt-isotropic", "npt-flexible"]
ISOTHERMAL = ["langevin", "bussi", "nose-hoover", *ISOBARIC]


class Cell(Calculator):
    """U = k/2 Σ |u_i − ū|² + kT/2 ((V − V0) / w)² + 20 kT (tr hᵀh / V^⅔ − 3), u from sites in the cell.

    Args:
        atoms: Structure on its sites.
        stiffness: k (eV/Å²), 0 for an ideal gas.
    """

    implemented_properties = ["energy", "free_energy", "forces", "stress"]  # noqa: RUF012

    def __init__(self, atoms: Atoms, stiffness: float) -> None:
        super().__init__()
        self.sites = atoms.get_scaled_positions(wrap=False)
        self.stiffness = stiffness

    def away(self, atoms: Atoms) -> Array:
        """From each site to its atom, less the mean (Å)."""
        scaled = atoms.positions @ np.linalg.inv(atoms.cell.array) - self.sites
        scaled -= scaled[0]
        away = (scaled - np.round(scaled)) @ atoms.cell.array
        return away - away.mean(axis=0)

    def calculate(self, atoms=None, properties=("energy",), system_changes=tuple(all_changes)):
        super().calculate(atoms, properties, system_changes)
        cell, away = self.atoms.cell.array, self.away(self.atoms)
        volume = abs(np.linalg.det(cell))
        shape = cell.T @ cell / volume ** (2 / 3)
        stretch = (volume - VOLUME) / WIDTH
        energy = KT / 2 * stretch**2 + 20 * KT * (np.trace(shape) - 3)
        energy += self.stiffness / 2 * np.sum(away**2)
        virial = KT * stretch / WIDTH * volume * np.eye(3)
        virial += 40 * KT * (shape - np.trace(shape) / 3 * np.eye(3)) + self.stiffness * away.T @ away
        self.results = {
            "energy": energy,
            "free_energy": energy,
            "forces": -self.stiffness * away,
            "stress": full_3x3_to_voigt_6_stress(virial / volume),
        }


@dataclass
class Sample:
    """Volume (Å³), and energies over kT, at each frame."""

    volume: Array
    potential: Array
    kinetic: Array


@cache
def sampled(kind: str, stiffness: float) -> Sample:
    """Dynamics of four atoms of three masses, without the first 300 steps."""
    sites = [[0, 0, 0], [5, 5, 0], [5, 0, 5], [0, 5, 5]]
    atoms = Atoms("AgCuAlCu", sites, cell=[10, 10, 10], pbc=True)
    atoms.calc = Cell(atoms, stiffness)
    settings = {"time": 50.0} if kind in ("bussi", "nose-hoover") else {}
    if kind in ISOBARIC:
        slow = 200.0 if kind == "npt-langevin" else 100.0
        settings = {"pressure": PRESSURE, "time": 50.0, "pressure_time": slow}
    config = MDConfig.model_validate(
        {
            "ensemble": {"kind": kind, **settings},
            "temperatures": 300,
            "timestep": 4.0,
            "equilibration": 300,
            "steps": 4000,
            "interval": 4,
            "limits": {"heating": 1e3, "distance": 0.01},
        }
    )
    walks = config.sampler(atoms.calc)([atoms], np.random.default_rng(3))
    rows = []
    for frame in walks:
        away = atoms.calc.away(frame)
        kinetic = walks.walks[0].atoms.get_kinetic_energy()
        rows.append((frame.get_volume(), stiffness / 2 * np.sum(away**2) / KT, kinetic / KT))
    assert not walks.walks[0].failure
    return Sample(*np.array(rows).T)


def exact_volume(power: int) -> tuple[float, float]:
    """Mean and standard deviation (Å³) where each volume has the weight V^power exp(−(U + PV) / kT)."""
    volume = np.linspace(1.0, 4000.0, 40001)
    energy = KT / 2 * ((volume - VOLUME) / WIDTH) ** 2 + PRESSURE * kBar / 1000 * volume
    weight = np.exp(power * np.log(volume / VOLUME) - energy / KT)
    mean = np.average(volume, weights=weight)
    return mean, np.sqrt(np.average((volume - mean) ** 2, weights=weight))


@pytest.mark.parametrize("kind", FREE)
def test_the_volume_of_an_ideal_gas_has_its_mean_and_fluctuation(kind):
    """One atom less in the exponent would be 55 Å³ less."""
    found = sampled(kind, 0.0)
    mean, deviation = exact_volume(SIZE)
    assert found.volume.mean() == pytest.approx(mean, abs=28)
    assert found.volume.std() == pytest.approx(deviation, rel=0.25)


@pytest.mark.parametrize("kind", ISOBARIC)
def test_the_volume_of_a_harmonic_crystal_has_its_mean_and_fluctuation(kind):
    """Its only free translation is that of the whole; without it the mean would be 75 Å³ less."""
    found = sampled(kind, 1.0)
    mean, deviation = exact_volume(1)
    assert found.volume.mean() == pytest.approx(mean, abs=28)
    assert found.volume.std() == pytest.approx(deviation, rel=0.25)


@pytest.mark.parametrize("kind", ISOTHERMAL)
def test_the_energies_of_a_harmonic_crystal_have_their_means_and_fluctuations(kind):
    found = sampled(kind, 1.0)
    moving = 3 * SIZE if "langevin" in kind else 3 * SIZE - 3
    for energy, degrees in ((found.potential, 3 * SIZE - 3), (found.kinetic, moving)):
        assert energy.mean() == pytest.approx(degrees / 2, rel=0.15)
        assert energy.std() == pytest.approx(np.sqrt(degrees / 2), rel=0.25)


def test_constant_energy_has_the_same_mean_of_both_energies():
    found = sampled("nve", 1.0)
    total = found.potential + found.kinetic
    assert np.ptp(total) < 0.01 * total.mean()
    assert found.potential.mean() == pytest.approx(found.kinetic.mean(), rel=0.05)
