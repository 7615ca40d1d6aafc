"""The distillation of a pool as a YAML file."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

from ase.data import atomic_numbers
from pydantic import Field, PositiveFloat, PositiveInt, field_serializer, field_validator, model_validator

from gnnpot.config.base import Configuration, Paths
from gnnpot.data.files import DataFiles
from gnnpot.data.keys import LabelKeys
from gnnpot.engines.imported import TeacherConfig
from gnnpot.learning.labeling import LabelingConfig
from gnnpot.learning.potential_config import PotentialConfig
from gnnpot.learning.score_config import ScoreConfig
from gnnpot.training.config import TrainingConfig
from gnnpot.training.run_config import MembersConfig
from gnnpot.transferring.config import ElementChange

RuleName = Literal["spread", "farthest", "grid", "random"]


class TranslateConfig(ElementChange):
    """The distilled set of one material turned into that of another: renamed, scaled, labeled, trained on.

    Args:
        map: Element of the pool in whose place each element comes, as ``{Al: Ni}`` or ``Al=Ni``.
        labeling: Reference method of the other material.
        training: Values in place of those of ``potential.training``, e.g. ``{max_steps: 8000}``, for the one
            training there; the model is that of the distillation with its lengths scaled, too.
    """

    labeling: LabelingConfig
    training: dict[str, Any] = Field(default={})

    @field_validator("map")
    @classmethod
    def _one_for_one(cls, value: dict[str, str]) -> dict[str, str]:
        symbols = [*value, *value.values()]
        if (
            not value
            or any(name not in atomic_numbers for name in symbols)
            or len({*value.values()}) < len(value)
        ):
            raise ValueError("expected an element of the pool for each new one, as {Al: Ni}; mend map")
        return value

    @property
    def names(self) -> dict[str, str]:
        """New symbol by that of the pool."""
        return {old: new for new, old in self.map.items()}


class DistillConfig(Configuration):
    """The growth of a small set out of a large one.

    A pool without labels needs ``labeling``, which labels what is chosen, or a ``teacher``, which labels it
    all; the labels that it may have are then left aside, but for a comparison with the teacher's student.

    Args:
        pool: Files of structures, labeled ones without ``labeling`` and ``teacher``.
        keys: Under which keys and in which units the labels are.
        labeling: Reference method that labels the chosen structures.
        teacher: Model file, or folder of a training of one potential or a committee, which labels the pool:
            what is trained is its student.
        potential: Model, training and validation, as in a training run; ``potential.test`` judges where the
            pool has no labels.
        members: The committee; its mean is judged on the whole pool.  Null trains one potential.
        start: Number of structures of the first set, drawn at random.
        fraction: Share of the pool that the last set has.
        rounds: Number of times that the set grows.
        rule: Which structures are added: those with the highest ``spread`` of the committee, the ``farthest``
            in the space of its last hidden layer, evenly over a ``grid`` of energy and volume per atom, or
            ``random`` ones.
        compare: Other rules, grown from the same first set to the same sizes, for the same figure.
        score: The spread by which structures are added.
        target: Mean absolute error of the energy at which growing ends (meV/atom).
        translate: The set for another material; it may be added when the set is there.
        seed: Seed of the first set and of what is drawn later.
    """

    FREE: ClassVar = frozenset(
        ["compare", "pool", "target", "translate", "labeling.running", "labeling.time_limit"]
    )

    pool: DataFiles = Field(min_length=1)
    keys: LabelKeys = LabelKeys()
    labeling: LabelingConfig | None = None
    teacher: Paths | None = None
    potential: PotentialConfig
    members: MembersConfig | None = MembersConfig(count=5)
    start: PositiveInt = 20
    fraction: float = Field(default=0.05, gt=0, le=1)
    rounds: PositiveInt = 10
    rule: RuleName = "spread"
    compare: tuple[RuleName, ...] = ("random",)
    score: ScoreConfig = ScoreConfig()
    target: PositiveFloat | None = None
    translate: TranslateConfig | None = None
    seed: int = Field(default=0, ge=0)

    @field_validator("potential")
    @classmethod
    def _from_the_pool(cls, value: PotentialConfig) -> PotentialConfig:
        if value.labeled_files:
            raise ValueError("expected no train in potential, whose structures come from the pool; remove it")
        return value

    @field_validator("members")
    @classmethod
    def _splits_of_their_own(cls, value: MembersConfig | None) -> MembersConfig | None:
        if value is not None and value.split == "inherited":
            raise ValueError("expected members.split: random or same, got inherited; choose one")
        return value

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.labeling is not None and self.teacher is not None:
            raise ValueError("expected labeling or teacher, got both; remove one")
        if self.members is None and (self.labeling is not None or "spread" in self.rules):
            raise ValueError("expected members for the spread of a committee, got none; give members.count")
        if self.translate is not None:
            self.translated_training(self.translate)
        return self

    @field_serializer("pool", "compare", "teacher")
    def _as_list(self, value: Any) -> Any:
        return value if value is None else list(value)

    def translated_training(self, change: TranslateConfig) -> TrainingConfig:
        """The training section for another material."""
        training = self.potential.training
        return type(training).model_validate({**training.model_dump(mode="json"), **change.training})

    @property
    def teacher_labeling(self) -> LabelingConfig | None:
        """The teacher as a reference method."""
        return None if self.teacher is None else LabelingConfig(method=TeacherConfig(model=self.teacher))

    @property
    def rules(self) -> tuple[RuleName, ...]:
        """The rule, and those to compare with."""
        return tuple(dict.fromkeys((self.rule, *self.compare)))

    def sizes(self, num_pool: int) -> list[int]:
        """Number of structures of the first set and after each round."""
        last = max(round(self.fraction * num_pool), self.start)
        step = (last - self.start) / self.rounds
        return sorted({self.start + round(step * number) for number in range(self.rounds + 1)})
