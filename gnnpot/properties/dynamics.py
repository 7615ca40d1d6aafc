"""Structure and motion of a solid or a liquid at a temperature, with error bands over several runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from jaxtyping import Float
from pydantic import PositiveFloat, PositiveInt

from gnnpot.config.base import Section
from gnnpot.config.durations import SimulatedTime, TimeFromZero
from gnnpot.errors import PropertyError
from gnnpot.properties.calculation import supercell
from gnnpot.properties.correlations import (
    AngularDistribution,
    Displacement,
    RadialDistribution,
    angular_distribution,
    coordination_numbers,
    mean_square_displacement,
    radial_distribution,
)
from gnnpot.properties.runs import Recorder, run_all
from gnnpot.properties.watch import NO_WATCH, Watch
from gnnpot.sampling.ensembles import Ensemble, LangevinNVT
from gnnpot.sampling.limits import Limits
from gnnpot.sampling.md import MDConfig
from gnnpot.sampling.replicas import Replicas
from gnnpot.sampling.walk import Walks

Array = np.ndarray


class DynamicsConfig(Section):
    """Molecular dynamics from which distances, angles and displacements are taken.

    Args:
        temperature: K.
        time: Length of each run after equilibration (``2ps``; fs without unit).
        equilibration: Length of the equilibration before it.
        timestep: Timestep (fs).
        interval: Time between two frames.
        seeds: Runs with random numbers of their own; their spread gives the error bands.
        ensemble: Thermostat and barostat.
        size: Shortest distance of an atom from its images (Å).
        reach: Largest distance of the radial distribution (Å).
        bins: Number of bins of the radial distribution.
    """

    temperature: PositiveFloat = 300.0
    time: SimulatedTime = 2000.0
    equilibration: TimeFromZero = 500.0
    timestep: SimulatedTime = 1.0
    interval: SimulatedTime = 25.0
    seeds: PositiveInt = 2
    ensemble: Ensemble = LangevinNVT()
    size: PositiveFloat = 8.0
    reach: PositiveFloat = 8.0
    bins: PositiveInt = 160

    def sampler(self) -> MDConfig:
        """The dynamics as a section of a sampling run."""
        return MDConfig(
            ensemble=self.ensemble,
            temperatures=self.temperature,
            repetitions=self.seeds,
            timestep=self.timestep,
            equilibration=round(self.equilibration / self.timestep),
            steps=max(1, round(self.time / self.timestep)),
            interval=max(1, round(min(self.interval, self.time) / self.timestep)),
            limits=Limits(distance=0.3),
        )


@dataclass(frozen=True)
class Dynamics:
    """What runs at one temperature have in common; each band is the standard deviation over them.

    Attributes:
        temperature: K.
        radial: Mean g(r).
        radial_band: Standard deviation of the total g(r) over runs.
        angular: Mean distribution of angles of bonds up to the first minimum of g(r).
        angular_band: Standard deviation of the angular distribution over runs (1/°).
        displacement: Mean square displacement.
        displacement_band: Standard deviation of the displacement over runs (Å²).
        coordination: Mean number of neighbors up to the first minimum of g(r), of each run.
        density: Mean mass density of each run (g/cm³).
        failures: Reasons of the runs that exploded; they are left out of all else.
        num_atoms: Number of atoms in each run.
    """

    UNITS: ClassVar[Mapping[str, str]] = {
        "temperature": "K", "density": "g/cm³", "diffusion": "Å²/ps", **RadialDistribution.UNITS,
        "first_peak": "Å", "mean_angle": "°", "squares": "Å²", "times": "ps", "angles": "°",
    }  # fmt: skip

    temperature: float
    radial: RadialDistribution
    radial_band: Float[Array, "R"]
    angular: AngularDistribution
    angular_band: Float[Array, "A"]
    displacement: Displacement
    displacement_band: Float[Array, "T"]
    coordination: tuple[float, ...]
    density: tuple[float, ...]
    failures: tuple[str, ...]
    num_atoms: int

    def as_dict(self) -> dict[str, Any]:
        """Numbers by name, in the units of :attr:`UNITS`."""
        return {
            "temperature": self.temperature,
            "first_peak": self.radial.first_peak,
            "first_minimum": self.radial.first_minimum,
            "coordination": float(np.mean(self.coordination)),
            "mean_angle": self.angular.mean,
            "diffusion": self.displacement.diffusion,
            "density": float(np.mean(self.density)),
            "num_runs": len(self.coordination),
            "failures": list(self.failures),
            "num_atoms": self.num_atoms,
            "radial": {**self.radial.as_dict(), "band": self.radial_band.tolist()},
            "angular": {**self.angular.as_dict(), "band": self.angular_band.tolist()},
            "displacement": {**self.displacement.as_dict(), "band": self.displacement_band.tolist()},
        }


def dynamics(
    calculator: Calculator,
    atoms: Atoms,
    *,
    config: DynamicsConfig | None = None,
    seed: int = 0,
    watch: Watch = NO_WATCH,
) -> Dynamics:
    """Run several trajectories and average their structure and motion.

    Runs of a potential at constant volume with friction move together as batches, others one after
    another (:mod:`gnnpot.properties.runs`).

    Args:
        calculator: Forces, and stress where the cell moves.
        atoms: A crystal or a liquid; it is repeated to the size of the configuration.
        config: Temperature, length, runs.
        seed: Seed of all random numbers.
        watch: Told which share of the steps is done; an unfinished state in its file is taken up.

    Raises:
        PropertyError: All runs exploded.
    """
    config = config or DynamicsConfig()
    start = supercell(atoms, config.size)
    plan = config.sampler()
    rng = np.random.default_rng(seed)
    frames: list[list[Atoms]] = [[] for _ in range(plan.repetitions)]
    _, failures = run_all(calculator, start, plan, rng, watch, lambda runs: _Frames(runs, start, frames))
    whole = [run for run, failure in zip(frames, failures, strict=True) if not failure]
    failed = tuple(failure for failure in failures if failure)
    if not whole:
        raise PropertyError(
            f"expected dynamics that last at {config.temperature:g} K, got {failed[0]} in all "
            f"{len(failed)} runs; lower the temperature or the timestep, or train on more"
        )
    return _averaged(whole, config, failed, interval=plan.interval * config.timestep)


class _Frames(Recorder):
    """Runs, and the frames that they have left so far; both are put aside together.

    Args:
        runs: What moves.
        start: Structure of each run at the start.
        frames: Where the frames of each run go.
    """

    def __init__(self, runs: Replicas | Walks, start: Atoms, frames: list[list[Atoms]]) -> None:
        super().__init__(runs)
        self.start, self.frames = start, frames

    def take(self, run: int, frame: Atoms) -> None:
        self.frames[run].append(frame)

    def state(self) -> dict[str, Any]:
        frames = [[[one.positions.tolist(), one.cell.array.tolist()] for one in run] for run in self.frames]
        return {"runs": super().state(), "frames": frames}

    def restore(self, state: Any) -> None:
        super().restore(state["runs"])
        self.frames[:] = [[self._frame(*one) for one in run] for run in state["frames"]]

    def _frame(self, positions: Any, cell: Any) -> Atoms:
        frame = self.start.copy()
        frame.set_cell(cell)
        frame.set_positions(positions)
        return frame


def _averaged(
    runs: Sequence[Sequence[Atoms]], config: DynamicsConfig, failures: tuple[str, ...], *, interval: float
) -> Dynamics:
    radials = [radial_distribution(run, reach=config.reach, num_bins=config.bins) for run in runs]
    radial = RadialDistribution(
        radials[0].distances,
        np.mean([one.total for one in radials], axis=0),
        {name: np.mean([one.partial[name] for one in radials], axis=0) for name in radials[0].partial},
    )
    bond = radial.first_minimum
    angulars = [angular_distribution(run, reach=bond) for run in runs]
    moves = [mean_square_displacement(run, interval=interval) for run in runs]
    angular, angular_band = _mean_and_spread([one.density for one in angulars])
    squares, squares_band = _mean_and_spread([one.squares for one in moves])
    return Dynamics(
        temperature=config.temperature,
        radial=radial,
        radial_band=_mean_and_spread([one.total for one in radials])[1],
        angular=AngularDistribution(angulars[0].angles, angular, bond),
        angular_band=angular_band,
        displacement=Displacement(moves[0].times, squares),
        displacement_band=squares_band,
        coordination=tuple(float(coordination_numbers(run, reach=bond).mean()) for run in runs),
        density=tuple(float(np.mean([_density(atoms) for atoms in run])) for run in runs),
        failures=failures,
        num_atoms=len(runs[0][0]),
    )


def _mean_and_spread(values: Sequence[Array]) -> tuple[Array, Array]:
    """Mean and standard deviation over runs; no spread of a single one."""
    stacked = np.array(values)
    spread = stacked.std(axis=0, ddof=1) if len(stacked) > 1 else np.zeros_like(stacked[0])
    return stacked.mean(axis=0), spread


def _density(atoms: Atoms) -> float:
    """g/cm³."""
    return float(atoms.get_masses().sum() / atoms.get_volume() * 1.66053906660)
