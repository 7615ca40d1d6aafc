"""Energy conservation, and smoothness at the cutoff, of any ASE calculator."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import Calculator
from ase.data import atomic_numbers, covalent_radii
from ase.md.langevin import Langevin
from ase.md.verlet import VelocityVerlet
from jaxtyping import Float

from gnnpot.errors import DataError
from gnnpot.evaluation.stability import LOOK_EVERY, failure_of
from gnnpot.sampling.ensembles import thermalize
from gnnpot.units import meV

Array = np.ndarray

_STEP = 1e-3  # Å, of the atom that passes the cutoff
_STEPS = 10  # on either side


@dataclass(frozen=True)
class EnergyTrace:
    """Energies and temperatures along NVE dynamics.

    Attributes:
        energies: Total energy at each step (eV).
        temperatures: Temperature at each step (K).
        num_atoms: Number of atoms.
        timestep: Time between two steps (fs).
        step_seconds: Wall time of each step.
    """

    energies: Float[Array, "S"]
    temperatures: Float[Array, "S"]
    num_atoms: int
    timestep: float
    step_seconds: Float[Array, "S-1"]

    @property
    def times(self) -> Float[Array, "S"]:
        """Time of each step (ps)."""
        return np.arange(len(self.energies)) * self.timestep / 1000

    @property
    def drift(self) -> float:
        """Slope of the total energy by least squares (meV/atom/ps)."""
        return float(np.polyfit(self.times, self.energies - self.energies[0], 1)[0] / self.num_atoms / meV)

    @property
    def scatter(self) -> float:
        """Standard deviation of the total energy about that slope (meV/atom)."""
        rest = (self.energies - self.energies[0]) / self.num_atoms / meV - self.drift * self.times
        return float(rest.std())

    @property
    def seconds_per_atom_step(self) -> float:
        """Wall time of a step for each atom: the median, which other work moves least."""
        return float(np.median(self.step_seconds)) / self.num_atoms


class Jump(NamedTuple):
    """Largest changes of energy and forces between two steps of an atom that passes the cutoff."""

    energy: float  # meV
    forces: float  # meV/Å, of one Cartesian component


def heat(atoms: Atoms, temperature: float, *, steps: int, timestep: float, rng: np.random.Generator) -> None:
    """Bring ``atoms`` to ``temperature`` (K) with a thermostat for ``steps`` of ``timestep`` (fs)."""
    thermalize(atoms, temperature, rng=rng)
    settings = {"temperature_K": temperature, "friction": 0.02 / units.fs, "fixcm": False}
    Langevin(atoms, timestep * units.fs, rng=rng, **settings).run(steps)


def constant_energy(
    atoms: Atoms, *, steps: int, timestep: float, temperature: float = math.inf
) -> EnergyTrace:
    """Run NVE dynamics for ``steps`` of ``timestep`` (fs).

    Args:
        atoms: They are moved.
        steps: Length.
        timestep: Time step (fs).
        temperature: Temperature of the start (K), by which overheating is told; without it only overlap is.

    Raises:
        DataError: Atoms overlap, or are more than ten times as hot as that.
    """
    rows = []

    def record() -> None:
        rows.append((atoms.get_total_energy(), atoms.get_temperature(), time.perf_counter()))

    dynamics = VelocityVerlet(atoms, timestep * units.fs)
    dynamics.attach(record)
    for done in range(0, steps, LOOK_EVERY):
        dynamics.run(min(LOOK_EVERY, steps - done))
        if failure := failure_of(atoms, temperature):
            raise DataError(
                f"expected dynamics that last, got {failure} after {dynamics.nsteps} steps; train the "
                "potential on more, or take shorter steps"
            )
    energies, temperatures, moments = np.array(rows).T
    return EnergyTrace(energies, temperatures, len(atoms), timestep, np.diff(moments))


def cutoff_jump(calculator: Calculator, cutoff: float, symbols: Sequence[str]) -> Jump:
    """Measure the jumps of energy and forces while an atom passes the cutoff.

    Atom 0 has a bonded neighbor of its own element along x; a third atom goes along y from
    ``cutoff`` − 0.01 Å to ``cutoff`` + 0.01 Å of atom 0 in steps of 0.001 Å.  What a smooth potential
    changes between two steps is its slope times the step, next to nothing at the cutoff.

    Args:
        calculator: Calculator to judge.
        cutoff: Distance at which it should be smooth (Å).
        symbols: Elements of which every pair is tried; the largest jump counts.
    """
    jumps = [
        _jump(calculator, cutoff, center, moving) for center, moving in itertools.product(symbols, repeat=2)
    ]
    return Jump(*np.max(jumps, axis=0).tolist())


def _jump(calculator: Calculator, cutoff: float, center: str, moving: str) -> tuple[float, float]:
    bond = 2 * covalent_radii[atomic_numbers[center]]
    energies, forces = [], []
    for place in range(-_STEPS, _STEPS + 1):
        distance = cutoff + (place + 0.5) * _STEP  # never at the cutoff itself
        atoms = Atoms([center, center, moving], [[0, 0, 0], [bond, 0, 0], [0, distance, 0]])
        atoms.calc = calculator
        energies.append(atoms.get_potential_energy())
        forces.append(atoms.get_forces())
    return float(np.abs(np.diff(energies)).max() / meV), float(np.abs(np.diff(forces, axis=0)).max() / meV)
