"""The process that `peers.py` and `throughput.py` start: makes steps of one case and says how long they took.

Reads and writes one JSON object a line; the program that started it ends it.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
import warnings
from typing import IO

from limits import limit_memory, peak_megabytes, tune_malloc
from processes import Answer, Case


def serve(case: Case, requests: IO[str], answers: IO[str]) -> None:
    """Get ready, say so, then make as many steps as each request asks for."""
    import torch
    from adapters import load_adapter

    def send(answer: Answer) -> None:
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    try:
        torch.set_num_threads(case.threads)
        adapter_class = load_adapter(case.peer)
        start = peak_megabytes()
        adapter = adapter_class(case)
        send({"atoms": adapter.num_atoms, "parameters": adapter.num_parameters, "note": adapter.note(),
              "version": adapter.version()})  # fmt: skip
        gc.collect()
        gc.freeze()  # what was imported is no garbage
        for line in requests:
            wall, cpu = timed(adapter, json.loads(line)["steps"])
            send({"wall": wall, "cpu": cpu, "peak": peak_megabytes() - start})
    except Exception as error:  # whatever a library does, the table shall tell
        send({"error": _said(error, case)})


def timed(adapter, count: int) -> tuple[list[float], list[float]]:
    """Wall and processor seconds of each of ``count`` steps."""
    wall, cpu = [], []
    for _ in range(count):
        adapter.move()
        before, spent = time.perf_counter(), time.process_time()
        adapter.step()
        wall.append(time.perf_counter() - before)
        cpu.append(time.process_time() - spent)
    return wall, cpu


def _said(error: Exception, case: Case) -> str:
    if isinstance(error, MemoryError) or "allocate memory" in str(error) or "bad_alloc" in str(error):
        return f"more than {case.memory:g} GB" if case.memory else "out of memory"
    first = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {first}"[:160]


def main() -> None:
    """Take the case from the command line; keep the answers apart from what libraries print."""
    warnings.filterwarnings("ignore")
    case = Case(**json.loads(sys.argv[1]))
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    if case.malloc == "tuned":
        tune_malloc()
    if case.memory is not None:
        limit_memory(case.memory)
    serve(case, sys.stdin, answers)


if __name__ == "__main__":
    main()
