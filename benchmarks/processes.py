"""One measured process: started, asked over pipes, one JSON object a line, and ended."""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Timer
from typing import Any, Literal

from limits import environment

Task = Literal["train", "train_list", "md"]
Answer = dict[str, Any]
WORKER = Path(__file__).resolve().parent / "worker.py"


@dataclass(frozen=True)
class Case:
    """What one process does over and over.

    Attributes:
        peer: Name of the library, see :data:`adapters.PEERS`.
        architecture: Name of the model and its sizes.
        work: Name of the structures, see :func:`works.ideal`.
        task: A training step without or with making the neighbor list, or an MD step.
        batch: Structures in a training step.
        threads: Of the tensor library.
        malloc: ``plain``, or ``tuned`` as :func:`limits.tune_malloc` does.
        memory: Allocations fail beyond this (GB); no limit if None.
    """

    peer: str
    architecture: str
    work: str
    task: Task
    batch: int = 1
    threads: int = 1
    malloc: Literal["plain", "tuned"] = "plain"
    memory: float | None = None


class WorkerProcess:
    """A process that makes the steps of a case and times them.

    Args:
        case: What it does.
        python: Interpreter of the environment that holds the library.
        limit: Longest wait for an answer (s); the process is killed then.
    """

    def __init__(self, case: Case, python: Path, *, limit: float) -> None:
        self.case = case
        self.limit = limit
        self.process = subprocess.Popen(
            [str(python), str(WORKER), json.dumps(asdict(case))],
            env=environment(case.threads),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def answer(self) -> Answer:
        """The next answer; one with ``error`` if the process failed, died or took too long."""
        assert self.process.stdout is not None
        begun = time.monotonic()
        timer = Timer(self.limit, self.process.kill)
        timer.start()
        line = self.process.stdout.readline()
        timer.cancel()
        if line:
            return json.loads(line)
        if time.monotonic() - begun >= self.limit:
            return {"error": f"more than {self.limit:g} s"}
        return {"error": f"ended with status {self.process.wait()}, perhaps for want of memory"}

    def steps(self, count: int) -> Answer:
        """Make ``count`` steps: ``wall`` and ``cpu`` (lists, s) and ``peak`` (MB since the start)."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps({"steps": count}) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return {"error": f"ended with status {self.process.wait()}"}
        return self.answer()

    def __enter__(self) -> WorkerProcess:
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        try:
            self.process.stdin.close()
        except BrokenPipeError:  # unsent bytes for a process that is gone
            return
