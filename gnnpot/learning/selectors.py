"""Selection in a configuration: rules that are applied one after another, each to what the last one left."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from jaxtyping import Int
from pydantic import Field, PositiveFloat, PositiveInt

from gnnpot.config.base import Section
from gnnpot.config.kinds import Kinds
from gnnpot.errors import DataError
from gnnpot.learning import selection
from gnnpot.sampling.spread import Bound, Moments, threshold

if TYPE_CHECKING:
    from gnnpot.learning.scoring import Candidates

Array = np.ndarray


class AboveConfig(Section):
    """Structures with a score over a bound.

    Args:
        spread: A number (unit of the score), or ``mu+3sigma``: relative to a reference.
        reference: The ``window`` of first frames of each run, or the ``training`` structures.
        window: Number of frames of each run in the reference.
    """

    kind: Literal["above"] = "above"
    spread: Bound = "mu+3sigma"
    reference: Literal["window", "training"] = "window"
    window: PositiveInt = 100

    def bound(self, candidates: Candidates) -> float:
        """The bound as a number."""
        if self.reference == "training" and candidates.training is not None:
            return threshold(self.spread, Moments.of(candidates.training))
        from gnnpot.learning.scoring import window_moments  # torch, which wrong keys need not wait for

        return threshold(self.spread, window_moments(candidates, self.window))

    def choose(self, candidates: Candidates, rng: np.random.Generator) -> Int[Array, "K"]:
        """Indices of those that stay."""
        return selection.above(candidates.scores, self.bound(candidates))


class SizedConfig(Section):
    """A number of structures.

    Args:
        size: At most so many.
    """

    size: PositiveInt


class HighestConfig(SizedConfig):
    """Structures with the highest scores."""

    kind: Literal["highest"] = "highest"

    def choose(self, candidates: Candidates, rng: np.random.Generator) -> Int[Array, "K"]:
        """Indices of those that stay."""
        return selection.highest(candidates.scores, _no_features(candidates), self.size)


class FirstConfig(SizedConfig):
    """The first structures in time, as in the paper's cap of a round."""

    kind: Literal["first"] = "first"

    def choose(self, candidates: Candidates, rng: np.random.Generator) -> Int[Array, "K"]:
        """Indices of those that stay."""
        return np.arange(min(self.size, len(candidates.frames)))


class EvenlyConfig(SizedConfig):
    """Structures evenly spaced in time."""

    kind: Literal["evenly"] = "evenly"

    def choose(self, candidates: Candidates, rng: np.random.Generator) -> Int[Array, "K"]:
        """Indices of those that stay."""
        return selection.evenly(candidates.scores, _no_features(candidates), self.size)


class RandomConfig(SizedConfig):
    """Structures at random."""

    kind: Literal["random"] = "random"

    def choose(self, candidates: Candidates, rng: np.random.Generator) -> Int[Array, "K"]:
        """Indices of those that stay."""
        seed = int(rng.integers(2**31))
        return selection.at_random(candidates.scores, _no_features(candidates), self.size, seed=seed)


class FarthestConfig(SizedConfig):
    """Structures far from all labeled ones and from each other in the space of the last hidden layer.

    Args:
        size: At most so many.
        features: Whether structures are placed by the ``mean`` of their atoms' features, or count by the most
            unusual of their ``atoms``.
    """

    kind: Literal["farthest"] = "farthest"
    features: Literal["mean", "atoms"] = "mean"

    def choose(self, candidates: Candidates, rng: np.random.Generator) -> Int[Array, "K"]:
        """Indices of those that stay."""
        scores, labeled = candidates.scores, candidates.labeled_features()
        if self.features == "atoms":
            known = np.concatenate(labeled) if labeled else None
            return selection.farthest_by_atoms(scores, candidates.atomic_features(), self.size, known=known)
        known = selection.means(labeled) if labeled else None
        return selection.farthest(scores, candidates.features(), self.size, known=known)


class ClustersConfig(SizedConfig):
    """The structure with the highest score in each of so many clusters of features."""

    kind: Literal["clusters"] = "clusters"

    def choose(self, candidates: Candidates, rng: np.random.Generator) -> Int[Array, "K"]:
        """Indices of those that stay."""
        rule = partial(selection.clustered, seed=int(rng.integers(2**31)))
        return rule(candidates.scores, candidates.features(), self.size)


class DistinctConfig(Section):
    """Structures whose features keep a distance from those of all kept before.

    Args:
        distance: Least distance, in standard deviations of the features.
    """

    kind: Literal["distinct"] = "distinct"
    distance: PositiveFloat

    def choose(self, candidates: Candidates, rng: np.random.Generator) -> Int[Array, "K"]:
        """Indices of those that stay."""
        return selection.distinct(candidates.features(), self.distance)


class ScreeningConfig(Section):
    """Frames that differ from the last kept frame of their run in a coordinate and in energy.

    Args:
        along: Name of the coordinate in the ``info`` of frames.
        coordinate: Least change of the coordinate.
        energy: Least change of the energy (eV); by default 1 kcal/mol.
    """

    kind: Literal["screening"] = "screening"
    along: str = "spring_distance"
    coordinate: PositiveFloat = 0.01
    energy: PositiveFloat = 0.0434

    def choose(self, candidates: Candidates, rng: np.random.Generator) -> Int[Array, "K"]:
        """Indices of those that stay.

        Raises:
            DataError: Frames do not carry the coordinate or an energy.
        """
        frames = candidates.frames
        runs = np.array([int(frame.info.get("run", 0)) for frame in frames], dtype=int)
        if lacking := [frame for frame in frames if self.along not in frame.info]:
            there = ", ".join(sorted(lacking[0].info)) or "nothing"
            raise DataError(f"expected {self.along} in the info of frames, got {there}; mend screening.along")
        if np.isnan(candidates.energies).any():
            raise DataError(
                "expected an energy of each frame to screen by, got frames without; drop screening"
            )
        values = np.array([float(frame.info[self.along]) for frame in frames])
        kept = list[int]()
        for run in np.unique(runs):
            own = np.flatnonzero(runs == run)
            places = selection.screened(
                values[own], candidates.energies[own], coordinate=self.coordinate, energy=self.energy
            )
            kept += own[places].tolist()
        return np.array(sorted(kept), dtype=int)


SelectorConfig = (
    AboveConfig
    | HighestConfig
    | FirstConfig
    | EvenlyConfig
    | RandomConfig
    | FarthestConfig
    | ClustersConfig
    | DistinctConfig
    | ScreeningConfig
)
Selectors = Annotated[tuple[Annotated[SelectorConfig, Kinds("selection rule")], ...], Field(min_length=1)]


def chosen(
    rules: Sequence[SelectorConfig],
    candidates: Candidates,
    rng: np.random.Generator,
    *,
    tell: Callable[[str], None] = lambda text: None,
) -> list[int]:
    """Indices of the structures that all rules leave, ascending.

    Args:
        rules: Applied one after another.
        candidates: Structures to choose from.
        rng: Generator of the rules that draw.
        tell: Told after each rule how many it left.
    """
    places = list(range(len(candidates.frames)))
    for rule in rules:
        if not places:
            break
        part = candidates.part(places)
        before = len(places)
        places = [places[index] for index in rule.choose(part, rng).tolist()]
        bound = ""
        if isinstance(rule, AboveConfig):
            bound = f" {rule.spread} = {rule.bound(part):.4g}, the largest is {part.scores.max():.4g}"
        tell(f"{rule.kind}{bound}: {len(places)} of {before}")
    return places


def _no_features(candidates: Candidates) -> Array:
    """In place of features, for rules that ignore them."""
    return np.empty((len(candidates.frames), 0))
