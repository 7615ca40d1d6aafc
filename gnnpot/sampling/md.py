"""Molecular dynamics at one or many temperatures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal, Self

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, CalculatorError
from pydantic import PositiveInt, model_validator

from gnnpot.data.structure import bare_structure
from gnnpot.errors import ConfigError, DataError, GnnpotError
from gnnpot.sampling.ensembles import CELL_MOVES, Ensemble, LangevinNVT
from gnnpot.sampling.limits import Limits
from gnnpot.sampling.schedule import Schedule, Temperatures, Timing, ramps
from gnnpot.sampling.spread import SPREADS, StopWhen
from gnnpot.sampling.step_cache import OncePerStep
from gnnpot.sampling.walk import Action, Observation, Walk, WalkPlan, Walks, inner_calculator


class MDConfig(Timing):
    """Molecular dynamics, one run for each structure, temperature and repetition.

    Args:
        ensemble: Thermostat and barostat.
        temperatures: Temperatures (K): one, a list, or ``{first, last, count}``; a list may hold ramps
            ``{first, last}``.
        repetitions: Number of independent runs of each structure and temperature.
        limits: Criteria that stop a run.
        stop_when: Spread of a committee at which a run ends, e.g. ``{spread: mu+3sigma}``.
    """

    kind: Literal["md"] = "md"
    ensemble: Ensemble = LangevinNVT()
    temperatures: Temperatures
    repetitions: PositiveInt = 1
    limits: Limits = Limits()
    stop_when: StopWhen | None = None

    @model_validator(mode="after")
    def _no_ramp_without_a_thermostat(self) -> Self:
        if self.ensemble.kind == "nve" and any(ramp.first != ramp.last for ramp in ramps(self.temperatures)):
            raise ValueError("expected constant temperatures for nve, got a ramp; choose a thermostat")
        return self

    def sampler(self, calculator: Calculator) -> MolecularDynamicsSampler:
        """Build the sampler on this calculator."""
        return MolecularDynamicsSampler(self, calculator)


class MolecularDynamicsSampler:
    """Sampler of frames from molecular dynamics; all runs advance together.

    Args:
        config: Ensemble, temperatures, length of the runs.
        calculator: Calculator of forces, and of stress where the cell moves.
    """

    def __init__(self, config: MDConfig, calculator: Calculator) -> None:
        self.config = config
        self.calculator = calculator

    def __call__(self, seeds: Iterable[Atoms], rng: np.random.Generator) -> Walks:
        """Yield the frames of all runs.

        Raises:
            DataError: There is no seed, or a seed has no cell although the cell moves.
        """
        config = self.config
        moves = isinstance(config.ensemble, CELL_MOVES)
        checked = with_cells(seeds, config.ensemble.kind) if moves else iter(seeds)
        plans = [
            WalkPlan(config.ensemble, Schedule(config, ramp), config.limits, config.stop_when)
            for ramp in ramps(config.temperatures)
            for _ in range(config.repetitions)
        ]
        return Walks(
            side_by_side(
                checked,
                plans,
                rng,
                prepare=lambda atoms: (OncePerStep(self.calculator), Observation(config.interval)),
                sampler="md",
            )
        )


def side_by_side(
    seeds: Iterable[Atoms],
    plans: Sequence[WalkPlan],
    rng: np.random.Generator,
    *,
    prepare: Callable[[Atoms], tuple[Calculator | OncePerStep, Action]],
    sampler: str,
) -> list[Walk]:
    """Combine each seed with each plan to a walk.

    Args:
        seeds: Initial structures; they are copied.
        plans: Ensemble, temperature and length of the walks.
        rng: Generator from which each walk derives its own.
        prepare: Function that returns the calculator and the action of a walk.
        sampler: Name of the sampler in the ``info`` of frames.

    Raises:
        DataError: There is no seed, or the calculator cannot treat one of them.
    """
    found: list[Walk] = []
    for seed, structure in enumerate(seeds):
        for plan in plans:
            atoms = bare_structure(structure)
            atoms.calc, action = prepare(atoms)
            if plan.stop_when is not None:
                _check_spreads(atoms.calc, plan.stop_when)
            if plan is plans[0]:
                if overlap := plan.limits.overlap_in(atoms):
                    raise DataError(
                        f"expected atoms apart to start from, got {overlap}; mend structures or limits"
                    )
                _check_calculates(atoms, cell_moves=isinstance(plan.ensemble, CELL_MOVES))
            group = str(structure.info.get("group") or sampler)
            provenance = {"sampler": sampler, "group": group, "seed": seed, "run": len(found)}
            found.append(Walk(atoms, plan, rng.spawn(1)[0], action=action, provenance=provenance))
    if not found:
        raise DataError("expected structures to start from, got none; name files that hold some")
    return found


def with_cells(seeds: Iterable[Atoms], purpose: str) -> Iterator[Atoms]:
    """Yield the seeds after checking that each has a periodic cell.

    Raises:
        DataError: A seed has no periodic cell.
    """
    for number, atoms in enumerate(seeds, start=1):
        if not (atoms.pbc.all() and atoms.cell.rank == 3):
            raise DataError(
                f"expected a cell with three periodic directions for {purpose}, got structure {number} "
                f"({atoms.symbols}) without; give it a cell, or choose another sampler"
            )
        yield atoms


def _check_spreads(calculator: Any, rule: StopWhen) -> None:
    """Check that the calculator, or the one that it wraps, gives the spread that a walk shall end by.

    Raises:
        ConfigError: It is no committee.
    """
    if SPREADS[rule.of] not in inner_calculator(calculator).implemented_properties:
        raise ConfigError(
            "expected a committee for stop_when, got a calculator without a spread; give calculator: {kind: "
            "gnnpot, model: [several files, or the folder of a committee]}, or remove stop_when"
        )


def _check_calculates(atoms: Atoms, *, cell_moves: bool) -> None:
    """Check that the calculator of ``atoms`` can treat them.

    Raises:
        DataError: The calculator lacks an element, or needs a cell.
    """
    try:
        atoms.get_forces()
        if cell_moves:
            atoms.get_stress()
    except GnnpotError:
        raise
    except (CalculatorError, NotImplementedError, LookupError, RuntimeError, ValueError) as error:
        raise DataError(
            f"expected a structure that the calculator can treat, got {atoms.symbols} "
            f"({type(error).__name__}: {error}); choose a calculator that knows its elements"
            + (" and gives stress" if cell_moves else "")
        ) from error
