"""Dynamics as an iterator of frames, with a state from which it goes on exactly."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
from ase import Atoms
from ase.calculators.calculator import CalculatorError
from ase.calculators.singlepoint import SinglePointCalculator
from ase.md.md import MolecularDynamics

from gnnpot.data.structure import bare_structure
from gnnpot.errors import GnnpotError, one_line
from gnnpot.sampling.ensembles import Ensemble, internal_temperature, memory_of, remember, thermalize
from gnnpot.sampling.limits import Limits
from gnnpot.sampling.schedule import Schedule
from gnnpot.sampling.spread import SpreadWatch, StopWhen, put_spreads, spreads_of
from gnnpot.units import GPa

CHECK = 10  # steps between looks at temperature and forces
_LABELS = ("energy", "forces", "stress")


class Resumable(Protocol):
    """What can be put aside and taken up again."""

    def state(self) -> dict[str, Any]:
        """All that has to be kept, as numbers, words, lists and dictionaries of them."""

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""


@runtime_checkable
class Wrapping(Protocol):
    """A calculator around another one; what it adds moves the atoms and is no part of their labels."""

    calculator: Any  # the inner one
    unbiased: dict[str, Any]  # results of the inner calculator

    @property
    def description(self) -> dict[str, float]:
        """What a frame's ``info`` tells of the addition."""

    def refresh(self) -> None:
        """Forget the results, for the addition has changed."""


def inner_calculator(calculator: Any) -> Any:
    """The calculator of energy and forces, without what moves the atoms beside it."""
    return calculator.calculator if isinstance(calculator, Wrapping) else calculator


class Action(Resumable, Protocol):
    """What is done to dynamics every few steps."""

    @property
    def every(self) -> int:
        """Steps between two times."""

    @property
    def columns(self) -> Sequence[str]:
        """Names of what a row of the log holds."""

    def __call__(self, atoms: Atoms, step: int) -> tuple[float, ...]:
        """Act after ``step``, which is not above 0 during equilibration; gives a row of the log, or none."""


class Observation:
    """No action: writes temperature (K), energy (eV), volume (Å³) and pressure (GPa) into the log.

    Args:
        every: Steps between two rows.
    """

    columns = ("kinetic_temperature", "potential_energy", "total_energy", "volume", "pressure_GPa")

    def __init__(self, every: int) -> None:
        self.every = every

    def __call__(self, atoms: Atoms, step: int) -> tuple[float, ...]:
        """A row of the log."""
        potential, kinetic = atoms.get_potential_energy(), atoms.get_kinetic_energy()
        volume = atoms.get_volume() if atoms.cell.rank == 3 else np.nan
        return internal_temperature(atoms), potential, potential + kinetic, volume, pressure_of(atoms) / GPa

    def state(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Nothing to do."""


def pressure_of(atoms: Atoms) -> float:
    """Pressure (eV/Å³), that of the momenta included; NaN without three periodic directions or a stress."""
    if not (atoms.pbc.all() and "stress" in atoms.calc.implemented_properties):
        return float("nan")
    return float(-atoms.get_stress(include_ideal_gas=True)[:3].mean())


@dataclass(frozen=True)
class WalkPlan:
    """How atoms move.

    Attributes:
        ensemble: Thermostat and barostat.
        schedule: Temperature and frames.
        limits: Criteria that stop the walk.
        stop_when: Spread of a committee at which the walk ends well, if any.
    """

    ensemble: Ensemble
    schedule: Schedule
    limits: Limits = field(default_factory=Limits)
    stop_when: StopWhen | None = None


class Walk(Iterator[Atoms]):
    """Dynamics of one structure.

    It ends after its last step, or when it explodes, and ``failure`` then says how, or where the spread of a
    committee is as the plan says, and ``stop`` then says so: that frame is the last.

    Args:
        atoms: Initial structure with a calculator; it is moved in place.
        plan: Ensemble, schedule and limits.
        rng: Generator of the initial momenta and of the thermostat.
        action: Action that is called every few steps.
        provenance: Entries of a frame's ``info`` beside step and temperature.
    """

    def __init__(
        self,
        atoms: Atoms,
        plan: WalkPlan,
        rng: np.random.Generator,
        *,
        action: Action,
        provenance: Mapping[str, Any],
    ) -> None:
        self.atoms = atoms
        self.plan = plan
        self.rng = rng
        self.action = action
        self.provenance = dict(provenance)
        self.step = 0
        self.frames = 0
        self.failure = ""
        self.stop = ""
        self.watch = SpreadWatch(plan.stop_when) if plan.stop_when else None
        self.rows: list[tuple[float, ...]] = []
        self.between: Callable[[], None] = lambda: None  # after steps without a frame: the state can be kept
        self._temperature = plan.schedule.temperature(0)
        self._memory: Mapping[str, Any] = {}
        self._driver: MolecularDynamics | None = None
        thermalize(atoms, self._temperature, rng=rng)

    @property
    def is_going(self) -> bool:
        """Whether there are steps left."""
        return not self.failure and not self.stop and self.step < self.plan.schedule.steps

    def __next__(self) -> Atoms:
        if isinstance(self.atoms.calc, Wrapping):
            self.atoms.calc.refresh()  # another walk may have changed the bias that they share
        while self.is_going:
            self._advance(self._next_stop())
            if not self.failure and (self.stop or self.plan.schedule.is_frame(self.step)):
                self.failure = self.plan.limits.overlap_in(self.atoms)
                if not self.failure:
                    self.frames += 1
                    return self._frame()
            self.between()
        raise StopIteration

    def state(self) -> dict[str, Any]:
        """All that has to be kept to go on, numbers exactly."""
        return {
            "step": self.step,
            "frames": self.frames,
            "failure": self.failure,
            "stop": self.stop,
            "watch": self.watch.state() if self.watch else None,
            "positions": self.atoms.positions.tolist(),
            "momenta": self.atoms.get_momenta().tolist(),
            "cell": self.atoms.cell.array.tolist(),
            "rng": self.rng.bit_generator.state,
            "memory": memory_of(self._driver) if self._driver else dict(self._memory),
            "action": self.action.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a state of a walk with the same plan."""
        self.step, self.frames, self.failure = state["step"], state["frames"], state["failure"]
        self.stop = state.get("stop", "")
        if self.watch and state.get("watch"):
            self.watch.restore(state["watch"])
        self.atoms.set_cell(state["cell"])
        self.atoms.set_positions(state["positions"])
        self.atoms.set_momenta(state["momenta"])
        self.rng.bit_generator.state = state["rng"]
        self.action.restore(state["action"])
        self._temperature = self.plan.schedule.temperature(self.step)
        self._memory, self._driver = state["memory"], None

    def _next_stop(self) -> int:
        equilibration = self.plan.schedule.timing.equilibration
        stops = [self.plan.schedule.next_frame(self.step)]
        stops += [(self.step // pace + 1) * pace for pace in (CHECK, self.action.every)]
        if self.step < equilibration:
            stops.append(equilibration)
        return min(stops)

    def _advance(self, stop: int) -> None:
        """Move to step ``stop``, act there, and look whether all is well."""
        temperature = self.plan.schedule.temperature(self.step)
        try:
            with np.errstate(over="ignore", invalid="ignore"):  # the limits tell of an explosion
                self._driver_at(temperature).run(stop - self.step)
            self.step = stop
            if stop % CHECK == 0 or self.plan.schedule.is_frame(stop):
                self.failure = self.plan.limits.broken_by(self.atoms, temperature)
                self._look()
            if not self.failure and stop % self.action.every == 0:
                self._act()
        except (GnnpotError, CalculatorError, ArithmeticError, RuntimeError, ValueError) as error:
            self.failure = self._explained(error, temperature)
            self.step = stop

    def _look(self) -> None:
        """Whether the walk has come to where the committee does not know enough."""
        if self.watch and not self.failure and self.step > self.plan.schedule.timing.equilibration:
            self.stop = self.watch(
                spreads_of(inner_calculator(self.atoms.calc), self.atoms, [self.watch.rule.of])
            )

    def _act(self) -> None:
        row = self.action(self.atoms, self.step - self.plan.schedule.timing.equilibration)
        if row:
            self.rows.append((self.step, *row))

    def _driver_at(self, temperature: float) -> MolecularDynamics:
        """The integrator; one for another temperature takes up where the last one was."""
        if self._driver is None or temperature != self._temperature:
            memory = memory_of(self._driver) if self._driver else self._memory
            timestep = self.plan.schedule.timing.timestep
            self._driver = self.plan.ensemble.driver(self.atoms, temperature, timestep, self.rng)
            remember(self._driver, memory)
            self._temperature = temperature
        return self._driver

    def _explained(self, error: Exception, temperature: float) -> str:
        """What went wrong; errors that are no explosion are raised."""
        if motion := self.plan.limits.motion_of(self.atoms, temperature):
            return motion
        if isinstance(error, GnnpotError | CalculatorError):
            return one_line(error)
        raise error

    def _frame(self) -> Atoms:
        frame = bare_structure(self.atoms)
        calculator = self.atoms.calc
        wraps = isinstance(calculator, Wrapping)
        frame.info = {
            **self.provenance,
            "step": self.step,
            "temperature": round(self.plan.schedule.temperature(self.step), 6),
            **(calculator.description if wraps else {}),
            **({"stopped": self.stop} if self.stop else {}),
        }
        if not wraps:
            self.atoms.get_forces()  # a trial cell may have been looked at last
        put_spreads(frame, spreads_of(inner_calculator(calculator), self.atoms))
        results = calculator.unbiased if wraps else calculator.results
        frame.calc = SinglePointCalculator(
            frame, **{name: np.copy(results[name]) for name in _LABELS if name in results}
        )
        return frame


class Walks(Iterator[Atoms]):
    """Several walks side by side: one frame of each in turn.

    Args:
        walks: The walks.
        shared: State that the walks have in common, kept with them.
    """

    def __init__(self, walks: Sequence[Walk], shared: Resumable | None = None) -> None:
        self.walks = list(walks)
        self.shared = shared
        self._turn = 0

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Atoms:
        for _ in range(len(self.walks)):
            walk = self.walks[self._turn]
            frame = next(walk, None)
            self._turn = (self._turn + 1) % len(self.walks)
            if frame is not None:
                return frame
        raise StopIteration

    @property
    def share(self) -> float:
        """Of all steps, those that are done or that a failure has made needless."""
        whole = sum(walk.plan.schedule.steps for walk in self.walks)
        left = sum(walk.plan.schedule.steps - walk.step for walk in self.walks if walk.is_going)
        return 1 - left / whole

    @property
    def columns(self) -> tuple[str, ...]:
        """Of the rows of the log."""
        return ("run", "step", *self.walks[0].action.columns)

    def take_rows(self) -> list[tuple[float, ...]]:
        """Rows of the log since last asked."""
        rows = [(walk.provenance["run"], *row) for walk in self.walks for row in walk.rows]
        for walk in self.walks:
            walk.rows.clear()
        return rows

    def state(self) -> dict[str, Any]:
        """All that has to be kept to go on."""
        shared = self.shared.state() if self.shared else None
        return {"turn": self._turn, "walks": [walk.state() for walk in self.walks], "shared": shared}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a state of the same walks."""
        self._turn = state["turn"]
        for walk, walk_state in zip(self.walks, state["walks"], strict=True):
            walk.restore(walk_state)
        if self.shared:
            self.shared.restore(state["shared"])
