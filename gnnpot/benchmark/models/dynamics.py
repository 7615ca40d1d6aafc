"""Speed and energy conservation of a trained model in dynamics that start from a test structure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gnnpot.benchmark.models.config import ComparisonConfig
from gnnpot.calculator.calculator import GNNPotCalculator
from gnnpot.errors import DataError
from gnnpot.evaluation.conservation import constant_energy, cutoff_jump
from gnnpot.evaluation.stability import StartingStructure as StartingStructure
from gnnpot.evaluation.stability import starting_structure as starting_structure
from gnnpot.sampling.ensembles import thermalize

_WARM_UP = 10  # steps before the clock runs


class Found(NamedTuple):
    """Measured values, in the units of :class:`gnnpot.benchmark.trials.Measurement`."""

    microseconds: float
    drift: float
    energy_jump: float
    forces_jump: float
    failure: str


def measured(
    path: Path, start: StartingStructure, *, config: ComparisonConfig, elements: Sequence[str]
) -> Found:
    """Run dynamics at constant energy with the model in ``path``, and pass an atom through its cutoff.

    Dynamics run in the precision of the model file; where they fail, speed and drift are not reported.
    Smoothness at the cutoff is measured in float64, so that rounding cannot hide a jump.
    """
    calculator = GNNPotCalculator(path, device=config.device)
    atoms = start.atoms.copy()
    atoms.calc = calculator
    thermalize(atoms, config.temperature, rng=np.random.default_rng(0))
    microseconds, drift, failure = math.nan, math.nan, ""
    try:
        settings = {"timestep": start.timestep, "temperature": config.temperature}
        constant_energy(atoms, steps=_WARM_UP, **settings)
        trajectory = constant_energy(atoms, steps=config.steps, **settings)
        microseconds, drift = 1e6 * trajectory.seconds_per_atom_step, trajectory.drift
    except DataError as error:  # atoms that flew apart, met or became hot
        failure = str(error)
    exact = GNNPotCalculator(path, device=config.device, default_dtype="float64")
    jump = cutoff_jump(exact, exact.potential.cutoff, elements)
    return Found(microseconds, drift, jump.energy, jump.forces, failure)
