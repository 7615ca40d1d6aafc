from __future__ import annotations

import gc
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from ase import Atoms
from batch_system import cancel, jobs, needs_slurm, slurm
from label_copper import copper, counting

from gnnpot.engines import engine_of
from gnnpot.errors import EngineError
from gnnpot.labeling import CalculatorLabeler, LabelStore, fill, method_of, plan
from gnnpot.labeling.cluster import INSTALL, DaskPool
from gnnpot.labeling.config import DaskConfig

pytest.importorskip("distributed", reason=f"needs Dask: {INSTALL}")


@pytest.fixture
def cluster(tmp_path: Path, unused_port: int) -> Iterator[tuple[str, list[int]]]:
    """A scheduler and two workers, as on two nodes: its address, and the workers' process numbers."""
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([*map(str, Path(__file__).parents[:2]), *sys.path]),
        "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "20s",
    }

    def start(*words: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "dask", *words], env=environment, cwd=tmp_path,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    address = f"tcp://127.0.0.1:{unused_port}"
    running = [start("scheduler", "--host", "127.0.0.1", "--port", str(unused_port), "--no-dashboard")]
    options = ("--nthreads", "1", "--no-dashboard", "--no-nanny", "--local-directory", str(tmp_path))
    running += [start("worker", address, *options) for _ in range(2)]
    try:
        yield address, [process.pid for process in running[1:]]
    finally:
        for process in running:
            process.kill()
            process.wait()


@pytest.fixture
def unused_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_a_cluster_labels_by_the_same_path_and_survives_the_loss_of_a_worker(tmp_path, cluster):
    address, pids = cluster
    engine, store = counting(tmp_path, 0.02), LabelStore(tmp_path / "labels.db")
    method, rng, victims = method_of(engine), random.Random(0), pids[:1]
    planned = plan(copper(60), method, store)
    config = DaskConfig(scheduler=address)

    def kill(progress):
        if progress.labeled > 20 and victims:
            time.sleep(rng.uniform(0.0, 0.1))
            os.kill(victims.pop(), signal.SIGKILL)

    with DaskPool(CalculatorLabeler(engine), config, scratch=tmp_path / "scratch") as pool:
        progress = fill(store, planned, pool, observe=kill)
    assert not victims
    assert (progress.labeled, progress.failed) == (60, 0)
    assert all(store.states(planned.structures).values())
    assert not (tmp_path / "scratch").exists()
    check_engines_faults(tmp_path, config)


def check_engines_faults(tmp_path: Path, config: DaskConfig) -> None:
    """An engine that hangs or dies on the cluster is a failure with its reason."""
    engine = engine_of({"kind": "ase", "calculator_class": "faulty_engines.Faulty"})
    store, method = LabelStore(tmp_path / "faults.db"), method_of(engine)
    frames = [
        Atoms(f"Ar{n}", [[2.5 * i, 0, 0] for i in range(n)], cell=[40, 9, 9], pbc=True) for n in (1, 2, 5)
    ]
    planned = plan(frames, method, store)
    with DaskPool(CalculatorLabeler(engine), config, time_limit=2.0, scratch=tmp_path / "s") as pool:
        fill(store, planned, pool)
    failures = [store.failures([key])[key].kind for key in planned.keys[:2]]
    assert failures == ["time-out", "crash"]
    assert store.states(planned.keys[2:]) == {planned.keys[2]: True}


def test_a_scheduler_that_does_not_answer_is_named(unused_port, monkeypatch):
    monkeypatch.setattr("gnnpot.labeling.cluster._ANSWER", 1)
    with pytest.raises(EngineError, match="expected a scheduler of Dask at tcp://127"):
        DaskPool(unlabeled, DaskConfig(scheduler=f"tcp://127.0.0.1:{unused_port}"))


def unlabeled(atoms: Atoms) -> Atoms:
    return atoms


@pytest.fixture(scope="module")
def queue() -> Iterator[None]:
    if find_spec("dask_jobqueue") is None:
        pytest.skip(f"needs dask-jobqueue: {INSTALL}")
    with slurm():
        yield


OPTIONS = {"cores": 1, "memory": "1GB", "interface": "lo"}


@needs_slurm
def test_jobs_of_a_batch_system_label_and_one_may_be_cancelled(queue, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([*map(str, Path(__file__).parents[:2]), *sys.path]))
    engine, store = counting(tmp_path, 0.05), LabelStore(tmp_path / "labels.db")
    planned, cancelled = plan(copper(60), method_of(engine), store), list[str]()

    def end_one(progress):
        if progress.labeled > 10 and not cancelled:
            cancelled.append(jobs()[0])
            cancel(cancelled[0])

    config = DaskConfig(queue="slurm", jobs=2, options=OPTIONS)
    with DaskPool(CalculatorLabeler(engine), config, scratch=tmp_path / "scratch") as pool:
        progress = fill(store, planned, pool, observe=end_one)
    assert cancelled
    assert (progress.labeled, progress.failed) == (60, 0)
    assert all(store.states(planned.structures).values())
    assert len(list((tmp_path / "scratch" / "jobs").glob("*.out"))) == 2


@needs_slurm
@pytest.mark.filterwarnings("ignore:unclosed cluster:ResourceWarning")  # Dask's, which it has half made
@pytest.mark.parametrize(
    ("options", "message"),
    {
        "an unknown option": ({"coress": 1}, "Got unexpected keyword argument 'coress'"),
        "a missing option": ({"memory": None}, "must specify how much cores and memory"),
        "an unknown partition": ({"queue": "nosuch"}, "expected slurm to take a job.*nosuch"),
    }.values(),
)
def test_a_job_that_is_refused_is_named(queue, tmp_path, options, message):
    config = DaskConfig(queue="slurm", options={**OPTIONS, **options})
    with pytest.raises(EngineError, match=message):
        DaskPool(unlabeled, config, scratch=tmp_path)
    gc.collect()


@pytest.mark.skipif(find_spec("dask_jobqueue") is None, reason=f"needs dask-jobqueue: {INSTALL}")
def test_a_batch_system_that_is_not_here_is_named_and_ctrl_c_stays(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(EngineError, match="expected qsub of pbs, got none on the path"):
        DaskPool(unlabeled, DaskConfig(queue="pbs", options=OPTIONS), scratch=tmp_path)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_batch_system_needs_its_package():
    if find_spec("dask_jobqueue") is not None:
        pytest.skip("dask-jobqueue is here")
    with pytest.raises(EngineError, match="pip install distributed, and dask-jobqueue"):
        DaskPool(unlabeled, DaskConfig(scheduler=None, queue="slurm"))
