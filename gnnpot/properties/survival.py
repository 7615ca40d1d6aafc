"""How often dynamics last, and how long: many runs at a temperature, counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from jaxtyping import Float
from pydantic import PositiveFloat, PositiveInt
from scipy.stats import chi2

from gnnpot.config.base import Section
from gnnpot.config.durations import SimulatedTime
from gnnpot.properties.calculation import supercell
from gnnpot.properties.runs import run_all
from gnnpot.properties.watch import NO_WATCH, Watch
from gnnpot.sampling.ensembles import LangevinNVT
from gnnpot.sampling.limits import LASTING_DISTANCE, Limits
from gnnpot.sampling.md import MDConfig

Array = np.ndarray

_CONFIDENCE = 0.95
_NORMAL = 1.959963984540054  # standard deviations within which that share lies


class SurvivalConfig(Section):
    """Runs that should last; the paper took 20 runs of five models at 1200 K for 100 ps, 0.5 fs a step.

    Args:
        temperature: K.
        time: Length of each run (``10ps``; fs without unit).
        timestep: Timestep (fs).
        runs: Number of runs, each with random numbers of its own.
        friction: Friction of the Langevin thermostat (1/fs).
        distance: Two atoms are too close below this share of the sum of their covalent radii.
        look_every: Time between two looks at distances.
        size: Shortest distance of an atom from its images (Å).
    """

    temperature: PositiveFloat = 1200.0
    time: SimulatedTime = 10_000.0
    timestep: SimulatedTime = 0.5
    runs: PositiveInt = 20
    friction: PositiveFloat = 0.01
    distance: PositiveFloat = LASTING_DISTANCE
    look_every: SimulatedTime = 10.0
    size: PositiveFloat = 10.0

    def sampler(self) -> MDConfig:
        """The runs as a section of a sampling run."""
        steps = max(1, round(self.time / self.timestep))
        return MDConfig(
            ensemble=LangevinNVT(friction=self.friction),
            temperatures=self.temperature,
            repetitions=self.runs,
            timestep=self.timestep,
            steps=steps,
            interval=min(steps, max(1, round(self.look_every / self.timestep))),
            limits=Limits(distance=self.distance),
        )


@dataclass(frozen=True)
class Survival:
    """What became of each run.

    Attributes:
        times: How long each lasted (ps).
        failures: How each ended; empty for those that came to their end.
        length: Length of a run that lasts (ps).
    """

    UNITS: ClassVar[Mapping[str, str]] = {
        "survived": "1", "survived_interval": "1", "mean_time_to_failure": "ps",
        "mean_time_to_failure_interval": "ps", "length": "ps", "times": "ps",
    }  # fmt: skip

    times: tuple[float, ...]
    failures: tuple[str, ...]
    length: float

    @property
    def survived(self) -> float:
        """Share of the runs that came to their end."""
        return sum(not failure for failure in self.failures) / len(self.failures)

    @property
    def survived_interval(self) -> tuple[float, float]:
        """95 % interval of that share by Wilson's score, which holds for few runs and shares of 0 and 1."""
        return wilson_interval(round(self.survived * len(self.failures)), len(self.failures))

    @property
    def mean_time_to_failure(self) -> float:
        """All time that was run over the number of failures (ps), infinite without any.

        It is the maximum-likelihood estimate for a constant rate of failure, runs that last included.
        """
        failed = sum(bool(failure) for failure in self.failures)
        return sum(self.times) / failed if failed else float("inf")

    @property
    def mean_time_to_failure_interval(self) -> tuple[float, float]:
        """95 % interval (ps) by the distribution of χ²; the upper end is infinite without failures."""
        failed, total = sum(bool(failure) for failure in self.failures), sum(self.times)
        tail = (1 - _CONFIDENCE) / 2
        lower = 2 * total / float(chi2.ppf(1 - tail, 2 * failed + 2))
        upper = 2 * total / float(chi2.ppf(tail, 2 * failed)) if failed else float("inf")
        return lower, upper

    def as_dict(self) -> dict[str, Any]:
        """Numbers by name, in the units of :attr:`UNITS`; null stands for infinity."""
        lower, upper = self.mean_time_to_failure_interval
        return {
            "survived": self.survived,
            "survived_interval": list(self.survived_interval),
            "num_runs": len(self.times),
            "num_failed": sum(bool(failure) for failure in self.failures),
            "mean_time_to_failure": _finite(self.mean_time_to_failure),
            "mean_time_to_failure_interval": [lower, _finite(upper)],
            "length": self.length,
            "times": list(self.times),
            "failures": list(self.failures),
        }


def survival(
    calculator: Calculator,
    atoms: Atoms,
    *,
    config: SurvivalConfig | None = None,
    seed: int = 0,
    watch: Watch = NO_WATCH,
) -> Survival:
    """Run dynamics many times and count how many last.

    Runs of a potential move together as batches, those of other calculators one after another
    (:mod:`gnnpot.properties.runs`).

    Args:
        calculator: Forces.
        atoms: Structure to start from; repeated to the size of the configuration.
        config: Temperature, length, number of runs.
        seed: Seed of all random numbers.
        watch: Told which share of the steps is done; an unfinished state in its file is taken up.

    Raises:
        DataError: The calculator cannot treat the structure at the start.
    """
    config = config or SurvivalConfig()
    start = supercell(atoms, config.size) if atoms.cell.rank == 3 else atoms
    plan, rng = config.sampler(), np.random.default_rng(seed)
    steps, failures = run_all(calculator, start, plan, rng, watch)
    return Survival(
        times=tuple(step * config.timestep / 1000 for step in steps),
        failures=tuple(failures),
        length=plan.steps * config.timestep / 1000,
    )


def wilson_interval(successes: int, trials: int) -> tuple[float, float]:
    """95 % interval of a share. Source: Wilson, J. Am. Stat. Assoc. 22, 209 (1927)."""
    share, square = successes / trials, _NORMAL**2
    middle = (share + square / (2 * trials)) / (1 + square / trials)
    half = _NORMAL * np.sqrt(share * (1 - share) / trials + square / (4 * trials**2)) / (1 + square / trials)
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


def survival_curve(results: Sequence[Survival]) -> tuple[Float[Array, "T"], Float[Array, "T"]]:
    """Share of runs that last longer than each time (ps), by Kaplan and Meier's estimate.

    Source: Kaplan, Meier, J. Am. Stat. Assoc. 53, 457 (1958).
    """
    times = np.concatenate([result.times for result in results])
    failed = np.array([bool(failure) for result in results for failure in result.failures])
    events = np.unique(times[failed])
    shares = np.cumprod([1 - (failed & (times == event)).sum() / (times >= event).sum() for event in events])
    return np.concatenate([[0.0], events]), np.concatenate([[1.0], shares])


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
