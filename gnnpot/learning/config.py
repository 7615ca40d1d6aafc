"""An active-learning loop as a YAML file."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from gnnpot.config.base import Configuration, Section
from gnnpot.config.durations import WallTime
from gnnpot.config.kinds import Kinds
from gnnpot.engines import Engine
from gnnpot.learning.labeling import LabelingConfig
from gnnpot.learning.potential_config import PotentialConfig
from gnnpot.learning.score_config import ScoreConfig
from gnnpot.learning.selectors import AboveConfig, FirstConfig, Selectors
from gnnpot.properties.targets import TargetsConfig
from gnnpot.sampling.config import SamplerConfig
from gnnpot.sampling.displacement import NoiseConfig
from gnnpot.sampling.steered import SteeredConfig
from gnnpot.sampling.structures import StructuresSection
from gnnpot.training.config import RESUMABLE
from gnnpot.training.run_config import MembersConfig
from gnnpot.transferring.config import ElementChange

Sampler = Annotated[SamplerConfig, Kinds("sampler")]


class InitialConfig(Section):
    """The first structures, which the reference method labels.

    Args:
        sampler: Sampling method; dynamics run on the reference method itself unless there is a calculator.
        structures: Where it starts; by default where the loop does.
        calculator: A cheaper source of forces for dynamics.
        size: At most so many frames, evenly spaced.
    """

    sampler: Sampler
    structures: StructuresSection | None = None
    calculator: Engine | None = None
    size: PositiveInt = 200


class LaterConfig(Section):
    """How rounds after the first train.

    Args:
        start: From ``scratch``, ``warm`` (each member from its own weights of the round before), or anew from
            the ``source``; by default from the source if there is one, else from scratch.
        training: Values in place of those of ``potential.training``, e.g. ``{max_steps: 500}``.
    """

    start: Literal["scratch", "warm", "source"] | None = None
    training: dict[str, Any] = Field(default={})


class WorkConfig(Section):
    """The largest work of a steered run, in the mean over seeds; the same seeds in every round.

    Args:
        seeds: Number of runs.
        sampler: The steered run; by default that of the loop, to its end.
        tolerance: Mean change of the work from one round to the next, seed by seed, that counts as none (eV).
        rounds: Number of rounds without a change after which the loop has converged.
        reference: Whether the reference method does the same runs once, to compare.
    """

    kind: Literal["work"] = "work"
    seeds: PositiveInt = 2
    sampler: SteeredConfig | None = None
    tolerance: PositiveFloat = 0.043
    rounds: PositiveInt = 2
    reference: bool = False


class GoalConfig(TargetsConfig):
    """Properties whose deviation from their values ends a loop once it is small.

    Args:
        of: ``properties`` for all with values, one of them, or one of its quantities.
        deviation: Mean deviation that is small enough (%); of ``of: certificate`` the number of failed checks
            and a hundredth for each warning.
    """

    of: str = "properties"
    deviation: PositiveFloat = 5.0

    @model_validator(mode="after")
    def _has_values(self) -> Self:
        self.names(self.of)
        return self


class StopConfig(Section):
    """When a loop ends before its last round.

    Args:
        labels: Budget of labels, failures included.
        hours: Budget of time (s, or as ``8h``).
        spread: Largest score of any sampled frame below which nothing is left to learn (eV or eV/Å).
        bad_rounds: Number of bad rounds one after another.
        properties: Properties of the committee that are good enough.
    """

    labels: PositiveInt | None = None
    hours: WallTime | None = None
    spread: PositiveFloat | None = None
    bad_rounds: PositiveInt = 3
    properties: GoalConfig | None = None


class LearnConfig(ElementChange, Configuration):
    """An active-learning loop.

    Args:
        source: Potential of other elements to start from, a model file or the folder of a training: the first
            structures are sampled on it, carried to the elements of the structures, and no label is needed.
        map: Origin of each element, as ``{Ge: Si}`` or ``Ge=Si``.
        lattice_scale: What lengths of the source are multiplied by: a number, or the lattice constants
            [target, source].
        structures: Where sampling starts in each round: files, a crystal, or a molecule.
        sampler: Sampling method, on the committee of the round before.
        labeling: Reference method.
        initial: How the first training structures come about; not needed with ``potential.train``, and by
            default 20 frames of the loop's sampler on the source.
        potential: Model (that of the source, if there is one), training, validation as in a training run, and
            labeled files, if there are any.
        members: The committee.
        later: How rounds after the first train.
        score: The number by which frames are chosen.
        select: Selection rules, one after another.
        noise: Displaced copies of selected structures.
        converge: Quantity by whose convergence the loop ends.
        rounds: Largest number of rounds after the first training.
        stop: Criteria that end the loop.
        seed: Seed of sampling and selection.
    """

    FREE: ClassVar = frozenset(
        ["rounds", "stop", "labeling.running", "labeling.time_limit", "converge.tolerance", "converge.rounds"]
        + [f"potential.training.{name}" for name in RESUMABLE if name not in ("max_epochs", "max_steps")]
    )

    source: str | None = None
    structures: StructuresSection
    sampler: Sampler
    labeling: LabelingConfig
    initial: InitialConfig | None = None
    potential: PotentialConfig
    members: MembersConfig = MembersConfig(count=4, split="inherited")
    later: LaterConfig = LaterConfig()
    score: ScoreConfig = ScoreConfig()
    select: Selectors = (AboveConfig(), FirstConfig(size=50))
    noise: NoiseConfig | None = None
    converge: WorkConfig | None = None
    rounds: NonNegativeInt = 10
    stop: StopConfig = StopConfig()
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.source is None and (self.map or self.lattice_scale or self.later.start == "source"):
            raise ValueError(
                "expected a source for map, lattice_scale or later.start: source, got none; add it"
            )
        if self.initial is None and self.source is None and not self.potential.labeled_files:
            raise ValueError(
                "expected initial, source or potential.train to train on first, got none; add one"
            )
        if self.source is not None and not {"split", "order"} & set(self.members.vary):
            raise ValueError(
                "expected members that vary in split or order, as weights are the source's; add one"
            )
        if self.later.start == "warm" and self.members.split != "inherited":
            raise ValueError(
                f"expected members.split: inherited for a warm start, got {self.members.split}: a split that "
                "is drawn anew validates on structures that the weights were trained on"
            )
        if self.converge is not None and self.work_sampler is None:
            raise ValueError("expected a steered sampler for converge: work, got none; give converge.sampler")
        PotentialConfig.model_validate({**self.potential.written(), "training": self.later_training})
        return self

    @classmethod
    def from_dict(cls, values: dict[str, Any], *, source: str) -> Self:
        """Check a configuration; the model is filled in from the potential to start from."""
        if isinstance(given := values.get("source"), str):
            from gnnpot.learning.source import with_model_of  # torch, which wrong keys need not wait for

            change, potential = (
                ElementChange.from_values(values, source=source),
                values.get("potential") or {},
            )
            if isinstance(potential, dict):
                values = {**values, "potential": with_model_of(given, potential, change)}
        return super().from_dict(values, source=source)

    @property
    def first(self) -> InitialConfig | None:
        """How the first training structures come about."""
        if self.initial is None and self.source is not None and not self.potential.labeled_files:
            update = {"stop_when": None} if hasattr(self.sampler, "stop_when") else {}
            return InitialConfig(sampler=self.sampler.model_copy(update=update), size=20)
        return self.initial

    @property
    def later_start(self) -> Literal["scratch", "warm", "source"]:
        """What weights of later rounds start from."""
        return self.later.start or ("scratch" if self.source is None else "source")

    @property
    def later_training(self) -> dict[str, Any]:
        """Values of the training section of later rounds."""
        return {**self.potential.training.model_dump(mode="json"), **self.later.training}

    @property
    def work_sampler(self) -> SteeredConfig | None:
        """The steered run that measures the work."""
        given = None if self.converge is None else self.converge.sampler
        found = given or (self.sampler if isinstance(self.sampler, SteeredConfig) else None)
        return None if found is None else found.model_copy(update={"stop_when": None, "repetitions": 1})
