"""Labeling in processes of this machine."""

from __future__ import annotations

import os
import pickle
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import connection as channels
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from ase import Atoms

from gnnpot.errors import EngineError
from gnnpot.labeling.labeler import Failure, Label, Outcome
from gnnpot.system.files import make_folder

Finished = list[tuple[str, Outcome]]

_DEATHS = 3  # of the process that computes a structure, before that counts as the structure's fault
_KILLS = 10  # of processes, one after another before any was ready, before we give up
_AHEAD = 0.25  # seconds of work that wait at a worker, so that it never waits for us
_MOST_AHEAD = 64
_GATHER = 0.01  # seconds in which results of fast methods gather, so that they wake us together
_TAIL = 2000  # bytes of a process's output that are searched for a reason
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class WorkerPool(Protocol):
    """Interface of worker pools, which label several structures at a time, in any order."""

    @property
    def workers(self) -> int:
        """Number of structures that are computed at a time."""

    @property
    def free(self) -> int:
        """Number of structures that can be queued now."""

    def submit(self, key: str, atoms: Atoms) -> None:
        """Queue a structure."""

    def wait(self, timeout: float) -> Finished:
        """What has finished since the last call; waits up to ``timeout`` seconds for a first one."""

    def close(self) -> None:
        """Stop all work."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class LocalPool(WorkerPool):
    """Worker processes; one that dies is replaced, and one that takes too long is killed.

    Args:
        labeler: Can be pickled: an instance of a class, or a function, of a module.
        workers: Number of processes.
        time_limit: Longest time for one structure (s).
        scratch: Folder for the engines' files.

    Raises:
        EngineError: The processes cannot begin.
    """

    def __init__(
        self,
        labeler: Callable[[Atoms], Atoms],
        *,
        workers: int = 1,
        time_limit: float = 3600.0,
        scratch: Path = Path("scratch"),
    ) -> None:
        make_folder(scratch)
        self._payload = pickle.dumps(labeler)
        self._time_limit = time_limit
        self._scratch = Path(scratch).resolve()
        self._waiting: deque[tuple[str, Atoms]] = deque()
        self._deaths: Counter[str] = Counter()
        self._finished: Finished = []
        self._stillborn = 0
        self._seconds = 0.0  # of a typical structure
        self._workers = [_Worker(self._payload) for _ in range(workers)]

    @property
    def free(self) -> int:
        """Number of structures that can be queued now."""
        taken = len(self._waiting) + sum(len(worker.tasks) for worker in self._workers)
        return max(0, self._depth * len(self._workers) - taken)

    @property
    def workers(self) -> int:
        """Number of structures that are computed at a time."""
        return len(self._workers)

    @property
    def pids(self) -> list[int]:
        """Process numbers of the workers."""
        return [worker.process.pid for worker in self._workers]

    def submit(self, key: str, atoms: Atoms) -> None:
        """Queue a structure."""
        self._waiting.append((key, atoms))

    def wait(self, timeout: float) -> Finished:
        """Outcomes that have arrived since the last call."""
        end = time.monotonic() + timeout
        self._deal()
        while not self._finished:
            now = time.monotonic()
            limits = [worker.since + self._time_limit for worker in self._workers if worker.is_busy]
            pause = max(0.0, min([end, *limits]) - now)
            coming = channels.wait([worker.channel for worker in self._workers], pause)
            if coming and self._seconds and self._depth > 2:
                time.sleep(_GATHER)
                coming = [worker.channel for worker in self._workers]
            for ready in coming:
                self._receive(next(worker for worker in self._workers if worker.channel is ready))
            self._end_overdue()
            self._deal()
            if time.monotonic() >= end:
                break
        finished, self._finished = self._finished, []
        return finished

    def close(self) -> None:
        """Stop all work."""
        for worker in self._workers:
            worker.end()
        self._workers = []
        with suppress(OSError):
            self._scratch.rmdir()  # unless the files of a failure are there

    @property
    def _depth(self) -> int:
        if not 0 < self._seconds < _AHEAD:
            return 1
        return min(_MOST_AHEAD, 1 + int(_AHEAD / self._seconds))

    def _deal(self) -> None:
        shares: list[list[tuple[str, Atoms]]] = [[] for _ in self._workers]
        sizes = [len(worker.tasks) for worker in self._workers]
        while self._waiting and (size := min(sizes)) < self._depth:
            place = sizes.index(size)
            shares[place].append(self._waiting.popleft())
            sizes[place] += 1
        for worker, share in zip(self._workers, shares, strict=True):
            if share:
                worker.send(share)

    def _receive(self, worker: _Worker) -> None:
        try:
            while worker.has_spoken():
                word, content = worker.channel.recv()
                if word == "ready":
                    worker.is_ready, worker.since = True, time.monotonic()
                else:
                    self._take(worker, word, content)
        except (EOFError, OSError, pickle.UnpicklingError):
            self._replace(worker)

    def _take(self, worker: _Worker, key: str, outcome: Outcome) -> None:
        worker.tasks.popleft()
        worker.since = time.monotonic()
        if isinstance(outcome, Label):
            self._seconds = 0.8 * (self._seconds or outcome.seconds) + 0.2 * outcome.seconds
        self._finished.append((key, outcome))

    def _replace(self, worker: _Worker) -> None:
        """Start another process; the structure at work is tried again, but not forever."""
        worker.end()
        self._stillborn = 0 if worker.is_ready else self._stillborn + 1
        if self._stillborn >= (_DEATHS if worker.failed else _KILLS):
            raise EngineError(f"expected a process that can label, got none: {worker.death}")
        self._give_back(worker)
        if worker.tasks:
            key, atoms = worker.tasks[0]
            self._deaths[key] += worker.is_ready
            if self._deaths[key] < _DEATHS:
                self._waiting.appendleft((key, atoms))
            else:
                reason = f"its process died {_DEATHS} times: {worker.death}"
                self._finished.append((key, Failure("crash", reason)))
        self._renew(worker)

    def _end_overdue(self) -> None:
        for worker in list(self._workers):
            if worker.is_busy and time.monotonic() - worker.since > self._time_limit:
                worker.end()
                self._give_back(worker)
                reason = f"no result after {self._time_limit:g} s; raise time_limit, or look at the structure"
                self._finished.append((worker.tasks[0][0], Failure("time-out", reason)))
                self._renew(worker)

    def _give_back(self, worker: _Worker) -> None:
        """Queue again the structures that only waited in a process."""
        for _ in range(len(worker.tasks) - 1):
            self._waiting.appendleft(worker.tasks.pop())

    def _renew(self, worker: _Worker) -> None:
        place = self._workers.index(worker)
        self._workers[place] = _Worker(self._payload)


class _Worker:
    """A process with a socket, in a session of its own so that what it starts can be ended with it."""

    def __init__(self, payload: bytes) -> None:
        ours, theirs = socket.socketpair()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        for name in _THREADS:
            environment.setdefault(name, "1")
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gnnpot.labeling.worker", str(theirs.fileno())],
                stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log, env=environment,
                pass_fds=[theirs.fileno()], start_new_session=True,
            )  # fmt: skip
        self.channel = channels.Connection(ours.detach())
        self._ear = select.poll()  # far cheaper than the poll of the channel
        self._ear.register(self.channel, select.POLLIN)
        self.tasks: deque[tuple[str, Atoms]] = deque()
        self.since = time.monotonic()
        self.is_ready = False
        self.death = "it lives"
        with suppress(OSError):
            self.channel.send([payload])

    def send(self, share: list[tuple[str, Atoms]]) -> None:
        """Send structures to the process."""
        if not self.tasks:
            self.since = time.monotonic()
        self.tasks.extend(share)
        with suppress(OSError):  # a worker that has died is found when we wait for it
            self.channel.send(share)

    def has_spoken(self) -> bool:
        """Whether a message is waiting, or the process has died."""
        return bool(self._ear.poll(0))

    def end(self) -> None:
        """Kill the process and all that it started."""
        if self._log.closed:
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.channel.close()
        self.death = self._last_words()
        self._log.close()

    @property
    def is_busy(self) -> bool:
        """Whether it computes; before it is ready the time does not count."""
        return self.is_ready and bool(self.tasks)

    @property
    def failed(self) -> bool:
        """Whether it ended by itself rather than being killed."""
        return self.process.returncode > 0

    def _last_words(self) -> str:
        """Exit status and last output of the process."""
        code = self.process.returncode
        how = f"signal {-code}" if code is not None and code < 0 else f"code {code}"
        self._log.seek(max(0, os.fstat(self._log.fileno()).st_size - _TAIL))
        text = self._log.read().decode(errors="replace")
        last = next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
        return f"it ended with {how}" + (f" ({last[:200]})" if last else "")
