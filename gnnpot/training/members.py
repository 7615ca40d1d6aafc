"""The members of a committee: trained on one set of graphs, in processes or one after another, and judged."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import torch

from gnnpot.data.dataset import GraphDataset
from gnnpot.data.split import SplitConfig
from gnnpot.errors import OutputError
from gnnpot.evaluation.evaluation import Evaluation, evaluate_graphs
from gnnpot.evaluation.folder import model_facts
from gnnpot.evaluation.report import Report, write_report
from gnnpot.evaluation.tables import metrics_table
from gnnpot.potential.committee import Committee
from gnnpot.potential.folder import FINISHED, MEMBERS, MODEL_FILE
from gnnpot.potential.model_file import load_potential
from gnnpot.system.documents import read_json
from gnnpot.system.files import make_folder, write_text
from gnnpot.system.processes import end_with_parent
from gnnpot.system.run_folder import RunFolder
from gnnpot.training.fit import Observer, StepsOnly
from gnnpot.training.run_config import MOST_MEMBERS, RunConfig
from gnnpot.training.run_graphs import RunGraphs, read_graphs
from gnnpot.units import ERROR_UNITS
from gnnpot.version import __version__

TrainOne = Callable[..., None]  # of graphs, configuration, folder and observer
_LOOK = 1.0  # s between two looks at how far members are


def train_members(
    config: RunConfig,
    graphs: RunGraphs,
    folder: RunFolder,
    *,
    observer: Observer,
    jobs: int | MemberProcesses,
    train_one: TrainOne,
) -> None:
    """Train all members of a committee that are not trained yet, each in a folder of its own.

    Args:
        config: Configuration of the committee.
        graphs: Graphs of all structures, shared by the members.
        folder: Folder of the committee, which this process holds.
        observer: Receives progress events of all members together.
        jobs: Number of members that are trained at a time, or the processes that do it.
        train_one: Trains one member; can be pickled.
    """
    if not isinstance(jobs, MemberProcesses):
        with MemberProcesses(jobs) as processes:
            return train_members(
                config, graphs, folder, observer=observer, jobs=processes, train_one=train_one
            )
    assert config.members is not None
    make_folder(folder.path / MEMBERS)
    count = config.members.count
    open_members = [k for k in range(count) if not (folder.path / MEMBERS / str(k) / FINISHED).exists()]
    if jobs.count == 1 or len(open_members) < 2:
        begun = time.monotonic()
        for k in open_members:
            with _folder(folder.path, k).held(resume=True) as own:
                own_config = _config(config, k, own)
                train_one(graphs, own_config, own, observer=_MemberObserver(observer, k, count, begun))
        return None
    _in_processes(config, folder.path, open_members, jobs=jobs, observer=observer, train_one=train_one)
    return None


class Judged(NamedTuple):
    """A trained committee with its errors.

    Attributes:
        committee: The committee.
        evaluations: Labels and predictions by name of the set; the last is the headline.
        metrics: Content of ``metrics.json``.
    """

    committee: Committee
    evaluations: dict[str, Evaluation]
    metrics: dict[str, Any]


def judge_members(config: RunConfig, graphs: RunGraphs, output: Path) -> Judged:
    """Evaluate a trained committee, and write ``metrics.json``, which makes its folder a model.

    The errors of the committee are those on the test structures, else on the structures that no member was
    trained on, else on all structures of the run, most of which some member was trained on.  The metrics are
    as of one potential, with ``members``, their metrics, and ``best``, the number of the member with the
    least force error on training and validation structures together.
    """
    assert config.members is not None
    places = [output / MEMBERS / str(k) for k in range(config.members.count)]
    committee = Committee([load_potential(place / MODEL_FILE) for place in places])
    members = [read_json(place / FINISHED) for place in places]
    evaluations = _evaluations(committee, graphs, places)
    headline = list(evaluations)[-1]
    splits = {name: evaluation.metrics() for name, evaluation in evaluations.items()}
    metrics = {
        **splits[headline],
        "split": headline,
        "splits": splits,
        "members": [{name: one[name] for name in (*ERROR_UNITS, "split", "splits")} for one in members],
        "best": best_member(members),
    }
    write_text(output / FINISHED, json.dumps(metrics, indent=1) + "\n")
    return Judged(committee, evaluations, metrics)


def report_members(config: RunConfig, output: Path, judged: Judged) -> None:
    """Write the report of a committee."""
    report = _report(config, judged.committee, judged.evaluations, judged.metrics["members"])
    write_report(output / "report.html", report)


def best_member(members: Sequence[Mapping[str, Any]]) -> int:
    """The member with the least RMSE of forces, or else of energies, on training and validation together.

    Source: Jung, Choi, Lee, Digital Discovery 3, 514 (2024), section 2.3.6.
    """

    def error(metrics: Mapping[str, Any]) -> float:
        parts = [metrics["splits"][name] for name in ("train", "validation")]
        label = "forces" if all(part["forces"] for part in parts) else "energy"
        weights = [part["num_labeled"][label] for part in parts]
        squares = [part[label]["rmse"] ** 2 if part[label] else 0.0 for part in parts]
        return float(np.dot(weights, squares) / max(sum(weights), 1))

    return int(np.argmin([error(one) for one in members]))


class _MemberObserver(StepsOnly):
    """Observer that makes the progress of one member that of all."""

    def __init__(self, observer: Observer, number: int, count: int, begun: float) -> None:
        super().__init__(observer)
        self.number, self.count, self.begun = number, count, begun
        self.is_first = number == 0

    def note(self, text: str) -> None:
        if self.is_first:
            self.observer.note(text)

    def step(self, progress: float, seconds: float) -> None:
        self.observer.step((self.number + min(progress, 1.0)) / self.count, time.monotonic() - self.begun)

    def stage(self, text: str) -> None:
        self.observer.stage(f"member {self.number + 1} of {self.count}: {text}")


def _folder(output: Path, number: int) -> RunFolder:
    return RunFolder(output / MEMBERS / str(number), "member", files=(MODEL_FILE,))


def _config(config: RunConfig, number: int, folder: RunFolder) -> RunConfig:
    """The configuration of a member, which must be that which it has begun with."""
    own = config.member(number)
    own.check_same(folder)
    return own


def _in_processes(
    config: RunConfig,
    output: Path,
    numbers: Sequence[int],
    *,
    jobs: MemberProcesses,
    observer: Observer,
    train_one: TrainOne,
) -> None:
    """Train several members at a time; the first error ends the others, which go on with ``--resume``."""
    assert config.members is not None
    count, begun = config.members.count, time.monotonic()
    shares = jobs.shares
    shares[:count] = [0.0 if number in numbers else 1.0 for number in range(count)]
    waiting: set[Future[int]] = {
        jobs.pool().submit(_one_member, train_one, config, output, number) for number in numbers
    }
    observer.stage(f"{len(waiting)} members, {jobs.count} at a time")
    try:
        while waiting:
            finished, waiting = wait(waiting, timeout=_LOOK, return_when=FIRST_COMPLETED)
            for future in finished:
                shares[future.result()] = 1.0
                observer.note(f"member {future.result()} is trained")
            observer.step(sum(shares[:count]) / count, time.monotonic() - begun)
    except BaseException:
        jobs.end()
        raise


class MemberProcesses:
    """Processes that train members, made for the first that need them, for one training or several.

    Args:
        count: Number of members that are trained at a time; one is trained in this process.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._context = multiprocessing.get_context("spawn")
        self.shares: Any = self._context.Array("d", MOST_MEMBERS, lock=False)  # of a training, by member
        self._pool: ProcessPoolExecutor | None = None

    def pool(self) -> ProcessPoolExecutor:
        """The processes."""
        if self._pool is None:
            threads = max(1, len(os.sched_getaffinity(0)) // self.count)
            self._pool = ProcessPoolExecutor(
                self.count, mp_context=self._context, initializer=_begin, initargs=(threads, self.shares)
            )
        return self._pool

    def end(self) -> None:
        """End all processes now; what they have trained is in their checkpoints."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        processes = list((pool._processes or {}).values())
        pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            with suppress(OSError):
                process.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown()


class _ShareObserver(Observer):
    """Tells the process that waits how much of its training a member has behind it."""

    shares: Any = None  # of this process

    def __init__(self, number: int) -> None:
        self.number = number

    def step(self, progress: float, seconds: float) -> None:
        self.shares[self.number] = min(progress, 1.0)


def _begin(threads: int, shares: Any) -> None:
    """Prepare a process: it ends with the one that started it, which alone answers to Ctrl-C."""
    end_with_parent()
    _ShareObserver.shares = shares
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(threads)


def _one_member(train_one: TrainOne, config: RunConfig, output: Path, number: int) -> int:
    """Runs in a process: train one member on the graphs on disk."""
    graphs = read_graphs(config, output, cutoff=config.model.cutoff)
    if graphs.train.store.cutoff != config.model.cutoff:
        raise OutputError(
            f"expected graphs up to {config.model.cutoff:g} Å in {output}, got others; start anew"
        )
    with _folder(output, number).held(resume=True) as own:
        train_one(graphs, _config(config, number, own), own, observer=_ShareObserver(number))
    return number


def _evaluations(committee: Committee, graphs: RunGraphs, places: Sequence[Path]) -> dict[str, Evaluation]:
    store, dtype = graphs.train.store, committee.dtype
    whole = GraphDataset(store, store.structure_rows(), dtype=dtype)
    sets = {"train and validation": whole}
    if unseen := _unseen(graphs, places):
        seen = [row for row in whole.rows if row not in unseen]
        sets = {
            "train": GraphDataset(store, seen, dtype=dtype),
            "validation": GraphDataset(store, sorted(unseen), dtype=dtype),
        }
    for name, found in (("validation", graphs.validation), ("test", graphs.test)):
        if found is not None:
            sets[name] = GraphDataset(found.store, range(len(found.store)), dtype=dtype)
    return {name: evaluate_graphs(committee, dataset) for name, dataset in sets.items()}


def _unseen(graphs: RunGraphs, places: Sequence[Path]) -> set[int]:
    """Rows that were in validation for every member."""
    if graphs.validation is not None:
        return set()
    store = graphs.train.store
    trained: set[str] = set()
    for place in places:
        trained |= {row["hash"] for row in read_json(place / "splits.json")["train"]}
    return {row for row in store.structure_rows() if store.hashes[row] not in trained}


def _report(
    config: RunConfig,
    committee: Committee,
    evaluations: Mapping[str, Evaluation],
    members: Sequence[Mapping[str, Any]],
) -> Report:
    best = best_member(members)
    rows = {
        f"member {k}{', the best' if k == best else ''}: {name}": one["splits"][name]
        for k, one in enumerate(members)
        for name in one["splits"]
        if name != "train"
    }
    split = (
        "given"
        if not isinstance(config.validation, SplitConfig)
        else str(config.members and config.members.split)
    )
    elements = ", ".join(committee.elements)
    return Report(
        title=f"Committee of {len(members)} {config.model.kind} potentials of {elements}",
        evaluations=evaluations,
        facts={
            **model_facts(committee),
            "split of the members": split,
            "seed": str(config.seed),
            "precision": config.training.dtype,
            "gnnpot": __version__,
        },
        sections=[f"<h2>Members</h2>{metrics_table(rows, 'member and set')}"],
    )
