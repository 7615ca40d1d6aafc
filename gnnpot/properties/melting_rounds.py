"""Rounds of solid and liquid side by side, each from the temperature that the last one has found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import Calculator
from pydantic import Field, PositiveFloat, PositiveInt

from gnnpot.config.base import Section
from gnnpot.config.durations import SimulatedTime
from gnnpot.errors import PropertyError
from gnnpot.properties.coexistence import (
    Means,
    Piston,
    displaced,
    schedule_of,
    side_by_side,
    solid_share,
    spread,
    walk_of,
)
from gnnpot.sampling.crystals import bond_length
from gnnpot.sampling.walk import Walk

Stage = Literal["solid", "melt", "liquid", "joined", "coexistence"]

STAGES: tuple[Stage, ...] = ("solid", "melt", "liquid", "joined", "coexistence")
_MOVES: dict[Stage, Literal["all", "third", "none"]] = {"solid": "all", "melt": "none"}  # others: third
_ROOM = 1.08  # by which a crystal is stretched to melt
_SOLID, _LIQUID = 0.25, 0.5  # root mean square displacement over the distance of neighbors
_FUSION = 0.3  # least heat of fusion over kT; no substance has less than twice that
_BOTH = (0.15, 0.85)  # shares of the solid between which both phases are there
_NEAR = 0.02  # change of temperature in a round that counts
_COOLER, _HOTTER, _STEP = 0.7, 1.3, 0.05  # how the temperature changes where a phase is not to be had
_POINTS = 100


class MeltingConfig(Section):
    """Rounds of coexistence, each from the temperature that the last one has found.

    Args:
        temperature: First guess (K); a guess that is far off costs rounds.
        time: Length of the coexistence of each round (``20ps``; fs without unit).
        preparation: Length of the preparation of solid, liquid, and both together, each.
        timestep: Timestep (fs).
        size: Shortest distance of an atom from its images along the interface (Å).
        thickness: Of each phase (Å).
        overheating: Temperature at which the liquid is made, over the present guess.
        runs: Rounds that have to end with both phases; their spread is the uncertainty.
        rounds: Rounds at most.
    """

    temperature: PositiveFloat = 1000.0
    time: SimulatedTime = 20_000.0
    preparation: SimulatedTime = 4_000.0
    timestep: SimulatedTime = 2.0
    size: PositiveFloat = 10.0
    thickness: PositiveFloat = 18.0
    overheating: Annotated[float, Field(gt=1, le=5)] = 2.0
    runs: PositiveInt = 2
    rounds: PositiveInt = 10


class Round(NamedTuple):
    """One try.

    Attributes:
        guess: Temperature at which solid and liquid were put together (K).
        temperature: At which they ended, or that of the next round (K).
        outcome: ``both phases``, or what went otherwise.
        share: Of the solid, or NaN.
        pressure: On the interface (eV/Å³), or NaN.
        heat: Of fusion, without the work of expansion (eV/atom), or NaN.
        volumes: Of solid and liquid (Å³/atom), or NaN.
        trace: Temperature over the coexistence, means of equal parts (K).
    """

    guess: float
    temperature: float
    outcome: str
    share: float = float("nan")
    pressure: float = float("nan")
    heat: float = float("nan")
    volumes: tuple[float, float] = (float("nan"), float("nan"))
    trace: tuple[float, ...] = ()


def counts(one: Round) -> bool:
    """Whether both phases were there, and at the temperature from which they were prepared."""
    return one.outcome == "both phases" and abs(one.temperature / one.guess - 1) < _NEAR


class Search:
    """Rounds, and the run in hand.

    Args:
        calculator: Forces and stress.
        sites: The crystal of the solid half.
        config: Guess and lengths.
        stiffness: Bulk modulus of the crystal (eV/Å³).
        seed: Of all random numbers.
    """

    def __init__(
        self, calculator: Calculator, sites: Atoms, config: MeltingConfig, stiffness: float, seed: int
    ) -> None:
        self.calculator, self.sites, self.config = calculator, sites, config
        self.stiffness, self.seed = stiffness, seed
        self.neighbor = bond_length(sites)
        self.rounds: list[Round] = []
        self.guess = config.temperature
        self.stage: Stage = "solid"
        self.start = sites
        self.solid = sites
        self.means: dict[str, Means] = {}
        self._walk: Walk | None = None

    @property
    def share(self) -> float:
        """Of the work, if no further round fails."""
        left = self.config.runs - sum(counts(one) for one in self.rounds)
        steps = self._walk.step / self._walk.plan.schedule.steps if self._walk else 0.0
        done = len(self.rounds) + (STAGES.index(self.stage) + steps) / len(STAGES)
        return min(1.0, done / (len(self.rounds) + left))

    def advance(self) -> None:
        """Move on by some steps, or to the next stage."""
        self._walk = self._walk or self._started()
        with np.errstate(over="ignore", invalid="ignore"):
            next(self._walk, None)
        if self._walk.is_going:
            return
        ended, self._walk = self._walk, None
        if ended.failure:
            raise PropertyError(
                f"expected dynamics that last for the melting point, got {ended.failure} in the stage "
                f"{self.stage} at {self.guess:.0f} K; give melting.temperature near the melting point, or "
                "lower melting.timestep or melting.overheating"
            )
        self._go_on(ended)

    def state(self) -> dict[str, Any]:
        """All that has to be kept to go on, numbers exactly."""
        return {
            "rounds": [list(one) for one in self.rounds],
            "guess": self.guess,
            "stage": self.stage,
            "start": _kept(self.start),
            "solid": _kept(self.solid),
            "means": {name: list(one) for name, one in self.means.items()},
            "walk": self._walk.state() if self._walk else None,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a state of the same search."""
        self.rounds = [_round(one) for one in state["rounds"]]
        self.guess, self.stage = state["guess"], state["stage"]
        self.start, self.solid = Atoms(**state["start"]), Atoms(**state["solid"])
        self.means = {name: Means(*one) for name, one in state["means"].items()}
        self._walk = None
        if state["walk"] is not None:
            self._walk = self._started()
            self._walk.restore(state["walk"])

    def complaint(self) -> str:
        """Why no melting point was found."""
        told = "; ".join(f"from {one.guess:.0f} K: {one.outcome}" for one in self.rounds[-3:])
        return (
            f"expected {self.config.runs} rounds that end with solid and liquid, got {told}; give "
            f"melting.temperature near {self.guess:.0f} K, more melting.rounds, or a larger "
            "melting.thickness"
        )

    def _started(self) -> Walk:
        config, place = self.config, STAGES.index(self.stage)
        piston = Piston(_MOVES.get(self.stage, "third"), stiffness=self.stiffness, timestep=config.timestep)
        length = config.time if self.stage == "coexistence" else config.preparation
        temperature = self.guess * (config.overheating if self.stage == "melt" else 1.0)
        return walk_of(
            self.calculator,
            self.start,
            piston,
            schedule_of(length, config.timestep, temperature),
            thermostat=self.stage != "coexistence",
            rng=np.random.default_rng([self.seed, len(self.rounds), place]),
        )

    def _go_on(self, ended: Walk) -> None:
        """From one stage to the next, or to the next round."""
        piston = ended.action
        assert isinstance(piston, Piston)
        self.means[self.stage] = means = piston.means()
        moved = spread(ended.atoms, self.sites) / self.neighbor if self.stage in ("solid", "melt") else 0.0
        if self.stage == "solid" and moved > _SOLID:
            self._end("the crystal melts without a liquid beside it", self.guess * _COOLER)
        elif self.stage == "melt" and moved < _LIQUID:
            self._end("the crystal lasts where it should melt", self.guess * _HOTTER)
        elif self.stage == "liquid" and self._heat() < _FUSION * units.kB * self.guess:
            self._end("the liquid has the energy of the crystal", self.guess * _HOTTER)
        elif self.stage == "coexistence":
            self._end_of_coexistence(means, piston)
        else:
            self.start = self._next_start(ended.atoms, means)
            self.stage = STAGES[STAGES.index(self.stage) + 1]

    def _next_start(self, atoms: Atoms, means: Means) -> Atoms:
        """Where the stage after the present one starts."""
        if self.stage == "solid":
            at_mean = self.sites.copy()
            scale = (means.volume * len(atoms) / self.sites.get_volume()) ** (1 / 3)
            at_mean.set_cell(self.sites.cell.array * scale, scale_atoms=True)
            at_mean.set_scaled_positions(
                self.sites.get_scaled_positions(wrap=False) + displaced(atoms, self.sites)
            )
            self.solid = at_mean
            stretched = at_mean.copy()
            stretched.set_cell(at_mean.cell.array * [[1], [1], [_ROOM]], scale_atoms=True)
            return stretched
        if self.stage == "liquid":
            return side_by_side(self.solid, self.sites, atoms, neighbor=self.neighbor)
        return _bare(atoms)

    def _heat(self) -> float:
        return self.means["liquid"].energy - self.means["solid"].energy

    def _end_of_coexistence(self, means: Means, piston: Piston) -> None:
        share = solid_share(
            means.energy, solid=self.means["solid"].energy, liquid=self.means["liquid"].energy
        )
        outcome, following = "both phases", means.temperature
        if share > _BOTH[1]:
            outcome, following = "all became solid", means.temperature * (1 + _STEP)
        elif share < _BOTH[0]:
            outcome, following = "all became liquid", means.temperature * (1 - _STEP)
        rows = np.array([row.temperature for row in piston.history])
        trace = [float(part.mean()) for part in np.array_split(rows, min(_POINTS, len(rows)))]
        self._end(
            outcome, following, share=share, pressure=means.pressure, heat=self._heat(),
            volumes=(self.means["solid"].volume, self.means["liquid"].volume), trace=tuple(trace),
        )  # fmt: skip

    def _end(self, outcome: str, following: float, **found: Any) -> None:
        """Close the round; the next one starts where it ended, or beyond if it counts."""
        one = Round(self.guess, following, outcome, **found)
        self.rounds.append(one)
        self.guess = 2 * following - self.guess if counts(one) else following
        self.stage, self.start, self.means = "solid", self.sites, {}


def _bare(atoms: Atoms) -> Atoms:
    return Atoms(**_kept(atoms))


def _kept(atoms: Atoms) -> dict[str, Any]:
    return {
        "numbers": atoms.numbers.tolist(),
        "positions": atoms.positions.tolist(),
        "cell": atoms.cell.array.tolist(),
        "pbc": True,
    }


def _round(values: list[Any]) -> Round:
    *numbers, volumes, trace = values
    return Round(*numbers, volumes=tuple(volumes), trace=tuple(trace))
