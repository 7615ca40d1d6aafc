"""The growth of a small set out of a pool by one rule."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from gnnpot.data.reading import read_frames
from gnnpot.data.structure_set import Structures
from gnnpot.errors import DataError
from gnnpot.evaluation.evaluation import Evaluation, evaluate_graphs
from gnnpot.labeling.export import LABELS
from gnnpot.learning.distillation_config import DistillConfig, RuleName
from gnnpot.learning.labeling import label_chosen, write_frames
from gnnpot.learning.pool import STORE, Pool
from gnnpot.learning.scoring import ScoringCommittee, atomic_features, scores_of_graphs
from gnnpot.learning.selection import at_random, farthest, gridded, highest, means
from gnnpot.learning.story import Facts, Round
from gnnpot.potential.committee import Committee, load_model
from gnnpot.system.documents import read_json
from gnnpot.system.files import write_bytes, write_text
from gnnpot.training.fit import Observer
from gnnpot.training.members import MemberProcesses
from gnnpot.training.run import train
from gnnpot.units import meV

_CHOSEN, _SELECTED, _JUDGED = "chosen.json", "selected.xyz", "scores.npz"


class Growth:
    """The growth of a set by one rule.

    Args:
        config: The distillation.
        pool: Structures to choose from.
        output: Folder of the distillation, in which the rule has a folder for its rounds.
        rule: How structures are added.
    """

    def __init__(self, config: DistillConfig, pool: Pool, output: Path, rule: RuleName) -> None:
        self.config, self.pool, self.output, self.rule = config, pool, output, rule
        count = len(pool.frames)
        places = at_random(np.zeros(count), np.empty((count, 0)), config.start, seed=config.seed)
        self.reasons = {int(place): "first set, at random" for place in places}
        self.labeled: dict[int, Atoms] = {}  # of a pool without labels
        self.asked: set[int] = set()

    def grow(self, observer: Observer, *, jobs: MemberProcesses) -> list[Facts]:
        """Train and judge at each size; gives size, share and errors of each.

        Raises:
            DataError: None of the first structures could be labeled.
        """
        curve: list[Facts] = []
        for number, size in enumerate(self.config.sizes(len(self.pool.frames))):
            current = self._round(number)
            if size > len(self.reasons):
                self._add(current, size - len(self.reasons), self._round(number - 1))
            observer.note(f"{self.rule}: {len(self.reasons)} of {len(self.pool.frames)} structures")
            if self.pool.is_bare:
                self._label(current, observer)
            current.once("train", partial(self._train, current, observer, jobs))
            facts = current.once("judge", partial(self._judge, current))
            curve.append({"size": size, "share": size / len(self.pool.frames), **facts})
            target = self.config.target
            if target is not None and facts["energy_mae"] is not None and facts["energy_mae"] <= target:
                break
        return curve

    def distilled(self) -> list[Atoms]:
        """The set with labels, each structure with the reason why it was taken."""
        found = []
        for place, atoms in zip(self.chosen, self._frames(), strict=True):
            frame = atoms.copy()
            frame.calc = atoms.calc
            said = {name: atoms.info[name] for name in ("origin", "group") if atoms.info.get(name)}
            frame.info = {**said, "taken": self.reasons[place]}
            found.append(frame)
        return found

    @property
    def chosen(self) -> list[int]:
        """Places of the set in the pool, ascending; without those that could not be labeled."""
        return sorted(self.labeled if self.pool.is_bare else self.reasons)

    def _round(self, number: int) -> Round:
        """The folder of a round; all rules share the first, which has the same set."""
        return Round(self.output / (self.rule if number else self.config.rule), number)

    def _frames(self) -> list[Atoms]:
        source: Mapping[int, Atoms] | Sequence[Atoms] = (
            self.labeled if self.pool.is_bare else self.pool.frames
        )
        return [source[place] for place in self.chosen]

    def _label(self, current: Round, observer: Observer) -> None:
        """Label what was chosen last."""
        labeling = self.config.labeling
        assert labeling is not None
        new = sorted(set(self.reasons) - self.asked)
        self.asked |= set(new)
        path, folder = current.path / _SELECTED, current.path / "labels"
        write_frames(path, [self.pool.frames[place] for place in new])
        facts = current.once(
            "label", partial(label_chosen, labeling, path, store=str(self.output / STORE), folder=folder)
        )
        for complaint in current.complaints:
            observer.note(f"warning: {self.rule}, round {current.number}: {complaint}")
        if facts["labeled"]:
            for atoms in read_frames([str(folder / LABELS)], needed=()):
                self.labeled[int(atoms.info["place"])] = atoms
        if not self.labeled:
            raise DataError(f"expected labels to train on, got none: {facts['bad']}; mend labeling")

    def _train(self, current: Round, observer: Observer, jobs: MemberProcesses) -> Facts:
        run = self.config.potential.model_copy(update={"members": self.config.members})
        given = Structures(train=self._frames())
        metrics = train(run, current.path, structures=given, resume=True, observer=observer, jobs=jobs)
        return {"best": metrics.get("best", 0)}

    def _judge(self, current: Round) -> Facts:
        """Errors and scores on the whole pool, in one pass; of a bare pool errors on what was held out."""
        model = load_model(current.path)
        judge = (
            ScoringCommittee(model.potentials, self.config.score) if isinstance(model, Committee) else None
        )
        if self.pool.is_bare:
            assert judge is not None
            scores_of_graphs(judge, self.pool.graphs, self.config.score)
            facts = _held_out(read_json(current.path / "metrics.json"))
        else:
            found = evaluate_graphs(judge or model, self.pool.graphs)
            facts = {**_errors(found), "energy_largest": _largest(found)}
            if self.pool.own is not None:
                own = evaluate_graphs(model, self.pool.own)
                facts |= {f"{name}_of_labels": value for name, value in _errors(own).items()}
        buffer = BytesIO()
        if judge is not None:
            np.savez(buffer, scores=np.array(judge.scores), energies=np.array(judge.energies))
        else:
            np.savez(buffer, scores=np.zeros(len(self.pool.frames)), energies=found.energy[1])
        write_bytes(current.path / _JUDGED, buffer.getbuffer())
        return {**facts, "largest_spread": None if judge is None else max(judge.scores)}

    def _add(self, current: Round, count: int, previous: Round) -> None:
        """Choose ``count`` structures by what the round before knows, once, and remember why."""
        path = current.path / _CHOSEN
        current.once("choose", lambda: self._choose(path, count, previous))
        self.reasons |= {int(place): reason for place, reason in json.loads(path.read_text()).items()}

    def _choose(self, path: Path, count: int, previous: Round) -> Facts:
        free = [place for place in range(len(self.pool.frames)) if place not in self.reasons]
        with np.load(previous.path / _JUDGED) as kept:
            scores, energies = kept["scores"], kept["energies"]
        places = self._places(free, scores[free], energies, count, previous)
        unit, number = self.config.score.unit, previous.number + 1
        why = "" if self.config.members is None else ": spread {:.4g} " + unit
        reasons = {
            free[k]: f"round {number}, {self.rule}{why.format(scores[free[k]])}" for k in places.tolist()
        }
        write_text(path, json.dumps(reasons, indent=1) + "\n")
        return {"added": len(reasons)}

    def _places(
        self, free: Sequence[int], scores: np.ndarray, energies: np.ndarray, count: int, previous: Round
    ) -> np.ndarray:
        nothing, seed = np.empty((len(free), 0)), self.config.seed + 1 + previous.number
        if self.rule == "spread":
            return highest(scores, nothing, count)
        if self.rule == "random":
            return at_random(scores, nothing, count, seed=seed)
        known = sorted(self.reasons)
        if self.rule == "grid":
            plane = self.pool.plane(energies)
            return gridded(scores, plane[list(free)], count, known=plane[known], seed=seed)
        model = load_model(previous.path)
        first = model.potentials[0] if isinstance(model, Committee) else model
        features = means(atomic_features(first, self.pool.frames))
        return farthest(scores, features[list(free)], count, known=features[known])


def _errors(found: Evaluation) -> Facts:
    metrics = found.metrics()
    return {f"{name}_mae": _mae(metrics, name) for name in ("energy", "forces")}


def _held_out(metrics: Mapping[str, Any]) -> Facts:
    """Errors of a training on its test structures, or else on those of validation."""
    errors = {f"{name}_mae": _mae(metrics, name) for name in ("energy", "forces")}
    return {**errors, "energy_largest": None}


def _mae(metrics: Mapping[str, Any], name: str) -> float | None:
    return float(metrics[name]["mae"]) if metrics[name] else None


def _largest(found: Evaluation) -> float | None:
    """Largest error of the energy (meV/atom)."""
    errors = np.abs(found.energy[1] - found.energy[0]) / meV
    return None if np.isnan(errors).all() else float(np.nanmax(errors))
