"""Labeling on Dask's workers, each with a process of its own for the engine."""

from __future__ import annotations

import pickle
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import uuid4

from ase import Atoms

from gnnpot.engines.base import library
from gnnpot.errors import EngineError, one_line
from gnnpot.labeling.labeler import Failure, Outcome
from gnnpot.labeling.local import Finished, LocalPool, WorkerPool

if TYPE_CHECKING:
    from gnnpot.labeling.config import DaskConfig  # costs seconds of imports, on each worker too

INSTALL = "pip install distributed, and dask-jobqueue for a batch system"
_CLUSTERS = {
    "slurm": "SLURMCluster",
    "pbs": "PBSCluster",
    "sge": "SGECluster",
    "lsf": "LSFCluster",
    "htcondor": "HTCondorCluster",
}
_AHEAD = 2  # structures a thread of a worker, so that it does not wait for us
_ANSWER = 30  # seconds that a scheduler has to answer
_pools: dict[tuple[str, int], LocalPool] = {}  # on a worker, by run and thread


class _There(NamedTuple):
    """What a worker needs to know of a run."""

    run: str
    payload: bytes
    time_limit: float
    scratch: str


class DaskPool(WorkerPool):
    """Workers of Dask; it runs a structure again whose worker was lost.

    Args:
        labeler: Can be pickled, and imported where the workers are.
        config: Scheduler or batch system.
        time_limit: Longest time for one structure (s).
        scratch: Folder for the engines' files, on the workers' machines.

    Raises:
        EngineError: Dask is not installed, no scheduler answers, or the batch system takes no job.
    """

    def __init__(
        self,
        labeler: Callable[[Atoms], Atoms],
        config: DaskConfig,
        *,
        time_limit: float = 3600.0,
        scratch: Path = Path("scratch"),
    ) -> None:
        self._distributed = library("distributed", INSTALL)
        self._there = _There(uuid4().hex, pickle.dumps(labeler), time_limit, str(Path(scratch).resolve()))
        self._cluster = _cluster(config, Path(scratch))
        address = config.scheduler if self._cluster is None else self._cluster
        try:
            self._client = self._distributed.Client(address, timeout=_ANSWER, set_as_default=False)
        except OSError as error:
            raise EngineError(
                f"expected a scheduler of Dask at {address}, got no answer ({one_line(error)}); start one "
                "with `dask scheduler`, or mend running.scheduler"
            ) from error
        self._futures: dict[str, Any] = {}

    @property
    def workers(self) -> int:
        """How many structures it computes at a time; one before any worker is there."""
        return max(1, sum(self._client.nthreads().values()))

    @property
    def free(self) -> int:
        """Number of structures that can be queued now."""
        return max(0, _AHEAD * self.workers - len(self._futures))

    def submit(self, key: str, atoms: Atoms) -> None:
        """Queue a structure."""
        self._futures[key] = self._client.submit(_label_there, self._there, key, atoms, pure=False)

    def wait(self, timeout: float) -> Finished:
        """Outcomes that have arrived since the last call."""
        futures = list(self._futures.values())
        try:
            with self._client.as_current():
                self._distributed.wait(futures, timeout=timeout, return_when="FIRST_COMPLETED")
        except TimeoutError:
            return []
        done = [key for key, future in self._futures.items() if future.done()]
        return [(key, self._outcome(self._futures.pop(key))) for key in done]

    def close(self) -> None:
        """Stop all work."""
        self._client.cancel(list(self._futures.values()))
        self._client.run(_close_there, self._there.run)
        self._client.close()
        if self._cluster is not None:
            self._cluster.close()

    def _outcome(self, future: Any) -> Outcome:
        error = future.exception()
        if error is None:
            return future.result()
        if isinstance(error, self._distributed.KilledWorker):
            return Failure("crash", f"its worker was lost several times: {' '.join(str(error).split())}")
        raise error


def _cluster(config: DaskConfig, scratch: Path) -> Any:
    """Jobs in the batch system, each with a worker; what they print goes to a folder in ``scratch``."""
    if config.queue is None:
        return None
    name = _CLUSTERS[config.queue]
    make = getattr(library("dask_jobqueue", INSTALL), name)
    submit = make.job_cls.submit_command.split()[0]
    if shutil.which(submit) is None:
        raise EngineError(
            f"expected {submit} of {config.queue}, got none on the path; start where jobs are submitted"
        )
    ours = {
        "log_directory": str(scratch / "jobs"),
        "scheduler_options": {"dashboard_address": ":0"},  # any port: several runs may start here
    }
    try:
        cluster = make(**{**ours, **config.options})
    except (TypeError, ValueError) as error:
        what = one_line(error)[:300].partition(". ")[0]
        raise EngineError(
            f"expected options of dask-jobqueue's {name}, got {config.options} ({what}); mend running.options"
        ) from error
    try:
        cluster.worker_spec.update(cluster.new_worker_spec())
        cluster.sync(cluster._correct_state)  # raises where the first job is refused; scale would only log it
    except (OSError, RuntimeError) as error:
        for job in cluster.workers.values():
            job.status = library("distributed", INSTALL).Status.failed  # closing expects to be told
        cluster.close()
        raise EngineError(
            f"expected {config.queue} to take a job, got {one_line(error)[:300]}; mend running.options"
        ) from error
    cluster.scale(jobs=config.jobs)
    return cluster


def _label_there(there: _There, key: str, atoms: Atoms) -> Outcome:
    """Runs on a worker of Dask: one process of ours, kept for the next structure, does the work."""
    place = (there.run, threading.get_ident())
    if place not in _pools:
        labeler = pickle.loads(there.payload)
        _pools[place] = LocalPool(labeler, time_limit=there.time_limit, scratch=Path(there.scratch))
    pool = _pools[place]
    pool.submit(key, atoms)
    while not (finished := pool.wait(1.0)):
        pass
    return finished[0][1]


def _close_there(run: str) -> None:
    for place in [place for place in _pools if place[0] == run]:
        _pools.pop(place).close()
