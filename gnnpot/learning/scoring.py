"""What is known of structures before they are labeled: spreads of a committee, features of a potential."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from ase import Atoms
from jaxtyping import Float

from gnnpot.data.dataset import GraphDataset
from gnnpot.data.store import GraphStore
from gnnpot.evaluation.evaluation import BATCH_ATOMS
from gnnpot.graph.graph import AtomicGraph
from gnnpot.learning import selection
from gnnpot.learning.score_config import ScoreConfig
from gnnpot.models.hidden import hidden_features
from gnnpot.potential.committee import Committee, mean_prediction, spread_of
from gnnpot.potential.potential import Potential, Prediction
from gnnpot.sampling.spread import SPREADS, Moments, put_spreads, spread_in

Array = np.ndarray


@dataclass
class Candidates:
    """Structures to choose from, in the order in which they came.

    Attributes:
        frames: The structures, which carry their spreads and their energies.
        scores: Of each.
        energies: Mean of the committee for each (eV); NaN where a frame carries none.
        committee: Whose first member gives the features.
        training: Scores of the training structures, for thresholds relative to them; None if not needed.
        labeled: The structures that are labeled already, if there are any.
    """

    frames: Sequence[Atoms]
    scores: Float[Array, "S"]
    energies: Float[Array, "S"]
    committee: Committee
    training: Float[Array, "T"] | None = None
    labeled: GraphDataset | None = None
    _features: list[Array] | None = None
    _unit: float = 1.0  # of features

    def atomic_features(self) -> list[Float[Array, "N F"]]:
        """Features of the atoms of each structure, computed once."""
        if self._features is None:
            potential = self.committee.potentials[0]
            found = _hidden(potential, _batches(potential, self.frames))
            self._unit = _scale(found)
            self._features = [values / self._unit for values in found]
        return self._features

    def features(self) -> Float[Array, "S F"]:
        """Features of each structure: the mean over its atoms."""
        return selection.means(self.atomic_features())

    def labeled_features(self) -> list[Float[Array, "N F"]]:
        """Features of the atoms of each labeled structure, in the same units."""
        if self.labeled is None:
            return []
        self.atomic_features()  # which say the unit
        found = _hidden(self.committee.potentials[0], self.labeled.batches(BATCH_ATOMS))
        return [values / self._unit for values in found]

    def part(self, places: Sequence[int]) -> Candidates:
        """Some of them; features that are known go along."""
        chosen = np.asarray(places, dtype=int)
        return replace(
            self,
            frames=[self.frames[place] for place in places],
            scores=self.scores[chosen],
            energies=self.energies[chosen],
            _features=self._features and [self._features[place] for place in places],
        )


def candidates_of(frames: Sequence[Atoms], committee: Committee, config: ScoreConfig) -> Candidates:
    """Score structures; those that carry the spread of the step that made them are not computed again.

    Args:
        frames: Of a sampler; those without a spread get one, and their energy, in place.
        committee: Scores what carries no spread.
        config: How.
    """
    lacking = [frame for frame in frames if not _is_scored(frame)]
    for frame, results in zip(lacking, committee_results(committee, lacking), strict=True):
        put_spreads(frame, results)
        frame.info["committee_energy"] = results["energy"]
    scores = [spread_in({**frame.arrays, **frame.info}, config.of, config.atoms).score for frame in frames]
    return Candidates(frames, np.array(scores), np.array([_energy(frame) for frame in frames]), committee)


def committee_results(committee: Committee, frames: Sequence[Atoms]) -> Iterator[dict[str, Array | float]]:
    """Mean energy (eV) and spreads of each structure, under the names of the calculator's results."""
    for graph in _batches(committee, frames):
        with torch.no_grad():
            members = committee.predictions(graph)
        energies = mean_prediction(members).energy.tolist()
        for energy, spreads in zip(energies, _spreads(members, graph), strict=True):
            yield {"energy": energy, **spreads}


class ScoringCommittee(Committee):
    """A committee that scores each structure of the batches that it predicts.

    Args:
        potentials: The members.
        config: The score.
    """

    def __init__(self, potentials: Sequence[Potential], config: ScoreConfig) -> None:
        super().__init__(potentials)
        self.config = config
        self.scores: list[float] = []
        self.energies: list[float] = []  # means of the members, per atom (eV)

    def predictions(self, graph: AtomicGraph) -> list[Prediction]:
        """Predictions of the members, from which the scores of the batch follow."""
        members = super().predictions(graph)
        self.energies += (mean_prediction(members).energy / graph.num_atoms).tolist()
        for found in _spreads(members, graph):
            self.scores.append(spread_in(found, self.config.of, self.config.atoms).score)
        return members


def scores_of_graphs(committee: Committee, dataset: GraphDataset, config: ScoreConfig) -> Float[Array, "S"]:
    """Scores of structures whose graphs are there, with edges up to the committee's cutoff."""
    if not isinstance(committee, ScoringCommittee):
        committee = ScoringCommittee(committee.potentials, config)
    with torch.no_grad():
        for graph in dataset.batches(BATCH_ATOMS):
            committee.predictions(graph)
    return np.array(committee.scores)


def atomic_features(potential: Potential, frames: Sequence[Atoms]) -> list[Float[Array, "N F"]]:
    """Last hidden layer of a potential for all atoms of each structure, scaled to variances of order one."""
    found = _hidden(potential, _batches(potential, frames))
    scale = _scale(found)
    return [values / scale for values in found]


def window_moments(candidates: Candidates, window: int) -> Moments:
    """Mean and deviation of the scores of the first ``window`` frames of each run."""
    seen: dict[int, int] = {}
    moments = Moments()
    for frame, score in zip(candidates.frames, candidates.scores, strict=True):
        run = int(frame.info.get("run", 0))
        seen[run] = seen.get(run, 0) + 1
        if seen[run] <= window:
            moments.add(float(score))
    return moments


def _hidden(potential: Potential, graphs: Iterable[AtomicGraph]) -> list[Float[Array, "N F"]]:
    found = list[Array]()
    for graph in graphs:
        with torch.no_grad():
            values = hidden_features(potential.model, graph).double().numpy()
        found += np.split(values, np.cumsum(graph.num_atoms.numpy())[:-1])
    return found


def _scale(features: Sequence[Float[Array, "N F"]]) -> float:
    return float(np.concatenate(features).std() or 1.0) if features else 1.0


def _spreads(members: Sequence[Prediction], graph: AtomicGraph) -> Iterator[dict[str, Array | float]]:
    """Spreads of each structure of a batch, under the names of the calculator's results."""
    energy, forces, atomic_energies = (
        values.detach().cpu().double().numpy() for values in spread_of(members)
    )
    ends = np.cumsum(graph.num_atoms.cpu().numpy())
    for place, (first, last) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
        yield {
            SPREADS["energy"]: float(energy[place]),
            SPREADS["energies"]: atomic_energies[first:last],
            SPREADS["forces"]: forces[first:last],
        }


def _batches(model: Committee | Potential, frames: Sequence[Atoms]) -> Iterator[AtomicGraph]:
    if frames:
        store = GraphStore.in_memory(frames, model.cutoff)
        yield from GraphDataset(store, range(len(store)), dtype=model.dtype, labels=()).batches(BATCH_ATOMS)


def _is_scored(frame: Atoms) -> bool:
    return all(name in frame.info or name in frame.arrays for name in SPREADS.values())


def _energy(frame: Atoms) -> float:
    """Energy by the committee, among the results of a calculator or as a file has kept it; NaN without."""
    results = {} if frame.calc is None else frame.calc.results
    found = {**frame.info, **results}
    return float(found.get("energy", found.get("committee_energy", np.nan)))
