"""Molecular dynamics at one or many temperatures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal, Self

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, CalculatorError
from pydantic import PositiveInt, model_validator

from gnnpot.errors import DataError, GnnpotError
from gnnpot.sampling.ensembles import CELL_MOVES, Ensemble, LangevinNVT
from gnnpot.sampling.limits import Limits
from gnnpot.sampling.schedule import Schedule, Temperatures, Timing, ramps
from gnnpot.sampling.step_cache import OncePerStep
from gnnpot.sampling.walk import Action, Observation, Walk, WalkPlan, Walks


class MDConfig(Timing):
    """Molecular dynamics: a run for each structure, temperature and repetition.

    Args:
        ensemble: Thermostat and barostat.
        temperatures: K; one, a list, ``{first, last, count}``, and in a list ramps ``{first, last}``.
        repetitions: Runs of each structure and temperature with random numbers of their own.
        limits: When a run is stopped.
    """

    kind: Literal["md"] = "md"
    ensemble: Ensemble = LangevinNVT()
    temperatures: Temperatures
    repetitions: PositiveInt = 1
    limits: Limits = Limits()

    @model_validator(mode="after")
    def _no_ramp_without_a_thermostat(self) -> Self:
        if self.ensemble.kind == "nve" and any(ramp.first != ramp.last for ramp in ramps(self.temperatures)):
            raise ValueError("expected constant temperatures for nve, got a ramp; choose a thermostat")
        return self

    def sampler(self, calculator: Calculator) -> MolecularDynamicsSampler:
        """The sampler with forces of ``calculator``."""
        return MolecularDynamicsSampler(self, calculator)


class MolecularDynamicsSampler:
    """Frames of molecular dynamics, the runs side by side.

    Args:
        config: Ensemble, temperatures, length.
        calculator: Forces, and stress where the cell moves.
    """

    def __init__(self, config: MDConfig, calculator: Calculator) -> None:
        self.config = config
        self.calculator = calculator

    def __call__(self, seeds: Iterable[Atoms], rng: np.random.Generator) -> Walks:
        """Frames of all runs.

        Raises:
            DataError: There is no seed, or one without a cell where the cell moves.
        """
        config = self.config
        moves = isinstance(config.ensemble, CELL_MOVES)
        checked = with_cells(seeds, config.ensemble.kind) if moves else iter(seeds)
        plans = [
            WalkPlan(config.ensemble, Schedule(config, ramp), config.limits)
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
    """A walk of each seed with each plan.

    Args:
        seeds: Where they start; copied.
        plans: How they move.
        rng: Gives each walk random numbers of its own.
        prepare: Gives the calculator and the action of a walk.
        sampler: Name for the ``info`` of frames.

    Raises:
        DataError: There is no seed, or one that the calculator cannot treat.
    """
    found: list[Walk] = []
    for seed, structure in enumerate(seeds):
        for plan in plans:
            atoms = Atoms(structure.numbers, structure.positions, cell=structure.cell, pbc=structure.pbc)
            atoms.calc, action = prepare(atoms)
            if plan is plans[0]:
                if overlap := plan.limits.overlap_in(atoms):
                    raise DataError(
                        f"expected atoms apart to start from, got {overlap}; mend structures or limits"
                    )
                _check_calculates(atoms, cell_moves=isinstance(plan.ensemble, CELL_MOVES))
            provenance = {"sampler": sampler, "group": sampler, "seed": seed, "run": len(found)}
            found.append(Walk(atoms, plan, rng.spawn(1)[0], action=action, provenance=provenance))
    if not found:
        raise DataError("expected structures to start from, got none; name files that hold some")
    return found


def with_cells(seeds: Iterable[Atoms], purpose: str) -> Iterator[Atoms]:
    """The seeds, of which each has a periodic cell.

    Raises:
        DataError: One has none.
    """
    for number, atoms in enumerate(seeds, start=1):
        if not (atoms.pbc.all() and atoms.cell.rank == 3):
            raise DataError(
                f"expected a cell with three periodic directions for {purpose}, got structure {number} "
                f"({atoms.symbols}) without; give it a cell, or choose another sampler"
            )
        yield atoms


def _check_calculates(atoms: Atoms, *, cell_moves: bool) -> None:
    """See whether the calculator of ``atoms`` can treat them.

    Raises:
        DataError: It cannot, for it lacks an element or needs a cell.
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
