"""Multiorder-multithermal dynamics: one run from solid to liquid and back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from pydantic import Field, PositiveFloat, PositiveInt

from gnnpot.errors import DataError
from gnnpot.sampling.ensembles import IsobaricEnsemble, LangevinNPT
from gnnpot.sampling.limits import Limits
from gnnpot.sampling.md import side_by_side, with_cells
from gnnpot.sampling.momt.bias import Bias, ConstantSteps, Growth, MeshConfig
from gnnpot.sampling.momt.calculator import BiasedCalculator
from gnnpot.sampling.momt.order import OrderConfig
from gnnpot.sampling.schedule import Ramp, Schedule, Timing
from gnnpot.sampling.step_cache import OncePerStep
from gnnpot.sampling.walk import WalkPlan, Walks
from gnnpot.units import kBar


class MOMTConfig(Timing):
    """Dynamics under a bias over enthalpy and order that flattens both.

    Args:
        ensemble: Barostat and thermostat; the shape of the cell stays.
        temperature: T_0, of the thermostat (K).
        mesh: Where the bias acts and how far it may go.
        order: Which crystal the order parameter looks for.
        growth: How the bias grows.
        widths: Of what is added each time, in spacings of the mesh along enthalpy and order.
        update_interval: Steps between two additions.
        repetitions: Runs of each structure, all on one bias.
        bias: File of an earlier bias to start from.
        limits: When a run is stopped.
    """

    kind: Literal["momt"] = "momt"
    ensemble: IsobaricEnsemble = LangevinNPT()
    temperature: PositiveFloat
    mesh: MeshConfig
    order: OrderConfig
    growth: Annotated[Growth, Field(discriminator="kind")] = ConstantSteps()
    widths: tuple[PositiveFloat, PositiveFloat] = (1.5, 1.5)
    update_interval: PositiveInt = 100
    repetitions: PositiveInt = 1
    bias: str | None = None
    limits: Limits = Limits()

    def sampler(self, calculator: Calculator) -> MOMTSampler:
        """The sampler with forces of ``calculator``."""
        return MOMTSampler(self, calculator)


class MOMTSampler:
    """Frames from solid to liquid and back, at one temperature of the thermostat.

    Source: Jung, Yoshimoto, Oh, Tsuneyuki, arXiv:2308.08098 (2023).

    Args:
        config: Mesh, order parameter, schedule.
        calculator: Energy, forces and stress.
    """

    def __init__(self, config: MOMTConfig, calculator: Calculator) -> None:
        self.config = config
        self.calculator = calculator
        self.bias = Bias(config.mesh, config.temperature, config.growth, widths=config.widths)
        if config.bias:
            self.bias.load(Path(config.bias).expanduser())

    def __call__(self, seeds: Iterable[Atoms], rng: np.random.Generator) -> Walks:
        """Frames of all runs, which share the bias.

        Raises:
            DataError: A seed without a cell, with other atoms than the first, or with more or fewer than the
                crystal of the order parameter has.
        """
        config = self.config
        order, pressure = config.order.parameter(), config.ensemble.pressure * kBar / 1000
        plan = WalkPlan(
            config.ensemble,
            Schedule(config, Ramp(first=config.temperature, last=config.temperature)),
            config.limits,
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
    """Adds to the bias where dynamics are, and logs where that is.

    Args:
        bias: What grows.
        every: Steps between two additions.
    """

    columns = ("enthalpy", "order", "bias", "effective_temperature")

    def __init__(self, bias: Bias, every: int) -> None:
        self.bias = bias
        self.every = every

    def __call__(self, atoms: Atoms, step: int) -> tuple[float, ...]:
        """Add, unless dynamics are still to equilibrate."""
        calculator = atoms.calc
        if step > 0:
            self.bias.update(calculator.enthalpy, calculator.order_value)
            calculator.refresh()
        return tuple(calculator.description.values())

    def state(self) -> dict[str, Any]:
        """Nothing: the bias is kept once for all walks."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Nothing to do."""


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
