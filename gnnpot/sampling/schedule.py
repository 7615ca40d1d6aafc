"""How hot dynamics are when, and which steps leave a frame."""

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
    """A temperature that changes evenly over a run.

    Args:
        first: At the start (K).
        last: At the end (K).
    """

    first: PositiveFloat
    last: PositiveFloat


class TemperatureGrid(Section):
    """Evenly spaced temperatures, a run for each.

    Args:
        first: Lowest (K).
        last: Highest (K).
        count: Their number.
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
    """How long dynamics take.

    Args:
        timestep: fs.
        equilibration: Steps before the first frame.
        steps: Steps that frames are taken from.
        interval: Steps between two frames.
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
        timing: How long it is.
        ramp: The temperature from the first step after equilibration to the last.
    """

    timing: Timing
    ramp: Ramp

    @property
    def steps(self) -> int:
        """Number of steps, equilibration included."""
        return self.timing.equilibration + self.timing.steps

    def temperature(self, step: int) -> float:
        """Of the thermostat after ``step`` (K)."""
        done = max(step - self.timing.equilibration, 0) / self.timing.steps
        return self.ramp.first + (self.ramp.last - self.ramp.first) * done

    def is_frame(self, step: int) -> bool:
        """Whether a frame is taken after ``step``."""
        sampled = step - self.timing.equilibration
        return sampled > 0 and sampled % self.timing.interval == 0

    def next_frame(self, step: int) -> int:
        """The first step after ``step`` that leaves a frame, or the last of all."""
        sampled = max(step - self.timing.equilibration, 0)
        place = (sampled // self.timing.interval + 1) * self.timing.interval
        return min(self.timing.equilibration + place, self.steps)


def ramps(temperatures: Temperatures) -> Iterator[Ramp]:
    """The ramp of each run; constant temperatures begin where they end."""
    if isinstance(temperatures, TemperatureGrid):
        values = np.linspace(temperatures.first, temperatures.last, temperatures.count)
        temperatures = tuple(float(value) for value in values)
    elif not isinstance(temperatures, tuple):
        temperatures = (temperatures,)
    for entry in temperatures:
        yield entry if isinstance(entry, Ramp) else Ramp(first=entry, last=entry)
