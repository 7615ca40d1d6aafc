"""Temperature over the course of a run, and the steps at which frames are taken."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Self

import numpy as np
from pydantic import (
    BaseModel,
    Discriminator,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Tag,
    model_validator,
)

from gnnpot.config.base import Section


class Ramp(Section):
    """Temperature that changes linearly over a run.

    Args:
        first: Temperature at the start (K).
        last: Temperature at the end (K).
    """

    first: PositiveFloat
    last: PositiveFloat


class TemperatureGrid(Section):
    """Evenly spaced temperatures, one run for each.

    Args:
        first: Lowest temperature (K).
        last: Highest temperature (K).
        count: Number of temperatures.
    """

    first: PositiveFloat
    last: PositiveFloat
    count: Annotated[int, Field(ge=2, le=10_000)]


def _shape(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "list"
    if isinstance(value, dict | BaseModel):
        return "grid" if "count" in dict(value) else "ramp"
    return "number"


_Run = Annotated[
    Annotated[PositiveFloat, Tag("number")] | Annotated[Ramp, Tag("ramp")], Discriminator(_shape)
]
Temperatures = Annotated[
    Annotated[PositiveFloat, Tag("number")]
    | Annotated[Ramp, Tag("ramp")]
    | Annotated[TemperatureGrid, Tag("grid")]
    | Annotated[tuple[_Run, ...], Field(min_length=1), Tag("list")],
    Discriminator(_shape),
]


class Timing(Section):
    """Lengths of a run in steps.

    Args:
        timestep: Time step (fs).
        equilibration: Number of steps before the first frame.
        steps: Number of steps from which frames are taken.
        interval: Number of steps between two frames.
    """

    timestep: PositiveFloat = 1.0
    equilibration: NonNegativeInt = 0
    steps: PositiveInt
    interval: PositiveInt = 100

    @model_validator(mode="after")
    def _some_frame(self) -> Self:
        if self.interval > self.steps:
            raise ValueError(
                f"expected an interval of at most {self.steps} steps, got {self.interval}: no frame comes"
            )
        return self


@dataclass(frozen=True)
class Schedule:
    """Temperature and frames of one run.

    Attributes:
        timing: Lengths of the run.
        ramp: Temperature from the end of equilibration to the end of the run.
    """

    timing: Timing
    ramp: Ramp

    @property
    def steps(self) -> int:
        """Number of steps, equilibration included."""
        return self.timing.equilibration + self.timing.steps

    def temperature(self, step: int) -> float:
        """Temperature of the thermostat after ``step`` (K)."""
        done = max(step - self.timing.equilibration, 0) / self.timing.steps
        return self.ramp.first + (self.ramp.last - self.ramp.first) * done

    def is_frame(self, step: int) -> bool:
        """Whether a frame is taken after ``step``."""
        sampled = step - self.timing.equilibration
        return sampled > 0 and sampled % self.timing.interval == 0

    def next_frame(self, step: int) -> int:
        """First step after ``step`` at which a frame is taken, or the last step of the run."""
        sampled = max(step - self.timing.equilibration, 0)
        place = (sampled // self.timing.interval + 1) * self.timing.interval
        return min(self.timing.equilibration + place, self.steps)


def ramps(temperatures: Temperatures) -> Iterator[Ramp]:
    """Temperature ramp of each run; at constant temperature both ends are equal."""
    if isinstance(temperatures, TemperatureGrid):
        values = np.linspace(temperatures.first, temperatures.last, temperatures.count)
        temperatures = tuple(float(value) for value in values)
    elif not isinstance(temperatures, tuple):
        temperatures = (temperatures,)
    for entry in temperatures:
        yield entry if isinstance(entry, Ramp) else Ramp(first=entry, last=entry)
