"""What every benchmark does: check, write the data, train what is not finished, collect, report."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from gnnpot.config.base import Configuration
from gnnpot.system.files import write_text
from gnnpot.system.run_folder import RunFolder
from gnnpot.training.fit import Observer


class StudyObserver(Observer):
    """Callback interface for benchmark progress; the default ignores all events."""

    def begin(self, what: str, number: int, total: int) -> None:
        """Before each of ``total`` pieces of work, counted from 1."""


class Plan(Protocol):
    """One planned training, whose text is what a user reads of it."""

    @property
    def folder(self) -> Path:
        """Where it goes."""


class Results(Protocol):
    """All that a benchmark found."""

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON."""


P = TypeVar("P", bound=Plan)
R = TypeVar("R", bound=Results)


class Study(Protocol[P, R]):
    """A benchmark: trainings of one kind or another, and what follows from them."""

    @property
    def noun(self) -> str:
        """What it is called in messages."""

    @property
    def config(self) -> Configuration:
        """What is studied."""

    def inputs(self) -> Mapping[str, str]:
        """Hashes of models that are read, by name."""

    def prepare(self, output: Path) -> Sequence[P]:
        """Check everything, write the data into ``output``, and list all trainings."""

    def train(self, plan: P) -> None:
        """Run one training, or go on with it."""

    def collect(self, plans: Sequence[P]) -> R:
        """Gather the results of all trainings."""

    def write_report(self, path: Path, found: R) -> None:
        """Write the page."""


def run_study(study: Study[P, R], output: Path, *, resume: bool, observer: StudyObserver) -> R:
    """Run a benchmark in a folder; trainings that are finished there are kept.

    Args:
        study: The benchmark.
        output: Folder for ``config.yaml``, ``metrics.json``, ``report.html``, data and trainings.
        resume: Go on with the benchmark in ``output``, if there is one.
        observer: Receives progress events.

    Raises:
        GnnpotError: A training failed, or the folder holds results of another study.
    """
    with RunFolder(Path(output).resolve(), study.noun).held(resume=resume) as folder:
        study.config.check_same(folder)
        inputs = study.inputs()
        folder.check_inputs(inputs)
        plans = study.prepare(folder.path)
        folder.begin(study.config.as_yaml(), inputs)
        todo = [plan for plan in plans if not RunFolder(plan.folder).is_finished]
        for number, plan in enumerate(todo, start=1):
            observer.begin(str(plan), number, len(todo))
            study.train(plan)
        found = study.collect(plans)
        metrics = json.dumps(found.as_dict(), indent=1, allow_nan=False)
        write_text(folder.path / "metrics.json", f"{metrics}\n")
        study.write_report(folder.path / "report.html", found)
    return found
