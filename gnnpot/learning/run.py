"""The loop: rounds of sample → score → select → label → train → property, until something says stop."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from gnnpot.errors import TrainingError
from gnnpot.labeling.methods import method_of
from gnnpot.labeling.run import KeptPool
from gnnpot.learning import phases
from gnnpot.learning.config import LearnConfig, WorkConfig
from gnnpot.learning.phases import Workplace
from gnnpot.learning.report import write_loop_report
from gnnpot.learning.source import source_hash
from gnnpot.learning.story import STORY, Facts, Round
from gnnpot.sampling.structures import FilesConfig, SeveralConfig
from gnnpot.system.files import write_text
from gnnpot.system.run_folder import RunFolder
from gnnpot.training.fit import Observer
from gnnpot.training.members import MemberProcesses
from gnnpot.training.run import report_committee

RESULT = "result.json"
_AT_WORK = {
    "initial": "first structures", "reference": "the property by the reference method", "sample": "sampling",
    "score": "scoring", "select": "selecting", "label": "labeling", "train": "training",
    "property": "the property", "judge": "judging properties",
}  # fmt: skip


def learn(
    config: LearnConfig,
    output: Path,
    *,
    resume: bool = False,
    jobs: int = 1,
    observer: Observer | None = None,
) -> Facts:
    """Run an active-learning loop in the folder ``output``.

    Each round is a folder ``round-03`` that is also the folder of its committee's training, so that
    ``GNNPotCalculator("loop/round-03")`` uses it.  It holds ``runs/``, ``scores.npz``, ``selected.xyz``,
    ``labels/``, ``members/``, ``split.json``, and ``done.json``, which says what each phase has done.  The
    loop's folder has ``labels.db``, ``story.json`` and ``report.html``, which grow with each phase or round.

    Source: Jung, Choi, Lee, Digital Discovery 3, 514 (2024).

    Args:
        config: The loop.
        output: Folder for everything that is written.
        resume: Go on with the loop in ``output``, if there is one; no label is computed twice.
        jobs: Number of members that are trained at a time, each in a process of its own.
        observer: Receives remarks, and progress events of trainings.

    Returns:
        Content of ``result.json``.

    Raises:
        GnnpotError: Bad configuration, data or folder, a reference method that is not installed, or a first
            training that fails.
    """
    folder = RunFolder(output, "loop", files=(STORY, RESULT))
    with folder.held(resume=resume):
        config.check_same(folder)
        inputs, observer = _inputs(config), observer or Observer()
        folder.check_inputs(inputs)
        if changes := config.changes(folder):
            observer.note(f"the loop goes on with other values of {changes}")
        folder.begin(config.as_yaml(), inputs)
        with MemberProcesses(jobs) as processes, closing(KeptPool()) as pools:
            return _Loop(Workplace(config, folder.path, observer, processes, pools)).run()


def _inputs(config: LearnConfig) -> dict[str, str]:
    """Hashes of what the loop reads."""
    found = {"method": method_of(config.labeling.method).hash}
    if isinstance(config.structures, FilesConfig | SeveralConfig):
        found["structures"] = config.structures.content_hash()
    if config.source is not None:
        found["source"] = source_hash(config.source)
    return found


class _Loop:
    """A loop with its rounds."""

    def __init__(self, place: Workplace) -> None:
        self.place, self.config = place, place.config
        self.rounds: list[Round] = []
        self.current: Round | None = None  # the last one that has a committee
        self.reference: Facts = {}

    def run(self) -> Facts:
        """Do all rounds that are left."""
        reason = ""
        for number in range(self.config.rounds + 1):
            self.rounds.append(Round(self.place.output, number))
            self._do(self.rounds[-1])
            reason = self._reason()
            self._write(reason or "going on")
            if reason:
                break
        if self.current is not None and not (self.current.path / "report.html").exists():
            report_committee(self.current.path)
        return self._write(reason or f"all {self.config.rounds} rounds are done")

    def _do(self, current: Round) -> None:
        self._tell(current, "begins")
        if current.number == 0:
            self._begin(current)
        else:
            assert self.current is not None
            self._gather(current, self.current)
        if current["label"].get("labeled") or current.number == 0:
            files = [phases.labels_file(one) for one in self.rounds if one["label"].get("labeled")]
            self._once(current, "train", lambda: phases.train_round(self.place, current, self.current, files))
            if not current["train"].get("bad"):
                self.current = current
                if self.config.converge is not None:
                    self._once(current, "property", lambda: phases.measure(self.place, current))
                if (goal := self.config.stop.properties) is not None:
                    self._once(current, "judge", lambda: phases.judge(goal, current))
        for complaint in current.complaints:
            self._tell(current, f"went wrong: {complaint}")
        if self.current is None:
            raise TrainingError(f"expected a first committee, got none: {'; '.join(current.complaints)}")

    def _begin(self, current: Round) -> None:
        """First structures and labels, and what the reference method says of the property."""
        self._once(current, "initial", lambda: phases.make_initial(self.place, current))
        if self.config.first is not None:
            self._once(current, "label", lambda: phases.label(self.place, current))
            if current["label"].get("bad") and not self.config.potential.labeled_files:
                raise TrainingError(f"expected labels to train on first, got none: {current['label']['bad']}")
        if self.config.converge is not None and self.config.converge.reference:
            self.reference = self._once(current, "reference", lambda: phases.measure_reference(self.place))

    def _once(self, current: Round, phase: str, work: Callable[[], Facts]) -> Facts:
        """Do a phase of a round unless it is done, and tell that it is at work."""
        if not current.has(phase):
            self.place.observer.stage(f"round {current.number}: {_AT_WORK[phase]}")
        return current.once(phase, work)

    def _gather(self, current: Round, previous: Round) -> None:
        """Sample, score, select and label."""
        place = self.place
        self._once(current, "sample", lambda: phases.make_samples(place, current, previous))
        if not current["sample"]["frames"]:
            return
        self._once(current, "score", lambda: phases.score(place, current, previous))
        limit = self.config.stop.labels
        budget = None if limit is None else max(limit - self.num_labels, 0)
        self._once(current, "select", lambda: phases.select(place, current, previous, budget=budget))
        self._tell(current, "; ".join(current["select"]["rules"]))
        if current["select"]["selected"]:
            self._once(current, "label", lambda: phases.label(place, current))

    @property
    def num_labels(self) -> int:
        """Structures that the reference method has been asked for, failures included."""
        return sum(one["label"].get("structures", 0) for one in self.rounds)

    def _reason(self) -> str:
        """Why the loop ends after the last round, or nothing."""
        stop, last = self.config.stop, self.rounds[-1]
        if last.has("select") and not last["select"]["selected"]:
            return f"nothing was left to select: {'; '.join(last['select']['rules'])}"
        if stop.labels is not None and self.num_labels >= stop.labels:
            return f"the budget of {stop.labels} labels is spent"
        seconds = sum(one.seconds for one in self.rounds)
        if stop.hours is not None and seconds >= stop.hours:
            return f"the budget of {stop.hours / 3600:g} h is spent"
        largest = last["score"].get("largest")
        if stop.spread is not None and largest is not None and largest < stop.spread:
            return f"the largest spread is {largest:.3g} {self.config.score.unit}, below {stop.spread:g}"
        deviation = last["judge"].get("deviation", np.inf)
        if stop.properties is not None and deviation <= stop.properties.deviation:
            goal = stop.properties
            return f"the deviation of {goal.of} is {deviation:.3g}, not above {goal.deviation:g}"
        if self.config.converge is not None and (said := converged(self.rounds, self.config.converge)):
            return said
        bad = self.rounds[-stop.bad_rounds :]
        if len(bad) == stop.bad_rounds and all(one.number and _gave_nothing(one) for one in bad):
            return f"{stop.bad_rounds} rounds in a row gave no new committee: {last.complaints[0]}"
        return ""

    def _write(self, stopped: str) -> Facts:
        """Write result and report; gives the result."""
        works = [one["property"]["mean"] for one in self.rounds if "mean" in one["property"]]
        result: Facts = {
            "rounds": self.rounds[-1].number,
            "labels": self.num_labels,
            "stopped": stopped,
            "model": str(self.current.path) if self.current else None,
            "property": works[-1] if works else None,
            "reference": self.reference.get("mean"),
            "difference": self._difference(),
            "seconds": round(sum(one.seconds for one in self.rounds), 1),
            "bad_rounds": [one.number for one in self.rounds if one.complaints],
        }
        write_text(self.place.output / RESULT, json.dumps(result, indent=1) + "\n")
        write_loop_report(self.place.output / "report.html", self.config, self.rounds, result)
        return result

    def _difference(self) -> Facts | None:
        """The last property less that of the reference method, seed by seed: mean and its standard error."""
        known = [one["property"]["values"] for one in self.rounds if one["property"].get("values")]
        expected = self.reference.get("values")
        if not known or not expected or len(known[-1]) != len(expected):
            return None
        return paired_difference(known[-1], expected)

    def _tell(self, current: Round, text: str) -> None:
        self.place.observer.note(f"round {current.number}: {text}")


def converged(rounds: list[Round], config: WorkConfig) -> str:
    """Why the property counts as converged, or nothing.

    Args:
        rounds: All so far.
        config: Tolerance, and number of rounds.
    """
    values = [
        one["property"]["values"] for one in rounds if one["property"] and not one["property"].get("bad")
    ]
    if len(values) <= config.rounds:
        return ""
    changes = [float(np.mean(np.subtract(new, old))) for old, new in zip(values, values[1:], strict=False)]
    last = changes[-config.rounds :]
    if all(abs(change) < config.tolerance for change in last):
        steps = ", ".join(f"{1000 * change:+.0f}" for change in last)
        return f"the work has converged: it changed by {steps} meV in the last rounds"
    return ""


def paired_difference(values: Sequence[float], expected: Sequence[float]) -> Facts:
    """Mean of the differences of pairs, and its standard error; that of one pair is None."""
    differences = np.subtract(values, expected)
    count = len(differences)
    error = float(differences.std(ddof=1) / np.sqrt(count)) if count > 1 else None
    return {"mean": float(differences.mean()), "error": error, "seeds": count}


def _gave_nothing(one: Round) -> bool:
    """Whether a round has left no new committee."""
    return not one.has("train") or bool(one["train"].get("bad"))
