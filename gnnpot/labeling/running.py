"""From structures to labels in a store: each once, whatever is killed in between."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from statistics import median
from typing import NamedTuple

from ase import Atoms

from gnnpot.errors import LabelingError
from gnnpot.labeling.labeler import Failure, Label
from gnnpot.labeling.local import WorkerPool
from gnnpot.labeling.methods import Method, Record
from gnnpot.labeling.store import claims
from gnnpot.labeling.store.store import LabelStore

_COMMIT = 0.25  # seconds that a result waits for its transaction, at most
_SHARE = 0.1  # of the time for transactions; the faster the disk, the sooner a result is safe
_CLAIMED = 1.0  # seconds of work that are claimed at once
_POLL = 0.5  # seconds between looks at what other runs do
_SAMPLE = 20  # structures that an estimate computes at most
_LEAST = 3  # and at least, though they take longer than
_PATIENCE = 2.0  # seconds


class LabelingProgress(NamedTuple):
    """Progress of a labeling run.

    Args:
        total: Different structures.
        found: Labels that were in the store already, or that other runs have stored.
        known_failures: Failures in the store, without those that are tried again.
        labeled: New labels.
        failed: New failures.
        seconds: Since the run began.
    """

    total: int
    found: int
    known_failures: int
    labeled: int
    failed: int
    seconds: float

    @property
    def left(self) -> int:
        """Structures still to compute."""
        return self.total - self.found - self.known_failures - self.labeled - self.failed

    @property
    def rate(self) -> float:
        """Structures a second."""
        return (self.labeled + self.failed) / self.seconds if self.seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Remaining time at the current rate (s)."""
        return self.left / self.rate if self.rate > 0 else None


class LabelingPlan(NamedTuple):
    """Structures of a run, compared with the store.

    Args:
        method: Reference method.
        frames: All structures in the order of the files, repeats among them.
        keys: Keys of the frames.
        structures: Different structures by key.
        found: Keys with a label.
        failed: Keys with a failure.
    """

    method: Method
    frames: list[Atoms]
    keys: list[str]
    structures: dict[str, Atoms]
    found: frozenset[str]
    failed: frozenset[str]

    def pending(self, *, retry_failed: bool) -> list[str]:
        """Keys to compute."""
        done = self.found if retry_failed else self.found | self.failed
        return [key for key in self.structures if key not in done]


def plan(structures: Iterable[Atoms], method: Method, store: LabelStore | None = None) -> LabelingPlan:
    """Compare structures with what is in the store, if there is one yet."""
    frames = list(structures)
    keys = [method.key(atoms) for atoms in frames]
    states = {} if store is None else store.states(keys)
    found = frozenset(key for key, has_label in states.items() if has_label)
    first: dict[str, Atoms] = {}
    for key, atoms in zip(keys, frames, strict=True):
        first.setdefault(key, atoms)
    return LabelingPlan(method, frames, keys, first, found, frozenset(states) - found)


def label(labeler: Callable[[Atoms], Atoms], structures: Iterable[Atoms]) -> Iterator[Atoms | LabelingError]:
    """Label one after another; a failure is yielded in its place, and the rest go on."""
    for atoms in structures:
        try:
            yield labeler(atoms)
        except LabelingError as error:
            yield error


def estimate(pool: WorkerPool, structures: Iterable[tuple[str, Atoms]]) -> tuple[float | None, list[str]]:
    """Time of one structure as the first few tell (s), and why some of them failed; nothing is stored."""
    times: list[float] = []
    reasons: list[str] = []
    begun = time.monotonic()
    for number, (key, atoms) in enumerate(structures):
        if number == _SAMPLE or (number >= _LEAST and time.monotonic() - begun > _PATIENCE):
            break
        pool.submit(key, atoms)
        while not (finished := pool.wait(1.0)):
            pass
        outcome = finished[0][1]
        if isinstance(outcome, Label):
            times.append(outcome.seconds)
        else:
            reasons.append(outcome.reason)
    later = times[1:] or times  # the first pays for starting the engine
    return (median(later) if later else None), reasons


def fill(
    store: LabelStore,
    planned: LabelingPlan,
    pool: WorkerPool,
    *,
    retry_failed: bool = False,
    observe: Callable[[LabelingProgress], None] = lambda progress: None,
) -> LabelingProgress:
    """Compute all labels that are missing in the store.

    Args:
        store: Store of labels and failures, written in transactions a quarter of a second apart.
        planned: The plan, as :func:`plan` makes it.
        pool: Computes them.
        retry_failed: Compute those again that failed before.
        observe: Called with the progress after each transaction.

    Raises:
        EngineError: The pool cannot work.
        OutputError: The store cannot be written to.
    """
    since = store.last if retry_failed else 0
    run = _Run(store, planned, pool, deque(planned.pending(retry_failed=retry_failed)), since)
    try:
        while run.step():
            observe(run.progress())
    finally:
        store.release()
    return run.progress()


@dataclass
class _Run:
    store: LabelStore
    planned: LabelingPlan
    pool: WorkerPool
    pending: deque[str]
    since: int  # failures before this one are tried again
    claimed: deque[str] = field(default_factory=deque)
    elsewhere: list[str] = field(default_factory=list)
    flying: set[str] = field(default_factory=set)
    finished: list[Record] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    began: float = field(default_factory=time.monotonic)
    commit_time: float = 0.0
    renewed: float = field(default_factory=time.monotonic)

    def step(self) -> bool:
        """Submit and wait for a while, then store; False when nothing is left."""
        begun = time.monotonic()
        while (waited := time.monotonic() - begun) < (self._patience if self.finished else _COMMIT):
            self._submit()
            if not self.flying:
                break
            for key, outcome in self.pool.wait((self._patience if self.finished else _COMMIT) - waited):
                self.flying.discard(key)
                self.finished.append(Record(key, self.planned.structures[key], outcome))
        self._commit()
        if self.pending or self.claimed or self.flying:
            return True
        return self._await_others()

    @property
    def _patience(self) -> float:
        """Time that results wait for others, to share a transaction (s)."""
        return min(_COMMIT, self.commit_time / _SHARE)

    def progress(self) -> LabelingProgress:
        """Current progress."""
        known = 0 if self.since else len(self.planned.failed)
        return LabelingProgress(
            total=len(self.planned.structures),
            found=len(self.planned.found) + self.counts["elsewhere"],
            known_failures=known + self.counts["failed elsewhere"],
            labeled=self.counts["labeled"],
            failed=self.counts["failed"],
            seconds=time.monotonic() - self.began,
        )

    def _submit(self) -> None:
        while (room := self.pool.free) > 0 and (self.claimed or self.pending):
            if not self.claimed:
                self._claim(room)
            for _ in range(min(room, len(self.claimed))):
                key = self.claimed.popleft()
                self.flying.add(key)
                self.pool.submit(key, self.planned.structures[key])

    def _claim(self, room: int) -> None:
        """Claim work for about a second, so that claims cost little and other runs find work too."""
        done = self.counts["labeled"] + self.counts["failed"] + len(self.finished)
        rate = done / max(time.monotonic() - self.began, 1e-3)
        size = min(len(self.pending), max(room, int(_CLAIMED * rate)))
        wanted = [self.pending.popleft() for _ in range(size)]
        mine = self.store.claim(wanted, since=self.since)
        self.claimed.extend(mine)
        self.elsewhere.extend(key for key in wanted if key not in set(mine))

    def _commit(self) -> None:
        now = time.monotonic()
        if self.finished:
            self.store.keep(self.planned.method, self.finished)
            self.commit_time = time.monotonic() - now
            for record in self.finished:
                self.counts["failed" if isinstance(record.outcome, Failure) else "labeled"] += 1
            self.finished = []
        if now - self.renewed > claims.RENEWAL:
            self.store.renew()
            self.renewed = now

    def _await_others(self) -> bool:
        """Take what other runs have stored; try again for what they gave up."""
        states = self.store.states(self.elsewhere, since=self.since)
        for has_label in states.values():
            self.counts["elsewhere" if has_label else "failed elsewhere"] += 1
        self.pending.extend(key for key in self.elsewhere if key not in states)
        self.elsewhere = []
        if self.pending:
            time.sleep(_POLL)
        return bool(self.pending)
