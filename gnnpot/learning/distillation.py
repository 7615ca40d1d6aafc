"""Distillation: the few structures of a labeled pool from which a potential learns all of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from io import BytesIO, StringIO
from pathlib import Path

import numpy as np
import torch
from ase import Atoms
from ase.io.extxyz import write_extxyz

from gnnpot.data.checked_graphs import checked_graphs
from gnnpot.data.dataset import GraphDataset
from gnnpot.data.structure_set import Structures, StructureSet
from gnnpot.errors import DataError
from gnnpot.evaluation.evaluation import evaluate_graphs
from gnnpot.learning.distillation_config import DistillConfig, RuleName
from gnnpot.learning.distillation_report import write_distillation_report
from gnnpot.learning.scoring import ScoringCommittee, atomic_features
from gnnpot.learning.selection import at_random, farthest, highest
from gnnpot.learning.story import STORY, Facts, Round
from gnnpot.potential.committee import Committee, load_model
from gnnpot.system.files import write_bytes, write_text
from gnnpot.system.run_folder import RunFolder
from gnnpot.training.fit import Observer
from gnnpot.training.run import train
from gnnpot.units import meV

RESULT, DISTILLED = "result.json", "distilled.xyz"
_POOL, _CHOSEN, _JUDGED = "pool", "chosen.json", "scores.npz"


@dataclass(frozen=True)
class Pool:
    """The labeled structures to choose from.

    Attributes:
        graphs: Their graphs, with edges up to the cutoff of the model.
        frames: The structures with their labels.
    """

    graphs: GraphDataset
    frames: list[Atoms]


def distill(
    config: DistillConfig,
    output: Path,
    *,
    resume: bool = False,
    jobs: int = 1,
    observer: Observer | None = None,
) -> Facts:
    """Grow a small set out of a pool by each rule, judging the committee on the whole pool at each size.

    ``distilled.xyz`` is the last set of the rule, each structure with the reason why it was taken; a folder
    for each rule holds the trainings; ``result.json`` and ``report.html`` tell errors against the share of
    the pool.

    Source: Jung, Yoshimoto, Oh, Tsuneyuki, arXiv:2308.08098 (2023).

    Args:
        config: Pool, committee, rules.
        output: Folder for everything that is written.
        resume: Go on with the distillation in ``output``, if there is one.
        jobs: Number of members that are trained at a time, each in a process of its own.
        observer: Receives remarks, and progress events of trainings.

    Returns:
        Content of ``result.json``.

    Raises:
        GnnpotError: Bad configuration, data or folder; a pool without labels; a training that fails.
    """
    observer = observer or Observer()
    folder = RunFolder(output, "distillation", files=(STORY, RESULT, DISTILLED))
    with folder.held(resume=resume):
        config.check_same(folder)
        pool = _pool(config, folder.path)
        inputs = {"pool": pool.graphs.content_hash()}
        folder.check_inputs(inputs)
        folder.begin(config.as_yaml(), inputs)
        curves: dict[str, list[Facts]] = {}
        result: Facts = {}
        for rule in config.rules:
            growth = Growth(config, pool, folder.path / rule, rule)
            curves[rule] = growth.grow(observer, jobs=jobs)
            if rule == config.rule:
                _write_distilled(growth, folder.path / DISTILLED)
            result = {"structures": len(pool.frames), "rule": config.rule, "curves": curves}
            write_text(folder.path / RESULT, json.dumps(result, indent=1) + "\n")
            write_distillation_report(folder.path / "report.html", config, result)
    return result


def _pool(config: DistillConfig, output: Path) -> Pool:
    labels = config.potential.trained_labels
    structures = StructureSet(config.pool, config.keys, None, labels)
    store = checked_graphs(structures, config.potential.model.cutoff, output / _POOL).store
    rows = store.structure_rows()
    graphs = GraphDataset(store, rows, dtype=getattr(torch, config.potential.training.dtype))
    if lacking := [name for name in labels if name != "stress" and not graphs.has(name)]:
        raise DataError(
            f"expected {' and '.join(lacking)} labels in {', '.join(map(str, config.pool))}, got none on "
            f"{len(rows)} structures; label the pool first (gnnpot label), or name keys"
        )
    if len(rows) <= config.start:
        raise DataError(
            f"expected a pool of more than start: {config.start} structures, got {len(rows)}; lower start"
        )
    return Pool(graphs, list(graphs.frames()))


class Growth:
    """The growth of a set by one rule.

    Args:
        config: The distillation.
        pool: Structures to choose from.
        folder: Folder of the rounds.
        rule: How structures are added.
    """

    def __init__(self, config: DistillConfig, pool: Pool, folder: Path, rule: RuleName) -> None:
        self.config, self.pool, self.folder, self.rule = config, pool, folder, rule
        places = at_random(
            np.zeros(len(pool.frames)), np.empty((len(pool.frames), 0)), config.start, seed=config.seed
        )
        self.reasons = {int(place): "first set, at random" for place in places}

    def grow(self, observer: Observer, *, jobs: int) -> list[Facts]:
        """Train and judge at each size; gives size, share and errors of each."""
        curve: list[Facts] = []
        sizes = self.config.sizes(len(self.pool.frames))
        for number, size in enumerate(sizes):
            current = Round(self.folder, number)
            if size > len(self.reasons):
                self._add(current, size - len(self.reasons), Round(self.folder, number - 1))
            observer.note(f"{self.rule}: {len(self.reasons)} of {len(self.pool.frames)} structures")
            current.once("train", partial(self._train, current, observer, jobs))
            facts = current.once("judge", partial(self._judge, current))
            curve.append({"size": size, "share": size / len(self.pool.frames), **facts})
            target = self.config.target
            if target is not None and facts["energy_mae"] is not None and facts["energy_mae"] <= target:
                break
        return curve

    @property
    def chosen(self) -> list[int]:
        """Places of the set in the pool, ascending."""
        return sorted(self.reasons)

    def _train(self, current: Round, observer: Observer, jobs: int) -> Facts:
        run = self.config.potential.model_copy(update={"members": self.config.members})
        frames = [self.pool.frames[place] for place in self.chosen]
        metrics = train(
            run, current.path, structures=Structures(train=frames), resume=True, observer=observer, jobs=jobs
        )
        return {"best": metrics["best"]}

    def _judge(self, current: Round) -> Facts:
        """Errors and scores on the whole pool, in one pass."""
        committee = ScoringCommittee(_committee(current).potentials, self.config.score)
        found = evaluate_graphs(committee, self.pool.graphs)
        buffer = BytesIO()
        np.savez(buffer, scores=np.array(committee.scores))
        write_bytes(current.path / _JUDGED, buffer.getbuffer())
        metrics = found.metrics()
        errors = np.abs(found.energy[1] - found.energy[0]) / meV
        return {
            "energy_mae": metrics["energy"] and metrics["energy"]["mae"],
            "energy_largest": float(np.nanmax(errors)) if metrics["energy"] else None,
            "forces_mae": metrics["forces"] and metrics["forces"]["mae"],
            "largest_spread": max(committee.scores),
        }

    def _add(self, current: Round, count: int, previous: Round) -> None:
        """Choose ``count`` structures by what the round before knows, once, and remember why."""
        path = current.path / _CHOSEN
        current.once("choose", lambda: self._choose(path, count, previous))
        self.reasons |= {int(place): reason for place, reason in json.loads(path.read_text()).items()}

    def _choose(self, path: Path, count: int, previous: Round) -> Facts:
        free = [place for place in range(len(self.pool.frames)) if place not in self.reasons]
        with np.load(previous.path / _JUDGED) as kept:
            scores = kept["scores"][free]
        unit, number = self.config.score.unit, previous.number + 1
        places = self._places(free, scores, count, previous)
        reasons = {
            free[k]: f"round {number}, {self.rule}: spread {scores[k]:.4g} {unit}" for k in places.tolist()
        }
        write_text(path, json.dumps(reasons, indent=1) + "\n")
        return {"added": len(reasons)}

    def _places(self, free: Sequence[int], scores: np.ndarray, count: int, previous: Round) -> np.ndarray:
        nothing = np.empty((len(free), 0))
        if self.rule == "spread":
            return highest(scores, nothing, count)
        if self.rule == "random":
            return at_random(scores, nothing, count, seed=self.config.seed + 1 + previous.number)
        features = np.stack(
            [
                one.mean(axis=0)
                for one in atomic_features(_committee(previous).potentials[0], self.pool.frames)
            ]
        )
        return farthest(scores, features[free], count, known=features[self.chosen])


def _committee(current: Round) -> Committee:
    committee = load_model(current.path)
    assert isinstance(committee, Committee)
    return committee


def _write_distilled(growth: Growth, path: Path) -> None:
    """Write the set of a rule, each structure with the reason why it was taken."""
    text = StringIO()
    for place in growth.chosen:
        frame = growth.pool.frames[place].copy()
        frame.calc = growth.pool.frames[place].calc
        said = {name: value for name, value in growth.pool.frames[place].info.items() if value != ""}
        frame.info = {**said, "taken": growth.reasons[place]}
        write_extxyz(text, [frame])
    write_text(path, text.getvalue())
