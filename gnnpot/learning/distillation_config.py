"""The distillation of a labeled pool as a YAML file."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, PositiveFloat, PositiveInt, field_serializer, field_validator

from gnnpot.config.base import Configuration
from gnnpot.data.files import DataFiles
from gnnpot.data.keys import LabelKeys
from gnnpot.learning.potential_config import PotentialConfig
from gnnpot.learning.scoring import ScoreConfig
from gnnpot.training.run_config import MembersConfig

RuleName = Literal["spread", "farthest", "random"]


class DistillConfig(Configuration):
    """The growth of a small set out of a large labeled one.

    Args:
        pool: Files of labeled structures.
        keys: Under which keys and in which units the labels are.
        potential: Model, training and validation, as in a training run.
        members: The committee; its mean is judged on the whole pool.
        start: Number of structures of the first set, drawn at random.
        fraction: Share of the pool that the last set has.
        rounds: Number of times that the set grows.
        rule: Which structures are added: those with the highest ``spread`` of the committee, the ``farthest``
            in the space of its last hidden layer, or ``random`` ones.
        compare: Other rules, grown from the same first set to the same sizes, for the same figure.
        score: The spread by which structures are added.
        target: Mean absolute error of the energy on the whole pool at which growing ends (meV/atom).
        seed: Seed of the first set and of random growth.
    """

    FREE: ClassVar = frozenset(["compare", "pool", "target", "rounds"])

    pool: DataFiles = Field(min_length=1)
    keys: LabelKeys = LabelKeys()
    potential: PotentialConfig
    members: MembersConfig = MembersConfig(count=5)
    start: PositiveInt = 20
    fraction: float = Field(default=0.05, gt=0, lt=1)
    rounds: PositiveInt = 10
    rule: RuleName = "spread"
    compare: tuple[RuleName, ...] = ("random",)
    score: ScoreConfig = ScoreConfig()
    target: PositiveFloat | None = None
    seed: int = Field(default=0, ge=0)

    @field_validator("potential")
    @classmethod
    def _from_the_pool(cls, value: PotentialConfig) -> PotentialConfig:
        if value.labeled_files:
            raise ValueError("expected no train in potential, whose structures come from the pool; remove it")
        return value

    @field_validator("members")
    @classmethod
    def _splits_of_their_own(cls, value: MembersConfig) -> MembersConfig:
        if value.split == "inherited":
            raise ValueError("expected members.split: random or same, got inherited; choose one")
        return value

    @field_serializer("pool", "compare")
    def _as_list(self, value: Any) -> Any:
        return list(value)

    @property
    def rules(self) -> tuple[RuleName, ...]:
        """The rule, and those to compare with."""
        return tuple(dict.fromkeys((self.rule, *self.compare)))

    def sizes(self, num_pool: int) -> list[int]:
        """Number of structures of the first set and after each round."""
        last = max(round(self.fraction * num_pool), self.start)
        step = (last - self.start) / self.rounds
        return sorted({self.start + round(step * number) for number in range(self.rounds + 1)})
