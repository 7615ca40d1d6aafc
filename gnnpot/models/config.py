"""Hyperparameters of the models: what a configuration may say, read without torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import numpy as np
from ase.data import atomic_numbers as number_of
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, field_validator, model_validator

from gnnpot.config.choices import ActivationName, EnvelopeName
from gnnpot.config.from_data import SectionFromData
from gnnpot.config.registry import Registry, nearest

if TYPE_CHECKING:
    from gnnpot.data.scales import LengthScales

MODEL_CONFIGS: Registry[type[ModelConfig]] = Registry("model")

_FIRST_SHELL = 0.9  # of the shortest distance: where the radial shells begin
_OVERLAP = 1.0  # sharpness of a shell times the square of the distance to the next one


def evenly_spaced(start: float, step: float, count: int) -> tuple[float, ...]:
    """``count`` numbers from ``start`` on, as ANI's parameter files list them."""
    return tuple(round(start + step * index, 10) for index in range(count))


def shells(start: float, end: float, count: int) -> tuple[float, ...]:
    """``count`` radii from ``start`` in equal steps, with one more step to ``end``, rounded to 0.01 Å."""
    return tuple(round(start + (end - start) * index / count, 2) for index in range(count))


class ModelConfig(SectionFromData):
    """Hyperparameters every model has.

    Args:
        kind: Name of the model.
        cutoff: Longest edge (Å), or in nearest-neighbor distances of the training data as in ``2.1 nn``; left
            out or ``auto``, it is chosen by the number of neighbors in the data.
        elements: Chemical symbols the model knows, in the order of its rows; left empty in a
            configuration, they are those of the training data.
    """

    NAME: ClassVar[str] = ""  # in sentences; the kind if there is none
    FROM_DATA: ClassVar[tuple[str, ...]] = ("cutoff",)
    LENGTHS: ClassVar[tuple[str, ...]] = ("cutoff",)
    NEIGHBORS: ClassVar[float] = 26.0  # mean number within the cutoff that the data choose
    LEAST_CUTOFF: ClassVar[float] = 4.5  # Å, of such a cutoff
    LEARNING_RATE: ClassVar[float] = 3e-3  # of AdamW, where a configuration leaves it open
    WEIGHT_DECAY: ClassVar[float] = 0.01

    kind: str
    cutoff: PositiveFloat = 5.0
    elements: tuple[str, ...] = ()

    @field_validator("elements")
    @classmethod
    def _known_elements(cls, elements: tuple[str, ...]) -> tuple[str, ...]:
        for symbol in elements:
            if symbol not in number_of or symbol == "X":
                raise ValueError(f"no element is called {symbol!r}; {nearest(symbol, number_of)}")
        if len(set(elements)) < len(elements):
            raise ValueError(f"expected each element once, got {', '.join(elements)}")
        return elements

    @classmethod
    def __pydantic_init_subclass__(cls, **options: object) -> None:
        kind = cls.model_fields["kind"].default
        if isinstance(kind, str):
            MODEL_CONFIGS.register(kind)(cls)

    @property
    def name(self) -> str:
        """The model in sentences."""
        return self.NAME or self.kind

    def fitted(self, scales: LengthScales) -> Self:
        """The hyperparameters with those lengths that were left open chosen by the data."""
        return self.filled(self.lengths(scales))

    def lengths(self, scales: LengthScales) -> dict[str, Any]:
        """What the data choose for the open lengths; only those that are open matter."""
        told = {name: round(factor * scales.nearest, 3) for name, factor in self.relative.items()}
        return {"cutoff": scales.radius(self.NEIGHBORS, least=self.LEAST_CUTOFF), **told}

    def scaled(self, factor: float) -> Self:
        """The hyperparameters of a model that sees at r what this one sees at r / ``factor``."""
        return self.model_copy(update={"cutoff": factor * self.cutoff})


class ANIConfig(ModelConfig):
    """Hyperparameters of :class:`gnnpot.models.ani.ANI`.

    Lengths that a configuration leaves out, or gives as ``auto``, are chosen by the distances in the training
    data; built in Python without data, they are those of ANI-2x.  Sizes are those of materials; ANI-2x has
    zeta 14.1, four angles, the cosine envelope and hidden layers of 256, 192 and 160.

    Args:
        cutoff: Cutoff of the radial functions (Å), or in nearest-neighbor distances of the training data, as
            in ``2.1 nn``.
        angular_cutoff: Cutoff of the angular functions (Å, or as above), no longer than ``cutoff``.
        radial_eta: Sharpness of the radial shells (1/Å²).
        radial_shifts: Radii of the radial shells (Å).
        angular_eta: Sharpness of the shells of the mean distance of two neighbors (1/Å²).
        angular_shifts: Radii of these shells (Å).
        zeta: Sharpness of the angles.
        angle_shifts: Centers of the angles.
        envelope: Cutoff function of both.
        hidden: Widths of the hidden layers.
        activation: Activation between the layers.
        networks: ``per_element``, or one ``shared`` network that also sees an embedding of the element.
        embedding_channels: Width of that embedding.
        standardize: Bring each function to mean 0 and deviation 1 over the training data.
    """

    NAME: ClassVar[str] = "ANI"
    FROM_DATA: ClassVar[tuple[str, ...]] = (
        "cutoff", "angular_cutoff", "radial_eta", "radial_shifts", "angular_eta", "angular_shifts"
    )  # fmt: skip
    LENGTHS: ClassVar[tuple[str, ...]] = ("cutoff", "angular_cutoff")
    NEIGHBORS: ClassVar[float] = 45.0
    ANGULAR_NEIGHBORS: ClassVar[float] = 20.0
    LEAST_CUTOFF: ClassVar[float] = 5.0
    LEAST_ANGULAR_CUTOFF: ClassVar[float] = 3.5
    RADIAL_SHELLS: ClassVar[int] = 16
    ANGULAR_SHELLS: ClassVar[int] = 8

    kind: Literal["ani"] = "ani"
    cutoff: PositiveFloat = 5.1
    angular_cutoff: PositiveFloat = 3.5
    radial_eta: PositiveFloat = 19.7
    radial_shifts: tuple[float, ...] = evenly_spaced(0.8, 0.26875, 16)
    angular_eta: PositiveFloat = 12.5
    angular_shifts: tuple[float, ...] = evenly_spaced(0.8, 0.3375, 8)
    zeta: PositiveFloat = 10.0
    angle_shifts: tuple[float, ...] = (0.35, 0.84, 1.33, 1.82, 2.3, 2.79)
    envelope: EnvelopeName = "polynomial"
    hidden: tuple[PositiveInt, ...] = (128, 96, 64)
    activation: ActivationName = "silu"
    networks: Literal["per_element", "shared"] = "per_element"
    embedding_channels: PositiveInt = 16
    standardize: bool = True

    @model_validator(mode="after")
    def _angular_within_radial(self) -> Self:
        told = {"cutoff", "angular_cutoff"} <= self.model_fields_set
        if told and self.angular_cutoff > self.cutoff:
            raise ValueError(
                f"expected angular_cutoff up to the cutoff of {self.cutoff:g} Å, got "
                f"{self.angular_cutoff:g}; lower it or raise the cutoff"
            )
        return self

    def lengths(self, scales: LengthScales) -> dict[str, Any]:
        """Cutoffs by the number of neighbors; shells that fill them from the shortest distance on."""
        found, given = super().lengths(scales), self.model_fields_set
        if "angular_cutoff" in given and "cutoff" not in self.relative:
            found["cutoff"] = max(found["cutoff"], self.angular_cutoff)
        if "cutoff" in given:
            found["cutoff"] = self.cutoff
        angular = scales.radius(self.ANGULAR_NEIGHBORS, least=self.LEAST_ANGULAR_CUTOFF)
        found = {"angular_cutoff": min(angular, found["cutoff"]), **found}
        if "angular_cutoff" in given:
            found["angular_cutoff"] = self.angular_cutoff
        start = _FIRST_SHELL * scales.shortest
        for part, end, count in (
            ("radial", found["cutoff"], self.RADIAL_SHELLS),
            ("angular", found["angular_cutoff"], self.ANGULAR_SHELLS),
        ):
            radii = shells(start, end, count)
            chosen = getattr(self, f"{part}_shifts") if f"{part}_shifts" in given else radii
            spacing = np.diff(chosen if len(chosen) > 1 else radii).mean()
            found |= {f"{part}_shifts": radii, f"{part}_eta": float(f"{_OVERLAP / spacing**2:.3g}")}
        return found

    def scaled(self, factor: float) -> Self:
        """All lengths times ``factor``."""
        lengths = {
            "cutoff": factor * self.cutoff,
            "angular_cutoff": factor * self.angular_cutoff,
            "radial_eta": self.radial_eta / factor**2,
            "angular_eta": self.angular_eta / factor**2,
            "radial_shifts": tuple(factor * shift for shift in self.radial_shifts),
            "angular_shifts": tuple(factor * shift for shift in self.angular_shifts),
        }
        return self.model_copy(update=lengths)


class SchNetConfig(ModelConfig):
    """Hyperparameters of :class:`gnnpot.models.schnet.SchNet`.

    Args:
        channels: Width F of the atomic features.
        num_filters: Width of the convolution.
        num_basis: Number K of Gaussians.
        num_interactions: Number of interaction blocks.
        envelope: Cutoff function of the filters; the paper's is ``cosine``.
        filters: ``interpolated`` evaluates the filter networks on a grid of distances, with cubic splines
            between, which is faster and differs by some 1e-5 eV/Å; ``exact`` for each pair.
        num_knots: Intervals of that grid; the difference falls with their fourth power.
    """

    NAME: ClassVar[str] = "SchNet"

    kind: Literal["schnet"] = "schnet"
    channels: PositiveInt = 64
    num_filters: PositiveInt = 64
    num_basis: PositiveInt = 24
    num_interactions: PositiveInt = 6
    envelope: EnvelopeName = "polynomial"
    filters: Literal["interpolated", "exact"] = "interpolated"
    num_knots: PositiveInt = 512


class DimeNetConfig(ModelConfig):
    """Hyperparameters of :class:`gnnpot.models.dimenet.DimeNet`.

    Args:
        channels: Width F of the edge features.
        interaction_channels: Width of the triplet product.
        basis_channels: Width between the two linear maps of a basis.
        output_channels: Width of the atomic features before the energy.
        num_blocks: Number of interaction blocks.
        num_spherical: Number L of angular orders.
        num_radial: Number K of radial functions.
        num_before_skip: Residual layers before the skip connection of a block.
        num_after_skip: Residual layers after it.
        num_output_layers: Dense layers of each output block.
        envelope_exponent: Order p of the envelope.
    """

    NAME: ClassVar[str] = "DimeNet++"
    WEIGHT_DECAY: ClassVar[float] = 0.02

    kind: Literal["dimenet++"] = "dimenet++"
    channels: PositiveInt = 32
    interaction_channels: PositiveInt = 16
    basis_channels: PositiveInt = 8
    output_channels: PositiveInt = 64
    num_blocks: PositiveInt = 4
    num_spherical: PositiveInt = 7
    num_radial: PositiveInt = 6
    num_before_skip: NonNegativeInt = 1
    num_after_skip: NonNegativeInt = 2
    num_output_layers: NonNegativeInt = 3
    envelope_exponent: PositiveInt = 6


class NequIPConfig(ModelConfig):
    """Hyperparameters of :class:`gnnpot.models.nequip.NequIP`.

    Args:
        channels: Width F of the features of each degree.
        l_max: Largest degree l of features and spherical harmonics; e3nn knows those up to 11.
        num_basis: Number K of Bessel functions.
        num_interactions: Number of interaction blocks.
        radial_hidden: Widths of the hidden layers between the Bessel functions and the weights of a pair.
        envelope_exponent: Order p of the envelope.
        num_neighbors: Neighbors of an atom by which sums are normalized; left out, the mean of the training
            data.
    """

    NAME: ClassVar[str] = "NequIP"
    LEARNING_RATE: ClassVar[float] = 5e-3
    WEIGHT_DECAY: ClassVar[float] = 1e-5

    kind: Literal["nequip"] = "nequip"
    channels: PositiveInt = 16
    l_max: Annotated[int, Field(ge=0, le=11)] = 2
    num_basis: PositiveInt = 8
    num_interactions: PositiveInt = 3
    radial_hidden: tuple[PositiveInt, ...] = (64, 64)
    envelope_exponent: PositiveInt = 6
    num_neighbors: PositiveFloat | None = None
