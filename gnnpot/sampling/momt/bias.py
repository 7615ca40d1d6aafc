"""History-dependent bias on enthalpy and order parameter."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

import numpy as np
from ase import units
from jaxtyping import Float
from pydantic import Field, FiniteFloat, PositiveFloat, model_validator

from gnnpot.config.base import Section
from gnnpot.errors import ConfigError, DataError, one_line
from gnnpot.system.files import write_text

Array = np.ndarray

_PATIENCE = 500  # updates off the mesh before the first on it
_REACH = 4  # widths, where a Gaussian ends


class AxisConfig(Section):
    """Evenly spaced nodes along one axis of the mesh.

    Args:
        first: Position of the lowest node.
        last: Position of the highest node.
        nodes: Number of nodes.
    """

    first: FiniteFloat
    last: FiniteFloat
    nodes: Annotated[int, Field(ge=4)]

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if not self.last > self.first:
            raise ValueError(f"expected last above first ({self.first:g}), got {self.last:g}; exchange them")
        return self

    @property
    def spacing(self) -> float:
        """Distance between two nodes."""
        return (self.last - self.first) / (self.nodes - 1)

    @property
    def values(self) -> Float[Array, "n"]:
        """Positions of the nodes."""
        return np.linspace(self.first, self.last, self.nodes)

    def place(self, value: float) -> float:
        """Position of ``value`` in mesh spacings from the first node."""
        return (value - self.first) / self.spacing


class MeshConfig(Section):
    """The mesh of the bias.

    Args:
        enthalpy: Nodes of H = U + P V (eV).
        order: Nodes of the order parameter.
        coldest: Lowest effective temperature that the bias may cause (K).
        hottest: Highest effective temperature that the bias may cause (K).
    """

    enthalpy: AxisConfig
    order: AxisConfig
    coldest: PositiveFloat = 300.0
    hottest: PositiveFloat = 4000.0


class ConstantSteps(Section):
    """Schedule of constant steps: the bias keeps changing, so that frames stay diverse.

    Args:
        size: Height of a step at its center, in units of k T.
    """

    kind: Literal["constant"] = "constant"
    size: PositiveFloat = 0.05

    def begin(self) -> BiasProgress:
        """Initial state of the schedule."""
        return BiasProgress(self.size)

    def after(
        self, progress: BiasProgress, visits: Float[Array, "H O"], ever: Float[Array, "H O"]
    ) -> BiasProgress:
        """State of the schedule after one more update."""
        return progress._replace(updates=progress.updates + 1)


class WangLandauSteps(Section):
    """Schedule for thermodynamics: steps are halved when the histogram is flat, then fall as 1/t, then end.

    Source: Wang, Landau, Phys. Rev. Lett. 86, 2050 (2001); Belardinelli, Pereyra, Phys. Rev. E 75, 046701
    (2007) for 1/t.

    Args:
        size: Height of the first steps at their center, in units of k T.
        flatness: Ratio of the smallest to the mean number of visits of all visited nodes that counts as
            flat.
        final: Height at which the bias freezes, in units of k T.
    """

    kind: Literal["wang-landau"] = "wang-landau"
    size: PositiveFloat = 0.1
    flatness: Annotated[float, Field(gt=0, lt=1)] = 0.8
    final: PositiveFloat = 1e-4

    def begin(self) -> BiasProgress:
        """Initial state of the schedule."""
        return BiasProgress(self.size)

    def after(
        self, progress: BiasProgress, visits: Float[Array, "H O"], ever: Float[Array, "H O"]
    ) -> BiasProgress:
        """State of the schedule after one more update."""
        updates, known = progress.updates + 1, ever > 0
        size, flat = progress.size, False
        floor = np.count_nonzero(known) / updates
        if visits[known].min() > self.flatness * visits[known].mean():
            size, flat = size / 2, True
        if progress.flats and size < floor:
            size = min(floor, progress.size)
        return BiasProgress(0.0 if size <= self.final else size, updates, progress.flats + flat, flat)


class NoSteps(Section):
    """Schedule without steps: a frozen bias, for production runs."""

    kind: Literal["none"] = "none"

    def begin(self) -> BiasProgress:
        """State of the schedule, which never changes."""
        return BiasProgress(0.0)

    def after(
        self, progress: BiasProgress, visits: Float[Array, "H O"], ever: Float[Array, "H O"]
    ) -> BiasProgress:
        """State of the schedule after one more update."""
        return progress


Growth = ConstantSteps | WangLandauSteps | NoSteps
_DEFAULT_GROWTH = ConstantSteps()


class BiasProgress(NamedTuple):
    """State of a schedule."""

    size: float  # of the next step, in k T; 0 when frozen
    updates: int = 0
    flats: int = 0  # how often the histogram was flat
    flat: bool = False  # just now


class BiasValue(NamedTuple):
    """Value and slopes of the bias at one point."""

    energy: float  # eV
    enthalpy_slope: float
    order_slope: float  # eV


class Bias:
    r"""ΔH(H, O) on a mesh, smooth between the nodes, with bounded effective temperature.

    The values at the nodes are the coefficients of cubic B-splines in both directions, so that ΔH has
    continuous second derivatives and its slope along H is everywhere an average of the slopes between
    nodes.  These are kept within

    .. math:: T_0 / T_\mathrm{hottest} \le 1 + \partial \Delta H / \partial H \le T_0 / T_\mathrm{coldest}

    by integrating the clamped slopes along each column, so that the forces stay conservative.  Beyond the
    mesh the bias is constant.

    Args:
        config: Mesh and bounds of the effective temperature.
        temperature: Temperature T_0 of the thermostat (K).
        steps: Schedule of the steps that are added.
        widths: Widths of a step along H and O, in mesh spacings.

    Raises:
        ConfigError: The temperature is outside the bounds.
    """

    def __init__(
        self,
        config: MeshConfig,
        temperature: float,
        steps: Growth = _DEFAULT_GROWTH,
        *,
        widths: tuple[float, float] = (1.5, 1.5),
    ) -> None:
        if not config.coldest < temperature < config.hottest:
            raise ConfigError(
                f"expected a temperature between coldest ({config.coldest:g} K) and hottest "
                f"({config.hottest:g} K), got {temperature:g} K; widen the bounds of the mesh"
            )
        self.config = config
        self.temperature = temperature
        self.steps = steps
        self.widths = widths
        shape = (config.enthalpy.nodes, config.order.nodes)
        self.deposited: Float[Array, "H O"] = np.zeros(shape)
        self._missed = 0
        self.visits: Float[Array, "H O"] = np.zeros(shape)  # since the histogram was last flat
        self.histogram: Float[Array, "H O"] = np.zeros(shape)
        self.progress = steps.begin()

    @property
    def is_frozen(self) -> bool:
        """Whether the bias no longer changes."""
        return self.progress.size == 0

    @cached_property
    def nodes(self) -> Float[Array, "H O"]:
        """ΔH at the nodes with clamped slopes (eV)."""
        spacing = self.config.enthalpy.spacing
        lowest = self.temperature / self.config.hottest - 1
        highest = self.temperature / self.config.coldest - 1
        rises = np.clip(np.diff(self.deposited, axis=0), lowest * spacing, highest * spacing)
        integrated = np.concatenate([np.zeros_like(rises[:1]), rises.cumsum(axis=0)])
        return integrated + (self.deposited - integrated).mean(axis=0)

    def __call__(self, enthalpy: float, order: float) -> BiasValue:
        """ΔH and its slopes at one point."""
        rows, along, slope = _spline(self.config.enthalpy, enthalpy)
        columns, across, order_slope = _spline(self.config.order, order)
        block = self.nodes[np.ix_(rows, columns)]
        return BiasValue(
            float(along @ block @ across), float(slope @ block @ across), float(along @ block @ order_slope)
        )

    def update(self, enthalpy: float, order: float) -> None:
        """Add one step at the current enthalpy and order, and advance the schedule.

        Raises:
            DataError: None of many steps was on the mesh, so the mesh is misplaced.
        """
        mesh = self.config
        row, column = mesh.enthalpy.place(enthalpy), mesh.order.place(order)
        node = round(row), round(column)
        if not (0 <= node[0] < mesh.enthalpy.nodes and 0 <= node[1] < mesh.order.nodes):
            self._missed += 1
            if self._missed >= _PATIENCE and not self.histogram.any():
                raise DataError(
                    f"expected dynamics within the mesh, enthalpy {mesh.enthalpy.first:g} to "
                    f"{mesh.enthalpy.last:g} eV and order {mesh.order.first:g} to {mesh.order.last:g}, got "
                    f"{enthalpy:.1f} eV and {order:.1f}; both grow with the atoms: mend sampler.mesh"
                )
            return
        self.visits[node] += 1
        self.histogram[node] += 1
        if self.is_frozen:
            return
        height = units.kB * self.temperature * self.progress.size
        self.deposited += height * np.outer(
            _gaussian(np.arange(mesh.enthalpy.nodes) - row, self.widths[0]),
            _gaussian(np.arange(mesh.order.nodes) - column, self.widths[1]),
        )
        self.__dict__.pop("nodes", None)
        self.progress = self.steps.after(self.progress, self.visits, self.histogram)
        if self.progress.flat:
            self.visits[:] = 0

    def state(self) -> dict[str, Any]:
        """State to resume from."""
        return {
            "mesh": self.config.model_dump(mode="json"),
            "temperature": self.temperature,
            "deposited": self.deposited.tolist(),
            "visits": self.visits.tolist(),
            "histogram": self.histogram.tolist(),
            "progress": list(self.progress),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Resume from a state.

        Raises:
            DataError: The state belongs to another mesh or temperature.
        """
        if state["mesh"] != self.config.model_dump(mode="json") or state["temperature"] != self.temperature:
            raise DataError(
                "expected a bias of the same mesh and temperature, got another; give it the mesh and the "
                "temperature of the configuration"
            )
        self.deposited = np.array(state["deposited"])
        self.visits = np.array(state["visits"])
        self.histogram = np.array(state["histogram"])
        self.progress = BiasProgress(*state["progress"])
        self.__dict__.pop("nodes", None)

    def save(self, path: Path) -> None:
        """Write the state as JSON."""
        write_text(path, json.dumps(self.state()))

    def load(self, path: Path) -> None:
        """Start the schedule with the bias in a file that :meth:`save` wrote.

        Raises:
            DataError: The file is missing, holds no bias, or belongs to another mesh or temperature.
        """
        try:
            state = json.loads(Path(path).read_text())
        except (OSError, ValueError) as error:
            raise DataError(
                f"expected a bias in {path}, got {one_line(error)}; give a bias.json of momt"
            ) from error
        if not (isinstance(state, dict) and "deposited" in state):
            raise DataError(f"expected a bias in {path}, got something else; give a bias.json of momt")
        self.restore(state)
        self.progress = self.steps.begin()
        self.visits[:] = 0


def _spline(axis: AxisConfig, value: float) -> tuple[Float[Array, "4"], Float[Array, "4"], Float[Array, "4"]]:
    """Nodes, weights and slopes of the cubic B-splines that are nonzero at ``value``."""
    place = min(max(axis.place(value), -3.0), axis.nodes + 2.0)  # beyond, the bias is constant
    first = int(np.floor(place))
    t = place - first
    weights = np.array(
        [(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3],
    )
    slopes = np.array([-((1 - t) ** 2), 3 * t**2 - 4 * t, -3 * t**2 + 2 * t + 1, t**2])
    rows = np.clip(np.arange(first - 1, first + 3), 0, axis.nodes - 1)
    return rows, weights / 6, slopes / (2 * axis.spacing)


def _gaussian(distance: Float[Array, "n"], width: float) -> Float[Array, "n"]:
    values = np.exp(-((distance / width) ** 2) / 2)
    values[np.abs(distance) > _REACH * width] = 0.0
    return values
