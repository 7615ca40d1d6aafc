"""Stability of dynamics, and the choice of their initial structure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import Calculator
from ase.md.langevin import Langevin

from gnnpot.data.structure import bare_structure
from gnnpot.errors import DataError
from gnnpot.graph.graph import label_arrays
from gnnpot.sampling.ensembles import thermalize
from gnnpot.sampling.limits import LASTING_DISTANCE, Limits

LOOK_EVERY = 10  # steps
LASTING = Limits(distance=LASTING_DISTANCE)
_ENOUGH = 64  # atoms: fewer measure the overhead of a step
_FAST = 0.5  # fs, where hydrogen vibrates


@dataclass(frozen=True)
class StartingStructure:
    """Initial structure of dynamics.

    Attributes:
        atoms: The structure, repeated where it is periodic and small.
        origin: Frame that it is.
        timestep: Time step of the dynamics (fs).
    """

    atoms: Atoms
    origin: str
    timestep: float

    def __str__(self) -> str:
        return f"{self.origin}, {len(self.atoms)} atoms"


class Stability(NamedTuple):
    """Duration of the dynamics, and the reason if they failed."""

    time: float  # fs, until they failed or ended
    failure: str  # what happened, or nothing

    @property
    def is_stable(self) -> bool:
        """Whether the dynamics reached their end."""
        return not self.failure


def starting_structure(frames: Iterable[Atoms]) -> StartingStructure:
    """Choose the frame with the smallest labeled forces, repeated to 64 atoms along periodic directions."""
    calm = min(frames, key=_root_mean_square_force)
    repeats = np.ones(3, dtype=int)
    while len(calm) * repeats.prod() < _ENOUGH and calm.pbc.any():
        lengths = np.where(calm.pbc, calm.cell.lengths() * repeats, np.inf)
        repeats[lengths.argmin()] += 1
    atoms = bare_structure(calm) * tuple(repeats.tolist())
    return StartingStructure(atoms, str(calm.info["origin"]), _FAST if "H" in calm.symbols else 1.0)


def stability(
    calculator: Calculator, atoms: Atoms, *, temperature: float, steps: int, timestep: float
) -> Stability:
    """Run Langevin dynamics until atoms overlap, heat up tenfold, or the end is reached.

    Overlap means closer than 0.6 of the sum of two covalent radii; structures are looked at every ten
    steps.

    Args:
        calculator: Calculator to judge.
        atoms: Initial structure; not changed.
        temperature: Temperature of the thermostat (K).
        steps: Length.
        timestep: Time step (fs).
    """
    moving = bare_structure(atoms)
    moving.calc = calculator
    rng = np.random.default_rng(0)
    thermalize(moving, temperature, rng=rng)
    dynamics = Langevin(
        moving, timestep * units.fs, temperature_K=temperature, friction=0.01 / units.fs, fixcm=False, rng=rng
    )
    done, failure = 0, ""
    while done < steps and not failure:
        count = min(LOOK_EVERY, steps - done)
        try:
            dynamics.run(count)
        except DataError as error:  # atoms on one spot, or positions that are not finite
            failure = str(error)
        done += count
        failure = failure or failure_of(moving, temperature)
    return Stability(done * timestep, failure)


def failure_of(atoms: Atoms, temperature: float) -> str:
    """Reason why dynamics that began at ``temperature`` (K) failed (heat, overlap, NaN), or ""."""
    return LASTING.motion_of(atoms, temperature) or LASTING.overlap_in(atoms)


def _root_mean_square_force(atoms: Atoms) -> float:
    forces = label_arrays(atoms).get("forces")
    return math.inf if forces is None else float(np.sqrt(np.mean(np.square(forces))))
