"""Configuration of a training run, composed of the sections beside the classes that they configure."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from ase.data import atomic_numbers
from pydantic import (
    Discriminator,
    Field,
    PositiveFloat,
    SerializeAsAny,
    Tag,
    field_serializer,
    field_validator,
    model_validator,
)

from gnnpot.config.base import Configuration, Section
from gnnpot.config.base import shipped_configs as shipped_configs
from gnnpot.config.kinds import Kinds
from gnnpot.data.files import DataFile, DataFiles
from gnnpot.data.keys import LabelKeys
from gnnpot.data.split import SplitConfig
from gnnpot.models import MODEL_CONFIGS, ModelConfig
from gnnpot.training.config import RESUMABLE, TrainingConfig

_MEMBER = "{member}"


class RepulsionConfig(Section):
    """The short-range repulsion.

    Args:
        reach: Distance at which it ends, in units of the sum of two covalent radii.
    """

    reach: PositiveFloat = 0.8


class SeedsConfig(Section):
    """Seeds of their own in place of ``seed``.

    Args:
        weights: Seed of the weights before training.
        split: Seed of the split into training and validation.
        order: Seed of the order of the structures.
    """

    weights: int | None = None
    split: int | None = None
    order: int | None = None


MOST_MEMBERS = 1000


class MembersConfig(Section):
    """A committee, trained as one run.

    Args:
        count: Number of members.
        vary: What differs between the members; each has a seed of its own for it.
        split: ``random``: each member draws its own split; ``same``: all share one; ``inherited``: structures
            of ``validation.inherit`` stay where they were, and each member distributes only new ones.
    """

    count: int
    vary: tuple[Literal["weights", "split", "order"], ...] = ("weights", "split")
    split: Literal["random", "inherited", "same"] = "random"

    @field_validator("count")
    @classmethod
    def _several(cls, value: int) -> int:
        if value < 2:
            raise ValueError(f"expected two members or more, got {value}; leave members out for one")
        if value > MOST_MEMBERS:
            raise ValueError(f"expected at most {MOST_MEMBERS} members, got {value}; give fewer")
        return value

    @model_validator(mode="after")
    def _differ(self) -> Self:
        if self.split == "same" and "split" in self.vary and "vary" in self.model_fields_set:
            raise ValueError("expected vary without split where all share one split; change split or vary")
        if not self.varied:
            raise ValueError(
                "expected members that differ, got nothing in vary; vary weights, split or order"
            )
        return self

    @property
    def varied(self) -> tuple[str, ...]:
        """What differs between the members."""
        return tuple(name for name in self.vary if not (name == "split" and self.split == "same"))

    @field_serializer("vary")
    def _as_list(self, value: tuple[str, ...]) -> list[str]:
        return list(value)


def _split_or_files(value: Any) -> str:
    """Whether a section says how to split, or which files there are."""
    if isinstance(value, SplitConfig) or (isinstance(value, dict) and "path" not in value):
        return "a split"
    return "of files"


_SplitOrFiles = Annotated[
    Annotated[SplitConfig, Tag("a split")] | Annotated[DataFiles, Tag("of files")],
    Discriminator(_split_or_files),
]


class RunConfig(Configuration):
    """One training run.

    Files are paths, ``{path: …, keys: …}`` where labels are under keys of their own, or a list of both;
    ``data.xyz@::4`` takes some frames of a file, and ``gnnpot:NAME`` comes with the package.

    Args:
        model: Kind and hyperparameters of the model.
        training: Loss, optimizer, budget.
        train: Files of labeled structures.
        validation: Files, or how to take a part of the training structures.
        test: Files that are only evaluated, in the end, or how to take a part of the training structures.
        keys: Under which keys and in which units the labels are, but for files with keys of their own.
        reference_energies: Energies of free atoms (eV) by symbol; the others are found from the data.
        scale: Unit of the model's output (eV); the root mean square of the forces if not given.
        repulsion: Short-range repulsion, or null.
        seed: Seed of the weights, the split and the order of the structures.
        seeds: Seeds of their own for some of these.
        members: A committee in place of one potential.
        start: File of a potential of the same model whose weights, reference energies and scale the training
            starts from; ``{member}`` in it, and in ``validation.inherit``, is the number of the member.
    """

    FREE: ClassVar = frozenset(  # where files of data are, for what they hold is compared, and the budget
        ["train", "validation.[0-9]*", "test"]
        + [f"{section}.{name}" for section in ("training", "stages.*") for name in RESUMABLE]
    )

    model: Annotated[SerializeAsAny[ModelConfig], Kinds("model", known=MODEL_CONFIGS.items)]
    training: TrainingConfig = TrainingConfig()
    train: DataFiles
    validation: _SplitOrFiles = SplitConfig()
    test: _SplitOrFiles = ()
    keys: LabelKeys = LabelKeys()
    reference_energies: dict[str, float] = Field(default_factory=dict)
    scale: PositiveFloat | None = None
    repulsion: RepulsionConfig | None = RepulsionConfig()
    seed: int = 0
    seeds: SeedsConfig = SeedsConfig()
    members: MembersConfig | None = None
    start: str | None = None

    @field_validator("seed", mode="before")
    @classmethod
    def _one_seed(cls, value: Any) -> Any:
        if isinstance(value, list | tuple):
            raise ValueError(
                f"expected one seed, got {list(value)}; for a committee set members.count={len(value)}"
            )
        return value

    @field_validator("reference_energies")
    @classmethod
    def _of_elements(cls, value: dict[str, float]) -> dict[str, float]:
        for symbol in value:
            if symbol not in atomic_numbers or symbol == "X":
                raise ValueError(f"expected symbols of elements, got {symbol!r}; mend it")
        return value

    @model_validator(mode="after")
    def _members_fit(self) -> Self:
        if self.members is None:
            return self
        if self.training.devices * self.training.num_nodes > 1:
            raise ValueError("expected one process for each member, got several devices; use --jobs")
        inherits = isinstance(self.validation, SplitConfig) and self.validation.inherit is not None
        if self.members.split == "inherited" and not inherits:
            raise ValueError(
                "expected validation.inherit for members.split: inherited, got none; name a splits.json"
            )
        is_asked = "vary" in self.members.model_fields_set and "split" in self.members.varied
        if is_asked and not isinstance(self.validation, SplitConfig):
            raise ValueError("expected a split to vary, got files for validation; take split out of vary")
        return self

    def seed_of(self, what: Literal["weights", "split", "order"]) -> int:
        """The seed of one thing that is random."""
        own = getattr(self.seeds, what)
        return self.seed if own is None else int(own)

    def member(self, number: int) -> RunConfig:
        """The run of one member of the committee, counted from 0."""
        assert self.members is not None
        seeds = {
            what: self.seed_of(what) + (number if what in self.members.varied else 0)  # type: ignore[arg-type]
            for what in SeedsConfig.model_fields
        }
        changes: dict[str, Any] = {"members": None, "seeds": SeedsConfig(**seeds)}
        if self.start is not None:
            changes["start"] = self.start.replace(_MEMBER, str(number))
        if isinstance(self.validation, SplitConfig) and self.validation.inherit is not None:
            inherit = self.validation.inherit.replace(_MEMBER, str(number))
            changes["validation"] = self.validation.model_copy(update={"inherit": inherit})
        return self.model_copy(update=changes)

    @field_serializer("train", "validation", "test")
    def _as_list(self, value: Any) -> Any:
        return list(value) if isinstance(value, tuple) else value

    @property
    def validation_files(self) -> tuple[DataFile, ...]:
        """The files of the validation structures; none where they are a part of the training files."""
        return self.validation if isinstance(self.validation, tuple) else ()

    @property
    def test_files(self) -> tuple[DataFile, ...]:
        """The files of the test structures; none where they are a part of the training files."""
        return self.test if isinstance(self.test, tuple) else ()

    @property
    def trained_labels(self) -> tuple[str, ...]:
        """The labels that are trained on."""
        return self.training.loss.labels
