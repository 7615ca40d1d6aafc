"""Dynamics in which only chosen components of the cell move, and structures under prescribed strains."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, get_args

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import Calculator
from jaxtyping import Float
from pydantic import (
    Field,
    FiniteFloat,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    field_validator,
)

from gnnpot.config.base import Section
from gnnpot.config.registry import nearest
from gnnpot.data.structure import bare_structure
from gnnpot.errors import DataError
from gnnpot.sampling.ensembles import LangevinNVT, Thermostat
from gnnpot.sampling.limits import Limits
from gnnpot.sampling.md import side_by_side, with_cells
from gnnpot.sampling.schedule import Ramp, Schedule, Timing
from gnnpot.sampling.spread import StopWhen
from gnnpot.sampling.step_cache import OncePerStep
from gnnpot.sampling.walk import WalkPlan, Walks
from gnnpot.units import kBar

Array = np.ndarray
Component = Literal["lx", "ly", "lz", "xy", "xz", "yz"]
Strain = Literal["xx", "yy", "zz", "yz", "xz", "xy", "volume"]

_PLACES: dict[Component, tuple[int, int]] = {
    "lx": (0, 0),
    "ly": (1, 1),
    "lz": (2, 2),
    "xy": (1, 0),
    "xz": (2, 0),
    "yz": (2, 1),
}
_ACCEPTED = 0.4  # share of trial cells at which they have a good size
_LEARNING = 0.1


class DeformationConfig(Timing):
    """Dynamics at constant temperature in a cell of which only the named components move.

    Args:
        components: lx, ly, lz (lengths) and xy, xz, yz (tilts), of a cell with a along x and b in the xy
            plane.
        temperature: Temperature of the thermostat (K).
        pressure: External pressure (bar).
        thermostat: Kind of thermostat, ``langevin`` or ``bussi``.
        cell_interval: Number of steps between two trial cells.
        cell_step: Largest change of a component in a trial (Å); adapted during equilibration.
        repetitions: Number of independent runs of each structure.
        limits: Criteria that stop a run.
        stop_when: Spread of a committee at which a run ends, e.g. ``{spread: mu+3sigma}``.
    """

    kind: Literal["deformation"] = "deformation"
    components: tuple[Component, ...] = Field(min_length=1)
    temperature: PositiveFloat = 300.0
    pressure: FiniteFloat = 1.0
    thermostat: Thermostat = LangevinNVT()
    cell_interval: PositiveInt = 10
    cell_step: PositiveFloat = 0.05
    repetitions: PositiveInt = 1
    limits: Limits = Limits()
    stop_when: StopWhen | None = None

    @field_validator("components", mode="before")
    @classmethod
    def _known(cls, value: Any) -> Any:
        for name in value if isinstance(value, list | tuple) else ():
            if name not in get_args(Component):
                raise ValueError(f"no component of a cell is called {name!r}; {_nearest(name, Component)}")
        return value

    def sampler(self, calculator: Calculator) -> DeformationSampler:
        """Build the sampler on this calculator."""
        return DeformationSampler(self, calculator)


class DeformationSampler:
    """Sampler of frames from dynamics in a partly flexible cell.

    Source: Jung, Enhancing High-Fidelity Neural Network Potentials through Low-Fidelity Sampling, section
    2.1.2, with dynamics of the cell in place of trial cells.

    Args:
        config: Components of the cell, temperature, length of the runs.
        calculator: Calculator of energy and forces.
    """

    def __init__(self, config: DeformationConfig, calculator: Calculator) -> None:
        self.config = config
        self.calculator = calculator

    def __call__(self, seeds: Iterable[Atoms], rng: np.random.Generator) -> Walks:
        """Yield the frames of all runs.

        Raises:
            DataError: A seed without a cell, or with one that is turned.
        """
        config = self.config
        ramp = Ramp(first=config.temperature, last=config.temperature)
        plan = WalkPlan(config.thermostat, Schedule(config, ramp), config.limits, config.stop_when)
        return Walks(
            side_by_side(
                _upright(with_cells(seeds, "deformation")),
                [plan] * config.repetitions,
                rng,
                prepare=lambda atoms: (OncePerStep(self.calculator), CellMoves(config, rng.spawn(1)[0])),
                sampler="deformation",
            )
        )


class CellMoves:
    r"""Trial changes of cell components at fixed scaled coordinates.

    One is accepted with probability

    .. math:: \min\big\{1, (V'/V)^N e^{-\beta [U' - U + P (V' - V)]}\big\}

    which, together with any thermostat, samples constant pressure along the moving components; the others
    stay exactly as they are.

    Args:
        config: Components, temperature, pressure and size of the moves.
        rng: Generator of the moves.
    """

    columns = ("lx", "ly", "lz", "xy", "xz", "yz", "potential_energy")

    def __init__(self, config: DeformationConfig, rng: np.random.Generator) -> None:
        self.config = config
        self.rng = rng
        self.every = config.cell_interval
        self.steps = dict.fromkeys(config.components, config.cell_step)

    def __call__(self, atoms: Atoms, step: int) -> tuple[float, ...]:
        """Try a move of each component; the size of moves adapts while ``step`` is not above 0."""
        for name in self.config.components:
            accepted = self._try(atoms, name)
            if step <= 0:
                self.steps[name] *= float(np.exp(_LEARNING * (accepted - _ACCEPTED)))
        cell = atoms.cell.array
        return (*(float(cell[place]) for place in _PLACES.values()), atoms.get_potential_energy())

    def state(self) -> dict[str, Any]:
        """Sizes of the moves and state of the generator, to resume from."""
        return {"steps": self.steps, "rng": self.rng.bit_generator.state}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Resume from a state."""
        self.steps = dict(state["steps"])
        self.rng.bit_generator.state = state["rng"]

    def _try(self, atoms: Atoms, name: Component) -> bool:
        cell, positions = atoms.cell.array.copy(), atoms.positions.copy()
        before = self._enthalpy(atoms)
        trial = cell.copy()
        trial[_PLACES[name]] += self.rng.uniform(-1, 1) * self.steps[name]
        growth = np.linalg.det(trial) / np.linalg.det(cell)
        luck = self.rng.random()
        if growth > 0:
            atoms.set_cell(trial, scale_atoms=True)
            change = (self._enthalpy(atoms) - before) / (units.kB * self.config.temperature)
            if luck < np.exp(min(len(atoms) * np.log(growth) - change, 0.0)):
                return True
        atoms.set_cell(cell)
        atoms.set_positions(positions)
        return False

    def _enthalpy(self, atoms: Atoms) -> float:
        return atoms.get_potential_energy() + self.config.pressure * kBar / 1000 * atoms.get_volume()


class StrainConfig(Section):
    """Structures under prescribed strains.

    Args:
        strains: Values for components of the strain tensor (ε_xy = ε_yx = value for shears) and for
            ``volume``, the relative change of the volume.
        combine: Whether components are strained one at a time or in every combination.
        rattle: Standard deviation of additional random displacements (Å).
    """

    kind: Literal["strain"] = "strain"
    strains: dict[Strain, tuple[FiniteFloat, ...]] = Field(min_length=1)
    combine: Literal["each", "all"] = "each"
    rattle: NonNegativeFloat = 0.0

    @field_validator("strains", mode="before")
    @classmethod
    def _known(cls, value: Any) -> Any:
        for name in value if isinstance(value, dict) else ():
            if name not in get_args(Strain):
                raise ValueError(f"no component of strain is called {name!r}; {_nearest(name, Strain)}")
        return value

    @property
    def grid(self) -> list[dict[Strain, float]]:
        """All strains, in order."""
        if self.combine == "all":
            return [
                dict(zip(self.strains, values, strict=True))
                for values in itertools.product(*self.strains.values())
            ]
        return [{name: value} for name, values in self.strains.items() for value in values]

    def sampler(self, calculator: Calculator | None) -> StrainSampler:
        """Build the sampler, which needs no calculator."""
        return StrainSampler(self)


class StrainSampler:
    """Sampler of every seed structure under every strain.

    Args:
        config: Strains and additional displacements.
    """

    def __init__(self, config: StrainConfig) -> None:
        self.config = config

    def __call__(self, seeds: Iterable[Atoms], rng: np.random.Generator) -> Iterator[Atoms]:
        """Yield the strained structures.

        Raises:
            DataError: A seed has no cell.
        """
        for seed, atoms in enumerate(with_cells(seeds, "strain")):
            for strain in self.config.grid:
                frame = bare_structure(atoms)
                frame.set_cell(atoms.cell.array @ deformation_gradient(strain), scale_atoms=True)
                frame.positions += self.config.rattle * rng.normal(size=frame.positions.shape)
                named = {f"strain_{name}": value for name, value in strain.items()}
                group = str(atoms.info.get("group") or "strain")
                frame.info = {"sampler": "strain", "group": group, "seed": seed, **named}
                yield frame


def deformation_gradient(strain: Mapping[Strain, float]) -> Float[Array, "3 3"]:
    """Matrix by which cell and positions are multiplied from the right.

    Raises:
        DataError: The strain leaves no volume.
    """
    gradient = np.eye(3)
    for name, value in strain.items():
        if name == "volume":
            continue
        row, column = ("xyz".index(letter) for letter in name)
        gradient[row, column] += value
        if row != column:
            gradient[column, row] += value
    growth = 1 + strain.get("volume", 0.0)
    if not (growth > 0 and np.linalg.det(gradient) > 0):
        raise DataError(f"expected a strain that leaves a volume, got {dict(strain)}; take a smaller one")
    return gradient * growth ** (1 / 3)


def _upright(seeds: Iterable[Atoms]) -> Iterator[Atoms]:
    """The seeds, of which each has a along x, b in the xy plane and a right-handed cell."""
    for number, atoms in enumerate(seeds, start=1):
        cell = atoms.cell.array
        if np.abs(np.triu(cell, 1)).max() > 1e-8 * np.abs(cell).max() or (np.diag(cell) <= 0).any():
            raise DataError(
                f"expected a cell with a along x and b in the xy plane, got {cell.round(3).tolist()} in "
                f"structure {number}; turn it with atoms.cell.standard_form()"
            )
        yield atoms


def _nearest(name: Any, choices: Any) -> str:
    return nearest(str(name), get_args(choices))
