"""How fast and how conservative the dynamics of a trained model are, from a structure of the test."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from ase import Atoms

from gnnpot.calculator import GNNPotCalculator
from gnnpot.data.graph import label_arrays
from gnnpot.errors import DataError
from gnnpot.studies.conservation import constant_energy, cutoff_jump, thermalize
from gnnpot.studies.settings import ComparisonConfig

_ENOUGH = 64  # atoms: fewer measure the overhead of a step
_WARM_UP = 10  # steps before the clock runs
_FAST = 0.5  # fs, where hydrogen vibrates


@dataclass(frozen=True)
class Start:
    """Where dynamics start.

    Attributes:
        atoms: The structure, repeated where it is periodic and small.
        origin: Frame that it is.
        timestep: Of the dynamics (fs).
    """

    atoms: Atoms
    origin: str
    timestep: float

    def __str__(self) -> str:
        return f"{self.origin}, {len(self.atoms)} atoms"


class Found(NamedTuple):
    """What was measured, in the units of :class:`gnnpot.report.trials.Measurement`."""

    microseconds: float
    drift: float
    energy_jump: float
    forces_jump: float
    failure: str


def starting_structure(frames: Sequence[Atoms]) -> Start:
    """The frame with the smallest labeled forces, repeated to 64 atoms along its periodic directions."""
    calm = min(frames, key=_root_mean_square_force)
    repeats = np.ones(3, dtype=int)
    while len(calm) * repeats.prod() < _ENOUGH and calm.pbc.any():
        lengths = np.where(calm.pbc, calm.cell.lengths() * repeats, np.inf)
        repeats[lengths.argmin()] += 1
    atoms = Atoms(calm.numbers, calm.positions, cell=calm.cell, pbc=calm.pbc) * tuple(repeats.tolist())
    return Start(atoms, str(calm.info["origin"]), _FAST if "H" in calm.symbols else 1.0)


def measured(path: Path, start: Start, *, config: ComparisonConfig, elements: Sequence[str]) -> Found:
    """Run dynamics at constant energy with the model in ``path``, and pass an atom through its cutoff.

    Dynamics have the precision of the file; the cutoff is looked at in float64, which hides no jump in
    rounding.
    """
    calculator = GNNPotCalculator(path, device=config.device)
    atoms = start.atoms.copy()
    atoms.calc = calculator
    thermalize(atoms, config.temperature, rng=np.random.default_rng(0))
    microseconds, drift, failure = math.nan, math.nan, ""
    try:
        constant_energy(atoms, steps=_WARM_UP, timestep=start.timestep)
        trajectory = constant_energy(atoms, steps=config.steps, timestep=start.timestep)
        microseconds, drift = 1e6 * trajectory.seconds_per_atom_step, trajectory.drift
    except DataError as error:  # atoms that flew apart or met
        failure = str(error)
    exact = GNNPotCalculator(path, device=config.device, default_dtype="float64")
    jump = cutoff_jump(exact, exact.potential.cutoff, elements)
    return Found(microseconds, drift, jump.energy, jump.forces, failure)


def _root_mean_square_force(atoms: Atoms) -> float:
    forces = label_arrays(atoms).get("forces")
    return math.inf if forces is None else float(np.sqrt(np.mean(np.square(forces))))
