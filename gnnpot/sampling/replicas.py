"""Many runs of one structure, moved together as batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import Calculator, CalculatorError
from ase.calculators.singlepoint import SinglePointCalculator
from ase.md.md import MolecularDynamics

from gnnpot.data.structure import bare_structure
from gnnpot.errors import DataError, GnnpotError, one_line
from gnnpot.sampling.ensembles import thermalize
from gnnpot.sampling.md import MDConfig
from gnnpot.sampling.schedule import Schedule, ramps
from gnnpot.sampling.walk import CHECK, WalkPlan

Array = np.ndarray

MOST_ATOMS = 2048  # in one batch: more gain no speed
_ERRORS = (GnnpotError, CalculatorError, ArithmeticError, RuntimeError, ValueError)


class Replicas:
    """Runs of one structure at one temperature, of which each ends for itself.

    A run has momenta and random numbers of its own and is, up to rounding, the one that
    :class:`~gnnpot.sampling.walk.Walk` makes of the same generator.  Its integrator may keep nothing but
    positions and momenta from one step to the next, as Langevin's does.

    Args:
        atoms: Initial structure.
        plan: Ensemble without memory, schedule at a constant temperature, limits.
        generators: Of initial momenta and thermostat, one for each run.
        batch: Gives the calculator of so many copies.
        threads: Number of batches that move at a time, with one thread each: small operations gain more from
            this than from threads that share them.

    Raises:
        DataError: Atoms of the structure are too close, or the calculator cannot treat it.
    """

    def __init__(
        self,
        atoms: Atoms,
        plan: WalkPlan,
        generators: Sequence[np.random.Generator],
        *,
        batch: Callable[[int], Calculator],
        threads: int = 1,
    ) -> None:
        self._start = bare_structure(atoms)
        if overlap := plan.limits.overlap_in(self._start):
            raise DataError(f"expected atoms apart to start from, got {overlap}; mend structures or limits")
        batch(1).get_forces(self._start)  # what cannot be treated at all is no failure of a run
        self.plan = plan
        self.generators = list(generators)
        self.steps = [0] * len(self.generators)
        self.failures = [""] * len(self.generators)
        self.positions = np.repeat(self._start.positions[None], len(self.generators), axis=0)
        self.momenta = np.array([self._first_momenta(generator) for generator in self.generators])
        self._batch, self._threads = batch, threads
        self._moving: dict[tuple[int, ...], _Batch] = {}

    @property
    def is_going(self) -> bool:
        """Whether a run has steps left."""
        return bool(self._going())

    @property
    def share(self) -> float:
        """Of all steps, those that are done or that a failure has made needless."""
        whole = self.plan.schedule.steps
        left = sum(
            whole - step for step, failure in zip(self.steps, self.failures, strict=True) if not failure
        )
        return 1 - left / (whole * len(self.steps))

    def advance(self) -> list[int]:
        """Move all runs to where they are looked at next, and look; gives their numbers."""
        runs = self._going()
        stop = self._next_stop(self.steps[runs[0]])
        batches = self._batches(runs)
        self._moving = {batch: moving for batch, moving in self._moving.items() if batch in batches}
        _at_once(lambda batch: self._move_safely(batch, stop), batches, self._threads)
        for run in runs:
            self.steps[run] = stop
        return runs

    def structure(self, run: int) -> Atoms:
        """A copy of one run's structure with its momenta."""
        atoms = self._start.copy()
        atoms.positions = self.positions[run]
        atoms.set_momenta(self.momenta[run])
        return atoms

    def state(self) -> dict[str, Any]:
        """All that has to be kept to go on, numbers exactly."""
        return {
            "steps": list(self.steps),
            "failures": list(self.failures),
            "positions": self.positions.tolist(),
            "momenta": self.momenta.tolist(),
            "generators": [generator.bit_generator.state for generator in self.generators],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a state of the same runs."""
        self.steps, self.failures = list(state["steps"]), list(state["failures"])
        self.positions, self.momenta = np.array(state["positions"]), np.array(state["momenta"])
        for generator, kept in zip(self.generators, state["generators"], strict=True):
            generator.bit_generator.state = kept
        self._moving = {}

    def _first_momenta(self, generator: np.random.Generator) -> Array:
        atoms = self._start.copy()
        thermalize(atoms, self.plan.schedule.temperature(0), rng=generator)
        return atoms.get_momenta()

    def _going(self) -> list[int]:
        """The runs with steps left of which the fewest are done: all, as they keep step."""
        going = [run for run, failure in enumerate(self.failures) if not failure]
        done = min((self.steps[run] for run in going), default=self.plan.schedule.steps)
        return [run for run in going if self.steps[run] == done < self.plan.schedule.steps]

    def _batches(self, runs: Sequence[int]) -> list[tuple[int, ...]]:
        """These runs in batches, each of its own share of all runs, so that a failure changes one only."""
        whole = len(self.steps)
        size = max(1, min(MOST_ATOMS // len(self._start), -(-whole // self._threads)))
        shares = (range(first, first + size) for first in range(0, whole, size))
        found = (tuple(run for run in runs if run in share) for share in shares)
        return [batch for batch in found if batch]

    def _next_stop(self, step: int) -> int:
        return min(self.plan.schedule.next_frame(step), (step // CHECK + 1) * CHECK)

    def _move_safely(self, runs: tuple[int, ...], stop: int) -> None:
        """Move these runs and look at each; where one raises an error, each moves without the others."""
        states = [self.generators[run].bit_generator.state for run in runs]
        try:
            if runs not in self._moving:
                self._moving[runs] = _Batch(self, runs)
            self._move(self._moving[runs], stop)
        except _ERRORS:
            self._moving.pop(runs, None)
            for run, state in zip(runs, states, strict=True):
                self.generators[run].bit_generator.state = state
                self._move_alone(run, stop)

    def _move(self, moving: _Batch, stop: int) -> None:
        """Move a batch and look at its runs; nothing has changed but generators where an error is raised."""
        with np.errstate(over="ignore", invalid="ignore"):  # the limits tell of an explosion
            moving.driver.run(stop - self.steps[moving.runs[0]])
            forces = moving.parts(moving.atoms.get_forces())
        positions, momenta = moving.parts(moving.atoms.positions), moving.parts(moving.atoms.get_momenta())
        for place, run in enumerate(moving.runs):
            self.positions[run], self.momenta[run] = positions[place], momenta[place]
            self.failures[run] = self._look(run, forces[place], stop)

    def _move_alone(self, run: int, stop: int) -> None:
        """Move a run without the others, one of which has raised an error."""
        moving = _Batch(self, [run])
        try:
            self._move(moving, stop)
        except _ERRORS as error:
            motion = self.plan.limits.motion_of(moving.atoms, self.plan.schedule.temperature(stop))
            self.failures[run] = motion or one_line(error)
            if not motion and not isinstance(error, GnnpotError | CalculatorError):
                raise

    def _look(self, run: int, forces: Array, stop: int) -> str:
        """What has gone wrong with a run, or nothing."""
        atoms = self.structure(run)
        atoms.calc = SinglePointCalculator(atoms, forces=forces)
        said = self.plan.limits.broken_by(atoms, self.plan.schedule.temperature(stop))
        if not said and self.plan.schedule.is_frame(stop):
            said = self.plan.limits.overlap_in(atoms)
        return said


def replicas_of(
    atoms: Atoms,
    plan: MDConfig,
    rng: np.random.Generator,
    *,
    batch: Callable[[int], Calculator],
    threads: int = 1,
) -> Replicas:
    """The runs of one structure at the one temperature of ``plan``, with its repetitions.

    Raises:
        DataError: Atoms of the structure are too close, or the calculator cannot treat it.
    """
    (ramp,) = ramps(plan.temperatures)
    walk_plan = WalkPlan(plan.ensemble, Schedule(plan, ramp), plan.limits)
    return Replicas(atoms, walk_plan, rng.spawn(plan.repetitions), batch=batch, threads=threads)


def _at_once(
    work: Callable[[tuple[int, ...]], None], batches: Sequence[tuple[int, ...]], threads: int
) -> None:
    """Do the work on all batches, on as many at a time as there are threads."""
    if threads == 1 or len(batches) == 1:
        for batch in batches:
            work(batch)
        return
    before = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            list(pool.map(work, batches))
    finally:
        torch.set_num_threads(before)


class _Batch:
    """Copies of a structure that move together."""

    def __init__(self, replicas: Replicas, runs: Sequence[int]) -> None:
        self.runs = list(runs)
        start, plan = replicas._start, replicas.plan
        self.atoms = Atoms(
            np.tile(start.numbers, len(runs)),
            np.concatenate(replicas.positions[self.runs]),
            cell=start.cell,
            pbc=start.pbc,
            masses=np.tile(start.get_masses(), len(runs)),
        )
        self.atoms.set_momenta(np.concatenate(replicas.momenta[self.runs]))
        self.atoms.calc = replicas._batch(len(runs))
        generator: Any = _Streams([replicas.generators[run] for run in runs])
        temperature = plan.schedule.temperature(0)
        self.driver: MolecularDynamics = plan.ensemble.driver(
            self.atoms, temperature, plan.schedule.timing.timestep, generator
        )

    def parts(self, values: Array) -> Array:
        """Values of all atoms, run by run."""
        return values.reshape(len(self.runs), -1, 3)


class _Streams:
    """Random numbers of several generators, as an integrator of all their atoms asks for them."""

    def __init__(self, generators: Sequence[np.random.Generator]) -> None:
        self.generators = generators

    def standard_normal(self, size: tuple[int, int]) -> Array:
        """Equal parts of the rows from each generator."""
        values = np.empty(size)
        for generator, part in zip(
            self.generators, values.reshape(len(self.generators), -1, size[1]), strict=True
        ):
            generator.standard_normal(out=part)
        return values
