"""A sampling run as a YAML file."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import Field, ValidationInfo, field_validator

from gnnpot.config.base import Configuration
from gnnpot.config.kinds import Kinds
from gnnpot.engines import Engine, TeacherConfig
from gnnpot.sampling.deformation import DeformationConfig, StrainConfig
from gnnpot.sampling.displacement import NoiseConfig, RattleConfig, ScalingConfig
from gnnpot.sampling.md import MDConfig
from gnnpot.sampling.momt.sampler import MOMTConfig
from gnnpot.sampling.schedule import ramps
from gnnpot.sampling.steered import SteeredConfig
from gnnpot.sampling.structures import FilesConfig, SeveralConfig, StructuresSection
from gnnpot.system.files import text_hash

SamplerConfig = (
    MDConfig
    | MOMTConfig
    | SteeredConfig
    | DeformationConfig
    | StrainConfig
    | RattleConfig
    | NoiseConfig
    | ScalingConfig
)
SAMPLERS = {str(section.model_fields["kind"].default): section for section in get_args(SamplerConfig)}
WITHOUT_FORCES = (StrainConfig, RattleConfig, NoiseConfig, ScalingConfig)


class SampleConfig(Configuration):
    """One sampling run.

    Args:
        structures: Initial structures: files, a crystal (``NiAl:B2``), a molecule, or a list of such.
        sampler: Sampling method with its settings.
        calculator: Source of energy and forces; samplers that only displace atoms need none.
        labels: Whether frames keep the calculator's results as labels for training: ``auto`` keeps those of
            a reference method and drops those of a trained potential.
        seed: Seed of all random numbers.
    """

    structures: StructuresSection
    sampler: Annotated[SamplerConfig, Kinds("sampler")]
    calculator: Engine | None = Field(default=None, validate_default=True)
    labels: Literal["auto", "keep", "drop"] = "auto"
    seed: int = Field(default=0, ge=0)

    @property
    def keeps_labels(self) -> bool:
        """Whether the frames are labeled."""
        if self.labels != "auto":
            return self.labels == "keep"
        return not isinstance(self.calculator, TeacherConfig | None) and not isinstance(
            self.sampler, WITHOUT_FORCES
        )

    def inputs(self) -> dict[str, str]:
        """Hashes of what the run reads: the calculator with its files, and files of structures.

        Raises:
            DataError: A file of structures is not there.
            EngineError: A file of the calculator is not there.
        """
        found = {} if self.calculator is None else {"calculator": text_hash(self.calculator.identity_text())}
        if isinstance(self.structures, FilesConfig | SeveralConfig):
            found["structures"] = self.structures.content_hash()
        return found

    def free(self) -> frozenset[str]:
        """Dynamics at constant temperature may be made longer."""
        is_steady = isinstance(self.sampler, MDConfig) and all(
            ramp.first == ramp.last for ramp in ramps(self.sampler.temperatures)
        )
        return self.FREE | {"sampler.steps"} if is_steady else self.FREE

    @field_validator("calculator")
    @classmethod
    def _forces_where_needed(cls, value: Any, info: ValidationInfo) -> Any:
        sampler = info.data.get("sampler")
        if value is None and sampler is not None and not isinstance(sampler, WITHOUT_FORCES):
            raise ValueError(f"expected a calculator for {sampler.kind}; add the section calculator")
        return value

    @field_validator("labels")
    @classmethod
    def _labels_where_computed(cls, value: str, info: ValidationInfo) -> str:
        sampler = info.data.get("sampler")
        if value == "keep" and isinstance(sampler, WITHOUT_FORCES):
            raise ValueError(
                f"expected labels: drop for {sampler.kind}, which computes none; use gnnpot label"
            )
        return value
