"""Random displacements of atoms, and structures rescaled to another material."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Any, Literal

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from jaxtyping import Float
from pydantic import BeforeValidator, Field, PositiveFloat, PositiveInt, field_validator

from gnnpot.config.base import Section
from gnnpot.data.structure import bare_structure
from gnnpot.errors import ConfigError, DataError
from gnnpot.sampling.substitution import check_symbols, parse_scale, transferred

Array = np.ndarray
Displacements = Callable[[tuple[int, int]], Float[Array, "N 3"]]


class RattleConfig(Section):
    """Normally distributed displacements of every coordinate of every atom.

    Args:
        deviation: Standard deviation of each coordinate (Å).
        copies: Number of copies of each structure.
    """

    kind: Literal["rattle"] = "rattle"
    deviation: PositiveFloat = 0.05
    copies: PositiveInt = 1

    def sampler(self, calculator: Calculator | None) -> DisplacementSampler:
        """Build the sampler, which needs no calculator."""
        return DisplacementSampler(self)

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Float[Array, "N 3"]:
        """Draw displacements (Å)."""
        return rng.normal(scale=self.deviation, size=shape)


class NoiseConfig(Section):
    """Uniformly distributed displacements of every coordinate of every atom, to augment a set.

    Args:
        amplitude: Largest displacement along each axis (Å).
        copies: Number of copies of each structure.
    """

    kind: Literal["noise"] = "noise"
    amplitude: PositiveFloat = 0.05
    copies: PositiveInt = 2

    def sampler(self, calculator: Calculator | None) -> DisplacementSampler:
        """Build the sampler, which needs no calculator."""
        return DisplacementSampler(self)

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Float[Array, "N 3"]:
        """Draw displacements (Å)."""
        return rng.uniform(-self.amplitude, self.amplitude, size=shape)


class DisplacementSampler:
    """Sampler of copies of every seed with randomly displaced atoms.

    Args:
        config: Distribution and number of copies.
    """

    def __init__(self, config: RattleConfig | NoiseConfig) -> None:
        self.config = config

    def __call__(self, seeds: Iterable[Atoms], rng: np.random.Generator) -> Iterator[Atoms]:
        """Yield the copies."""
        kind = self.config.kind
        for seed, atoms in enumerate(seeds):
            for copy in range(self.config.copies):
                frame = bare_structure(atoms)
                frame.positions += self.config.draw(rng, atoms.positions.shape)
                group = str(atoms.info.get("group") or kind)
                frame.info = {"sampler": kind, "group": group, "seed": seed, "copy": copy}
                yield frame


def _factor(value: Any) -> Any:
    try:
        return parse_scale(str(value))
    except ConfigError as error:
        raise ValueError(str(error)) from error


class ScalingConfig(Section):
    """Structures of one material as those of another.

    Args:
        elements: New symbol by old one.
        scale: Factor of all lengths, such as 1.15 or 4.05/3.52.
    """

    kind: Literal["scaling"] = "scaling"
    elements: dict[str, str] = Field(default={})
    scale: Annotated[float, BeforeValidator(_factor, json_schema_input_type=float | str)] = 1.0

    @field_validator("elements")
    @classmethod
    def _of_elements(cls, value: dict[str, str]) -> dict[str, str]:
        try:
            check_symbols(value)
        except ConfigError as error:
            raise ValueError(str(error)) from error
        return value

    def sampler(self, calculator: Calculator | None) -> ScalingSampler:
        """Build the sampler, which needs no calculator."""
        return ScalingSampler(self)


class ScalingSampler:
    """Sampler of every seed with elements renamed and lengths scaled.

    Args:
        config: New symbols and scale factor.
    """

    def __init__(self, config: ScalingConfig) -> None:
        self.config = config

    def __call__(self, seeds: Iterable[Atoms], rng: np.random.Generator) -> Iterator[Atoms]:
        """Yield the structures of the other material."""
        for seed, atoms in enumerate(seeds):
            if absent := set(self.config.elements) - set(atoms.symbols):
                raise DataError(
                    f"expected {', '.join(sorted(absent))} in structure {seed + 1}, got {atoms.symbols}; "
                    "elements are {old: new}"
                )
            frame = transferred(atoms, names=self.config.elements, scale=self.config.scale)
            yield self._told(frame, seed)

    def _told(self, frame: Atoms, seed: int) -> Atoms:
        frame.info = {"group": "scaling", **frame.info, "sampler": "scaling", "seed": seed}
        return frame
