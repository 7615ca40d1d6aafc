"""Time gnnpot and other libraries at the same work, interleaved, each in an environment of its own.

    python benchmarks/environments.py torchani schnetpack graph-pes
    python benchmarks/peers.py --architectures schnet ani --works si64 hexane --output peers.json

Every library is a process that lives through the measurement of a task; rounds go over all of them, A B A B,
so that other work on the machine touches all alike.  Told are medians of processor and wall time of a step,
the peak of memory above that after import, and the time as a multiple of gnnpot's: of processor time with
one thread, of wall time with more.

Works: si64 (64 silicon atoms), hexane (20 atoms, open boundaries), ni108 (108 nickel atoms for dynamics, 32
for training), or si and a count.  Tasks: train (a training step, neighbor lists made before), train_list
(lists and batch made in the step), md (a step of dynamics through the library's ASE calculator).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median
from typing import Any

from adapters import ARCHITECTURES, PEERS
from environments import DEFAULT_FOLDER, interpreter, is_installed
from options import Parser, count, quantity
from processes import Answer, Case, WorkerProcess
from works import check_name

Row = dict[str, Any]
COMPARED = ["schnet", "schnet-interpolated", "dimenet32", "dimenet128", "ani"]  # of equal sizes on all sides
TASKS = ("train", "train_list", "md")
STEPS = {"train": 1, "train_list": 1, "md": 10}  # of a round
WARM_UP = {"train": 4, "train_list": 4, "md": 10}  # steps before; the first still look for memory
BATCHES = {
    "schnet": {"ni108": 16, "hexane": 64},
    "schnet-interpolated": {"ni108": 16, "hexane": 64},
    "ani": {"ni108": 64, "hexane": 64},
    "dimenet32": {"si64": 4, "ni108": 4, "hexane": 64},
    "dimenet128": {"si64": 2, "ni108": 1, "hexane": 16},
}
HEADS = ("architecture", "work", "task", "batch", "library", "CPU (ms)", "wall (ms)", "memory (MB)",
         "× gnnpot", "note")  # fmt: skip


def batch_size(case: Case) -> int:
    """Structures in a training step: as many as the largest library can hold with ease."""
    if case.task == "md":
        return 1
    return BATCHES.get(case.architecture, {}).get(case.work, 64 if case.work == "hexane" else 16)


def plan(given: argparse.Namespace) -> list[Case]:
    """One case for each architecture, work and task; the library is filled in later."""
    cases = []
    for architecture in given.architectures:
        for work in given.works:
            for task in given.tasks:
                case = Case("", architecture, work, task, threads=given.threads, malloc=given.malloc)
                size = given.batch if given.batch and task != "md" else batch_size(case)
                frames = "ni32" if work == "ni108" and task != "md" else work
                cases.append(replace(case, work=frames, batch=size))
    return cases


def measure(case: Case, given: argparse.Namespace) -> list[Row]:
    """The rows of all libraries that have the architecture."""
    peers = [peer for peer in ARCHITECTURES[case.architecture] if case.task in PEERS[peer].tasks]
    rows = {peer: {**asdict(case), "peer": peer} for peer in peers}
    with ExitStack() as stack:
        workers = {}
        for peer, row in rows.items():
            if (python := python_of(peer, given.folder)) is None:
                row["error"] = f"not installed: run `{install_command(peer, given.folder)}`"
            else:
                worker = WorkerProcess(replace(case, peer=peer), python, limit=given.limit)
                workers[peer] = stack.enter_context(worker)
        for peer, worker in list(workers.items()):
            take(rows[peer], worker.answer(), workers)
        for number in range(given.rounds + 1):
            progress(f"  round {number} of {given.rounds}" if number else "  warming up")
            for peer, worker in list(workers.items()):
                answer = worker.steps((STEPS if number else WARM_UP)[case.task])
                if number == 0 and "error" not in answer:
                    answer = {"peak": answer["peak"]}
                take(rows[peer], answer, workers)
    return list(rows.values())


def python_of(peer: str, folder: Path) -> Path | None:
    """The interpreter that has the library; None if its environment is missing."""
    name = PEERS[peer].environment
    if name is None:
        return Path(sys.executable)
    return interpreter(name, folder) if is_installed(name, folder) else None


def install_command(peer: str, folder: Path) -> str:
    """What makes the environment of a library."""
    where = "" if folder == DEFAULT_FOLDER else f" --folder {folder}"
    return f"python benchmarks/environments.py {PEERS[peer].environment}{where}"


def take(row: Row, answer: Answer, workers: dict[str, WorkerProcess]) -> None:
    """Add an answer to the row; one that failed is not asked again."""
    for name in ("wall", "cpu"):
        row.setdefault(name, []).extend(answer.pop(name, []))
    row.update(answer)
    if "error" in answer:
        row["error"] = f"failed: {answer['error']}"
        del workers[row["peer"]]


def compare(rows: list[Row], threads: int) -> None:
    """Add medians (ms) to the rows of one case, and what they are as multiples of gnnpot's."""
    clock = "cpu" if threads == 1 else "wall"
    for row in rows:
        if "error" not in row:
            row["cpu_ms"], row["wall_ms"] = 1000 * median(row["cpu"]), 1000 * median(row["wall"])
    times = {row["peer"]: row[f"{clock}_ms"] for row in rows if "error" not in row}
    ours = times.pop("gnnpot", None)
    for row in rows:
        if ours is not None and row["peer"] in times:
            row["ratio"] = times[row["peer"]] / ours
        if ours is not None and row["peer"] == "gnnpot":
            row["ratio"] = 1.0
            if times:
                fastest = min(times, key=times.__getitem__)
                row["fastest_peer"], row["speedup"] = fastest, times[fastest] / ours


def cells(row: Row) -> list[str]:
    """A row of the table."""
    head = [row["architecture"], row["work"], row["task"], str(row["batch"])]
    library = row.get("version", row["peer"])
    if row["peer"].endswith("-flat"):
        library = library.removesuffix("-flat") + ", flat batch"
    if "error" in row:
        return [*head, library, "", "", "", "", row["error"]]
    ratio = f"{row['ratio']:.2f}" if "ratio" in row else ""
    note = row["note"]
    if "speedup" in row:
        note = f"fastest peer ({row['fastest_peer']}) takes {row['speedup']:.2f} times as long"
    times = [f"{row[name]:.4g}" for name in ("cpu_ms", "wall_ms")]
    return [*head, library, *times, f"{row['peak']:.0f}", ratio, note]


def table(heads: Sequence[str], rows: list[list[str]]) -> str:
    """Rows of cells in Markdown, columns aligned."""
    lines = [list(heads), *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    lines.insert(1, ["-" * width for width in widths])
    padded = [[cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in padded)


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return {"processor": models[0] if models else platform.processor(), "cores": os.cpu_count()}


def progress(words: str) -> None:
    """Say where the run is, apart from the table."""
    print(words, file=sys.stderr, flush=True)


def arguments(words: list[str] | None) -> argparse.Namespace:
    """The options."""
    parser = Parser(__doc__)
    add = parser.add_argument
    add("--architectures", nargs="+", choices=ARCHITECTURES, default=COMPARED, metavar="NAME",
        help=f"{', '.join(ARCHITECTURES)}; default: {', '.join(COMPARED)}")  # fmt: skip
    add("--works", nargs="+", default=["si64", "hexane", "ni108"], metavar="NAME")
    add("--tasks", nargs="+", choices=TASKS, default=["train", "md"])
    add("--batch", type=count, help="structures in a training step; default: what fits each architecture")
    add("--threads", type=count, default=1)
    add("--rounds", type=count, default=7)
    add("--malloc", choices=["plain", "tuned"], default="plain", help="tuned: glibc keeps freed memory")
    add("--folder", type=Path, default=DEFAULT_FOLDER, help="of the environments; default: %(default)s")
    add("--limit", type=quantity, default=600.0, help="longest wait for one answer, s")
    add("--output", type=Path, help="JSON file for all numbers")
    given = parser.parse_args(words)
    try:
        for work in given.works:
            check_name(work)
    except ValueError as error:
        parser.error(f"argument --works: {error}")
    if given.output:
        parser.make_room(given.output)
    return given


def main(words: list[str] | None = None) -> None:
    """Measure what was asked for, print the table, write the file after each case."""
    given = arguments(words)
    rows: list[Row] = []
    cases = plan(given)
    for number, case in enumerate(cases, start=1):
        progress(f"[{number}/{len(cases)}] {case.architecture} {case.work} {case.task}, batch {case.batch}")
        measured = measure(case, given)
        compare(measured, given.threads)
        rows += measured
        if given.output:
            given.output.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1) + "\n")
    print(table(HEADS, [cells(row) for row in rows]))


if __name__ == "__main__":
    main()
