"""Labeling run from a configuration to files."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from ase import Atoms

from gnnpot.data.reading import read_frames
from gnnpot.errors import OutputError
from gnnpot.labeling.config import DaskConfig, LabelConfig, LocalConfig
from gnnpot.labeling.export import FAILURES, LABELS, export
from gnnpot.labeling.labeler import CalculatorLabeler
from gnnpot.labeling.local import LocalPool, WorkerPool
from gnnpot.labeling.methods import Method, method_of
from gnnpot.labeling.running import LabelingProgress, estimate, fill, plan
from gnnpot.labeling.store.database import is_server, without_password
from gnnpot.labeling.store.store import LabelStore
from gnnpot.system.run_folder import RunFolder

Pools = Callable[[LabelConfig, Path], AbstractContextManager[WorkerPool]]

_ADVICE = "choose another --output"


def label_files(
    config: LabelConfig,
    output: Path,
    *,
    retry_failed: bool = False,
    observe: Callable[[LabelingProgress], None] = lambda progress: None,
    pools: Pools | None = None,
    all_fit: bool = True,
) -> dict[str, Any]:
    """Label structures and write them to ``output``.

    The folder gets ``labels.xyz`` (structures with labels, in the order of the files), ``failures.json``,
    ``config.yaml``, and without another store ``labels.db``.

    Args:
        config: Structures, reference method, and where to run it.
        output: Folder; one of an earlier run goes on.
        retry_failed: Compute those again that failed before.
        observe: Called with the progress.
        pools: Makes the pool of workers, or gives one that lives on from an earlier run; by default
            :func:`pool_of`.
        all_fit: Whether a structure that does not fit the method is an error; else it fails as one of which
            the calculation fails.

    Returns:
        Figures of the run.

    Raises:
        DataError: The structures cannot be read.
        EngineError: The method is not installed.
        LabelingError: A structure does not fit the method, and all should.
        OutputError: The store or the folder cannot be written to.
    """
    frames, method = _read(config, all_fit=all_fit), method_of(config.method)
    folder = RunFolder(output, "labeling run", files=(LABELS, FAILURES), advice=_ADVICE)
    with folder.held(resume=True):
        _check_labels_of(folder)
        place = _place(config, output)
        resolved = config.written() | {"store": without_password(place)}
        folder.begin(yaml.safe_dump(resolved, sort_keys=False))
        store = LabelStore(place)
        planned = plan(frames, method, store)
        progress = LabelingProgress(
            len(planned.structures), len(planned.found), len(planned.failed), 0, 0, 0.0
        )
        if planned.pending(retry_failed=retry_failed):
            with (pools or pool_of)(config, output / "scratch") as pool:
                progress = fill(store, planned, pool, retry_failed=retry_failed, observe=observe)
        written, failures = export(
            store, planned, output, max_force=config.max_force, max_jump=config.max_jump
        )
    return _figures(method, store, progress, len(frames)) | {
        "rate": progress.rate,
        "written": written,
        "failures": failures,
        "labels": str(output / LABELS),
    }


def _check_labels_of(folder: RunFolder) -> None:
    """Refuse the folder of another command; labels of any method and structures go into one folder."""
    if folder.is_begun and "method" not in folder.written():
        raise OutputError(f"expected a folder of labels, got the run in {folder.path}; {_ADVICE}")


def preview(config: LabelConfig, output: Path, *, retry_failed: bool = False) -> dict[str, Any]:
    """Preview of :func:`label_files`: numbers of structures, and a time estimated from the first few."""
    frames, method = _read(config, all_fit=True), method_of(config.method)
    place = _place(config, output)
    exists = is_server(place) or Path(place).exists()
    planned = plan(frames, method, LabelStore(place) if exists else None)
    pending = planned.pending(retry_failed=retry_failed)
    seconds, reasons, workers = None, list[str](), 1
    if pending:
        first = ((key, planned.structures[key]) for key in pending)
        with TemporaryDirectory() as aside, pool_of(_with_one_worker(config), Path(aside)) as pool:
            seconds, reasons = estimate(pool, first)
            workers = config.running.workers if isinstance(config.running, LocalConfig) else pool.workers
    return {
        "method": method.name,
        "method_hash": method.hash,
        "store": without_password(place),
        "structures": len(frames),
        "different": len(planned.structures),
        "labeled": len(planned.found),
        "failed": len(planned.failed),
        "to_run": len(pending),
        "workers": workers,
        "seconds_per_structure": seconds,
        "failures_of_the_first": reasons,
        "seconds": None if seconds is None else seconds * len(pending) / workers,
    }


def pool_of(config: LabelConfig, scratch: Path) -> WorkerPool:
    """The pool that ``config.running`` asks for.

    Raises:
        EngineError: The method or Dask is not installed, or no scheduler answers.
    """
    labeler = CalculatorLabeler(config.method, max_force=config.max_force, scratch=scratch.resolve())
    if isinstance(config.running, DaskConfig):
        from gnnpot.labeling.cluster import DaskPool

        return DaskPool(labeler, config.running, time_limit=config.time_limit, scratch=scratch)
    return LocalPool(labeler, workers=config.running.workers, time_limit=config.time_limit, scratch=scratch)


class KeptPool:
    """A pool of workers that lives on from one labeling run to the next, all of one method.

    After an error its workers are ended, as nobody knows what they still compute.
    """

    def __init__(self) -> None:
        self._pool: WorkerPool | None = None

    @contextmanager
    def __call__(self, config: LabelConfig, scratch: Path) -> Iterator[WorkerPool]:
        """The pool, made for the first run that asks."""
        self._pool = self._pool or pool_of(config, scratch)
        try:
            yield self._pool
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the workers."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()


def _with_one_worker(config: LabelConfig) -> LabelConfig:
    if isinstance(config.running, DaskConfig):
        return config
    return config.model_copy(update={"running": LocalConfig(workers=1)})


def _read(config: LabelConfig, *, all_fit: bool) -> list[Atoms]:
    with redirect_stdout(sys.stderr):  # some engines greet, and figures go to stdout
        config.method.calculator(Path())  # says what is missing before anything runs
        known = config.method.elements()
    frames = list(read_frames(config.structures, needed=()))
    for atoms in frames:
        atoms.calc = None
        if all_fit:
            config.method.check(atoms, known, atoms.info["origin"])
    return frames


def _place(config: LabelConfig, output: Path) -> str:
    if config.store is None:
        return str(output / "labels.db")
    return config.store if is_server(config.store) else str(Path(config.store).expanduser())


def _figures(method: Method, store: LabelStore, progress: LabelingProgress, total: int) -> dict[str, Any]:
    return {
        "method": method.name,
        "method_hash": method.hash,
        "store": without_password(store.place),
        "structures": total,
        "different": progress.total,
        "found": progress.found,
        "labeled": progress.labeled,
        "failed": progress.failed + progress.known_failures,
        "seconds": progress.seconds,
    }
