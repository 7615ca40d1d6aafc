"""Multiorder-multithermal dynamics: one run from solid to liquid and back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from pydantic import PositiveFloat, PositiveInt

from gnnpot.config.kinds import Kinds
from gnnpot.errors import DataError
from gnnpot.sampling.ensembles import IsobaricEnsemble, LangevinNPT
from gnnpot.sampling.limits import Limits
from gnnpot.sampling.md import side_by_side, with_cells
from gnnpot.sampling.momt.bias import Bias, ConstantSteps, Growth, MeshConfig
from gnnpot.sampling.momt.calculator import BiasedCalculator
from gnnpot.sampling.momt.order import OrderConfig
from gnnpot.sampling.schedule import Ramp, Schedule, Timing
from gnnpot.sampling.spread import StopWhen
from gnnpot.sampling.step_cache import OncePerStep
from gnnpot.sampling.walk import WalkPlan, Walks
from gnnpot.units import kBar


class MOMTConfig(Timing):
    """Dynamics under a bias that flattens the distribution of enthalpy and order.

    Args:
        ensemble: Barostat and thermostat; the shape of the cell is fixed.
        temperature: Temperature T_0 of the thermostat (K).
        mesh: Mesh of the bias and bounds of the effective temperature.
        order: Crystal that the order parameter detects.
        growth: Schedule by which the bias grows.
        widths: Widths of a step along enthalpy and order, in mesh spacings.
        update_interval: Number of steps between two updates of the bias.
        repetitions: Number of runs of each structure, which share one bias.
        bias: File of an earlier bias to start from.
        limits: Criteria that stop a run.
        stop_when: Spread of a committee at which a run ends, e.g. ``{spread: mu+3sigma}``.
    """

    kind: Literal["momt"] = "momt"
    ensemble: IsobaricEnsemble = LangevinNPT()
    temperature: PositiveFloat
    mesh: MeshConfig
    order: OrderConfig
    growth: Annotated[Growth, Kinds("growth")] = ConstantSteps()
    widths: tuple[PositiveFloat, PositiveFloat] = (1.5, 1.5)
    update_interval: PositiveInt = 100
    repetitions: PositiveInt = 1
    bias: str | None = None
    limits: Limits = Limits()
    stop_when: StopWhen | None = None

    def sampler(self, calculator: Calculator) -> MOMTSampler:
        """Build the sampler on this calculator."""
        return MOMTSampler(self, calculator)


class MOMTSampler:
    """Sampler of frames from solid to liquid and back, at one thermostat temperature.

    Source: Jung, Yoshimoto, Oh, Tsuneyuki, arXiv:2308.08098 (2023).

    Args:
        config: Mesh, order parameter, schedule of the bias.
        calculator: Calculator of energy, forces and stress.
    """

    def __init__(self, config: MOMTConfig, calculator: Calculator) -> None:
        self.config = config
        self.calculator = calculator
        self.bias = Bias(config.mesh, config.temperature, config.growth, widths=config.widths)
        if config.bias:
            self.bias.load(Path(config.bias).expanduser())

    def __call__(self, seeds: Iterable[Atoms], rng: np.random.Generator) -> Walks:
        """Yield the frames of all runs, which share the bias.

        Raises:
            DataError: A seed has no cell, other atoms than the first, or a number of atoms that does not fit
                the crystal of the order parameter.
        """
        config = self.config
        order, pressure = config.order.parameter(), config.ensemble.pressure * kBar / 1000
        plan = WalkPlan(
            config.ensemble,
            Schedule(config, Ramp(first=config.temperature, last=config.temperature)),
            config.limits,
            config.stop_when,
        )
        walks = side_by_side(
            _alike(with_cells(seeds, "momt"), config.order),
            [plan] * config.repetitions,
            rng,
            prepare=lambda atoms: (
                BiasedCalculator(OncePerStep(self.calculator), self.bias, order, pressure=pressure),
                Deposit(self.bias, config.update_interval),
            ),
            sampler="momt",
        )
        return Walks(walks, shared=self.bias)


class Deposit:
    """Action of a walk that updates the bias at the current enthalpy and order, and logs them.

    Args:
        bias: Bias to update.
        every: Number of steps between two updates.
    """

    columns = ("enthalpy", "order", "bias", "effective_temperature")

    def __init__(self, bias: Bias, every: int) -> None:
        self.bias = bias
        self.every = every

    def __call__(self, atoms: Atoms, step: int) -> tuple[float, ...]:
        """Update the bias, except during equilibration."""
        calculator = atoms.calc
        if step > 0:
            self.bias.update(calculator.enthalpy, calculator.order_value)
            calculator.refresh()
        return tuple(calculator.description.values())

    def state(self) -> dict[str, Any]:
        """Empty: the bias is kept once for all walks."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Do nothing: the bias is restored once for all walks."""


def _alike(seeds: Iterable[Atoms], order: OrderConfig) -> Iterator[Atoms]:
    first = None
    for number, atoms in enumerate(seeds, start=1):
        order.check(atoms)
        first = first or atoms
        if sorted(atoms.numbers) != sorted(first.numbers):
            raise DataError(
                f"expected structures with the same atoms for one bias, got {first.symbols} and, as number "
                f"{number}, {atoms.symbols}; start a run for each"
            )
        yield atoms
