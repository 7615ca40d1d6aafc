"""Configuration of a training run, composed of the sections beside the classes that they configure."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from ase.data import atomic_numbers
from pydantic import (
    Discriminator,
    Field,
    PositiveFloat,
    SerializeAsAny,
    Tag,
    field_serializer,
    field_validator,
)

from gnnpot.config.base import Configuration, Section
from gnnpot.config.base import shipped_configs as shipped_configs
from gnnpot.config.kinds import Kinds
from gnnpot.data.files import DataFile, DataFiles
from gnnpot.data.keys import LabelKeys
from gnnpot.data.split import SplitConfig
from gnnpot.models import MODEL_CONFIGS, ModelConfig
from gnnpot.training.config import RESUMABLE, TrainingConfig


class RepulsionConfig(Section):
    """The short-range repulsion.

    Args:
        reach: Distance at which it ends, in units of the sum of two covalent radii.
    """

    reach: PositiveFloat = 0.8


def _kind_of_validation(value: Any) -> str:
    """Whether a section says how to split, or which files there are."""
    if isinstance(value, SplitConfig) or (isinstance(value, dict) and "path" not in value):
        return "split"
    return "files"


class RunConfig(Configuration):
    """One training run.

    Files are paths, ``{path: …, keys: …}`` where labels are under keys of their own, or a list of both;
    ``data.xyz@::4`` takes some frames of a file, and ``gnnpot:NAME`` comes with the package.

    Args:
        model: Kind and hyperparameters of the model.
        training: Loss, optimizer, budget.
        train: Files of labeled structures.
        validation: Files, or how to take a part of the training structures.
        test: Files that are only evaluated, in the end.
        keys: Under which keys and in which units the labels are, but for files with keys of their own.
        reference_energies: Energies of free atoms (eV) by symbol; the others are found from the data.
        scale: Unit of the model's output (eV); the root mean square of the forces if not given.
        repulsion: Short-range repulsion, or null.
        seed: Seed of the weights, the split and the order of the structures.
    """

    FREE: ClassVar = frozenset(  # where files of data are, for what they hold is compared, and the budget
        ["train", "validation.[0-9]*", "test"]
        + [f"{section}.{name}" for section in ("training", "stages.*") for name in RESUMABLE]
    )

    model: Annotated[SerializeAsAny[ModelConfig], Kinds("model", known=MODEL_CONFIGS.items)]
    training: TrainingConfig = TrainingConfig()
    train: DataFiles
    validation: Annotated[
        Annotated[SplitConfig, Tag("split")] | Annotated[DataFiles, Tag("files")],
        Discriminator(_kind_of_validation),
    ] = SplitConfig()
    test: DataFiles = ()
    keys: LabelKeys = LabelKeys()
    reference_energies: dict[str, float] = Field(default_factory=dict)
    scale: PositiveFloat | None = None
    repulsion: RepulsionConfig | None = RepulsionConfig()
    seed: int = 0

    @field_validator("seed", mode="before")
    @classmethod
    def _one_seed(cls, value: Any) -> Any:
        if isinstance(value, list | tuple):
            raise ValueError(
                f"expected one seed, got {list(value)}; for a committee train one run a seed, and give "
                "GNNPotCalculator the list of model files"
            )
        return value

    @field_validator("reference_energies")
    @classmethod
    def _of_elements(cls, value: dict[str, float]) -> dict[str, float]:
        for symbol in value:
            if symbol not in atomic_numbers or symbol == "X":
                raise ValueError(f"expected symbols of elements, got {symbol!r}; mend it")
        return value

    @field_serializer("train", "validation", "test")
    def _as_list(self, value: Any) -> Any:
        return list(value) if isinstance(value, tuple) else value

    @property
    def validation_files(self) -> tuple[DataFile, ...]:
        """The files of the validation structures; none where they are a part of the training files."""
        return self.validation if isinstance(self.validation, tuple) else ()

    @property
    def trained_labels(self) -> tuple[str, ...]:
        """The labels that are trained on."""
        return self.training.loss.labels
