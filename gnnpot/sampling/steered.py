"""Steered dynamics: a moving spring pulls two atoms or groups apart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from jaxtyping import Float
from pydantic import NonNegativeInt, PositiveFloat, PositiveInt, field_validator

from gnnpot.sampling.ensembles import BerendsenNVT, Ensemble
from gnnpot.sampling.limits import Limits
from gnnpot.sampling.md import side_by_side
from gnnpot.sampling.schedule import Ramp, Schedule, Timing
from gnnpot.sampling.spread import StopWhen
from gnnpot.sampling.spring import SpringCalculator
from gnnpot.sampling.step_cache import OncePerStep
from gnnpot.sampling.walk import WalkPlan, Walks

Array = np.ndarray
_FS_PER_PS = 1000.0


class SteeredConfig(Timing):
    """A spring between two atoms or groups whose length grows evenly.

    The spring is put in after the equilibration, at the distance that is there.

    Args:
        between: Two atoms or two groups, by index from 0.
        stiffness: Spring constant (eV/Å²).
        velocity: Rate at which the length of the spring grows (Å/ps); negative to push.
        temperature: Temperature of the thermostat (K).
        ensemble: Thermostat, and barostat if any.
        repetitions: Runs of each structure with random numbers of their own.
        limits: Criteria that stop a run.
        stop_when: Spread of a committee at which a run ends, e.g. ``{spread: mu+3sigma}``.
    """

    kind: Literal["steered"] = "steered"
    between: tuple[NonNegativeInt | tuple[NonNegativeInt, ...], NonNegativeInt | tuple[NonNegativeInt, ...]]
    stiffness: PositiveFloat = 10.0
    velocity: float = 1.0
    temperature: PositiveFloat = 10.0
    ensemble: Ensemble = BerendsenNVT()
    repetitions: PositiveInt = 1
    limits: Limits = Limits(heating=1000.0)
    stop_when: StopWhen | None = None

    @field_validator("between")
    @classmethod
    def _two_groups(cls, value: Any) -> Any:
        first, second = ((end,) if isinstance(end, int) else end for end in value)
        if set(first) & set(second):
            raise ValueError("expected two different atoms or groups at the ends of the spring; change one")
        return value

    @field_validator("velocity")
    @classmethod
    def _moves(cls, value: float) -> float:
        if not np.isfinite(value) or value == 0:
            raise ValueError("expected a spring that moves; change velocity")
        return value

    @property
    def groups(self) -> tuple[Sequence[int], Sequence[int]]:
        """The atoms at each end."""
        first, second = ((end,) if isinstance(end, int) else end for end in self.between)
        return first, second

    def sampler(self, calculator: Calculator) -> SteeredSampler:
        """The sampler with forces of ``calculator``."""
        return SteeredSampler(self, calculator)


class SteeredSampler:
    """Frames along a forced path, with the work that it takes.

    Source: Jung, Choi, Lee, Digital Discovery 3, 514 (2024), section 2.2.1: hexane, 10 eV/Å², 1 Å/ps, 10 K.

    Args:
        config: Spring and thermostat.
        calculator: Energy and forces.
    """

    def __init__(self, config: SteeredConfig, calculator: Calculator) -> None:
        self.config = config
        self.calculator = calculator

    def __call__(self, seeds: Iterable[Atoms], rng: np.random.Generator) -> Walks:
        """Frames of all runs.

        Raises:
            ConfigError: The spring names an atom that a seed lacks.
        """
        config = self.config
        ramp = Ramp(first=config.temperature, last=config.temperature)
        plan = WalkPlan(config.ensemble, Schedule(config, ramp), config.limits, config.stop_when)
        return Walks(
            side_by_side(seeds, [plan] * config.repetitions, rng, prepare=self._prepared, sampler="steered")
        )

    def _prepared(self, atoms: Atoms) -> tuple[SpringCalculator, Pull]:
        config = self.config
        spring = SpringCalculator(
            OncePerStep(self.calculator), config.groups, stiffness=config.stiffness, atoms=atoms
        )
        return spring, Pull(spring, config.velocity * config.timestep / _FS_PER_PS)


class Pull:
    r"""Moves the spring on at every step and adds up its work.

    .. math:: \Delta W = \frac{K}{2} \big[ (t' - d)^2 - (t - d)^2 \big]

    where the target goes from t to t' at distance d: what the energy of the whole gains.  The logged force is
    the mean of those before and after the move, K ((t + t') / 2 − d): the momenta get half of each, and the
    work is its sum times t' − t.

    Args:
        spring: Spring to move.
        stride: Change of the target at each step (Å).
    """

    every = 1
    columns = ("spring_target", "distance", "force", "work", "potential_energy")

    def __init__(self, spring: SpringCalculator, stride: float) -> None:
        self.spring = spring
        self.stride = stride
        self.work = 0.0

    def __call__(self, atoms: Atoms, step: int) -> tuple[float, ...]:
        """Move on; gives a row of the log, or none during equilibration."""
        if step <= 0:
            return ()
        spring, distance = self.spring, self.spring.distance(atoms)
        target = distance if spring.target is None else spring.target
        ahead = target + self.stride
        force = spring.stiffness * ((target + ahead) / 2 - distance)
        row = (target, distance, force, self.work, float(spring.unbiased["energy"]))
        self.work += spring.stiffness / 2 * ((ahead - distance) ** 2 - (target - distance) ** 2)
        spring.move_to(ahead)
        return row

    def state(self) -> dict[str, Any]:
        """Where the spring is and what it has cost."""
        return {"target": self.spring.target, "work": self.work}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self.spring.target, self.work = state["target"], state["work"]


class WorkCurve(NamedTuple):
    """The work of a spring along its way."""

    targets: Float[Array, "S"]  # Å
    distances: Float[Array, "S"]  # Å
    forces: Float[Array, "S"]  # eV/Å
    work: Float[Array, "S"]  # eV

    @property
    def activation_energy(self) -> float:
        """Most work on the way (eV); slow pulling at low temperature gives the energy of the barrier."""
        return float(self.work.max() - self.work[0])


def read_work_curves(path: Path) -> dict[int, WorkCurve]:
    """The curve of each run in a log of steered dynamics.

    Args:
        path: ``log.csv`` of the run.
    """
    table = np.loadtxt(path, delimiter=",", skiprows=1, ndmin=2)
    return {int(run): WorkCurve(*table[table[:, 0] == run, 2:6].T) for run in np.unique(table[:, 0])}
