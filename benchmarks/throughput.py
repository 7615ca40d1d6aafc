"""Time a training step and a step of dynamics of every model against the size of the system.

    python benchmarks/throughput.py --output throughput.json
    python benchmarks/throughput.py --models schnet --sizes 1000 10000 100000 --threads 1 2

Silicon crystals; a training step is energy, forces and stress in the loss, backward and Adam, without
(train) and with (train_list) making neighbor lists; a step of dynamics (md) goes through the ASE calculator,
list and skin included.  Told are microseconds an atom, of processor time with one thread and of wall time
with more, and the peak of memory above that after import, each case in a process of its own.  What takes
longer or more memory than the limits is named.  Writes JSON and, beside it, a figure.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median
from typing import Any

from limits import half_of_memory
from options import Parser, count, quantity
from peers import TASKS, machine, progress, table
from processes import Case, WorkerProcess

Row = dict[str, Any]
HEADS = ("model", "task", "atoms", "batch", "threads", "µs/atom", "ms/step", "memory (MB)", "note")
TITLES = {"train": "training step", "train_list": "training step, with list", "md": "step of dynamics"}
BATCHED_ATOMS = 64  # of each structure where the batch grows
_FEWEST = 7  # steps that are timed; the first still look for memory
_LABEL_WIDTH = 0.18  # of the axis below a panel


def cases(given: argparse.Namespace) -> Iterator[list[Case]]:
    """Series of growing cases: by the size of one structure, then by the number of structures."""
    for model in given.models:
        for task in given.tasks:
            for threads in given.threads:
                case = Case("gnnpot", model, "", task, threads=threads, memory=given.memory,
                            malloc=given.malloc)  # fmt: skip
                yield [replace(case, work=f"si{size}") for size in sorted(given.sizes)]
                if task != "md":
                    batched = replace(case, work=f"si{BATCHED_ATOMS}")
                    yield [replace(batched, batch=size) for size in sorted(given.batches)]


def measure(case: Case, *, limit: float, seconds: float) -> Row:
    """Time one case: a step to warm up, then others for ``seconds``, seven at least."""
    row: Row = {**asdict(case)}
    with WorkerProcess(case, Path(sys.executable), limit=limit) as worker:
        row.update(worker.answer())
        warm = {} if "error" in row else worker.steps(1)
        row.update({name: warm[name] for name in ("peak", "error") if name in warm})
        if "error" not in row:
            count = max(_FEWEST, min(50, int(seconds / warm["wall"][0])))
            row.update(worker.steps(count))
    if "error" not in row:
        steps = row["cpu"] if case.threads == 1 else row["wall"]
        row["ms"] = 1000 * median(steps)
        row["us_per_atom"] = 1000 * row["ms"] / row["atoms"]
    return row


def series(grown: list[Case], *, limit: float, seconds: float) -> Iterator[Row]:
    """Rows of a series; after one that exceeds a limit the larger ones are not tried."""
    exceeded = None
    for case in grown:
        if exceeded is None:
            row = measure(case, limit=limit, seconds=seconds)
            if "error" in row:
                exceeded = f"{case.batch} × {case.work}" if case.batch > 1 else case.work
        else:
            row = {**asdict(case), "error": f"not tried, since {exceeded} failed"}
        yield row


def cells(row: Row) -> list[str]:
    """A row of the table."""
    atoms = str(row.get("atoms", f"{row['batch']} × {row['work']}"))
    head = [row["architecture"], row["task"], atoms, str(row["batch"]), str(row["threads"])]
    if "error" in row:
        return [*head, "", "", "", row["error"]]
    return [*head, f"{row['us_per_atom']:.3g}", f"{row['ms']:.4g}", f"{row['peak']:.0f}", ""]


def draw(rows: list[Row], path: Path) -> None:
    """A panel for each task, a line for each model and number of threads, one structure a step.

    Args:
        rows: At least one of them measured, with one structure a step.
        path: Image file.
    """
    from matplotlib.figure import Figure

    measured = [row for row in rows if is_drawn(row)]
    tasks = [task for task in TASKS if any(row["task"] == task for row in measured)]
    figure = Figure(figsize=(4.2 * len(tasks), 3.8), layout="tight")
    panels = figure.subplots(1, len(tasks), sharey=True, squeeze=False)[0]
    lines = list(dict.fromkeys((row["architecture"], row["threads"]) for row in measured))
    several = len({threads for _, threads in lines}) > 1
    for panel, task in zip(panels, tasks, strict=True):
        for model, threads in lines:
            points = sorted(
                {row["atoms"]: row["us_per_atom"] for row in measured
                 if (row["architecture"], row["threads"], row["task"]) == (model, threads, task)}.items()
            )  # fmt: skip
            label = f"{model}, {threads} threads" if several and threads > 1 else model
            panel.plot(*zip(*points, strict=True) if points else ([], []), marker="o", label=label)
        panel.set(xscale="log", yscale="log", xlabel="atoms", title=TITLES[task])
        panel.set_xticks(spaced({row["atoms"] for row in measured if row["task"] == task}))
        panel.set_xticks([], minor=True)
        panel.xaxis.set_major_formatter("{x:g}")
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("time (µs/atom)")
    panels[-1].legend()
    figure.savefig(path, dpi=150)


def is_drawn(row: Row) -> bool:
    """Whether the figure shows this row: what was measured with one structure a step."""
    return "error" not in row and row["batch"] == 1


def spaced(sizes: set[int]) -> list[int]:
    """Those sizes, from the least on, whose labels have room on a logarithmic axis."""
    room = (max(sizes) / min(sizes)) ** _LABEL_WIDTH
    kept: list[int] = []
    for size in sorted(sizes):
        if not kept or size >= kept[-1] * room:
            kept.append(size)
    return kept


def arguments(words: list[str] | None) -> argparse.Namespace:
    """The options."""
    parser = Parser(__doc__)
    add = parser.add_argument
    add("--models", nargs="+", metavar="NAME", help="default: all that are registered")
    add("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    add("--sizes", nargs="+", type=count, default=[8, 64, 216, 1000], help="atoms of one structure")
    add(
        "--batches",
        nargs="*",
        type=count,
        default=[4, 16],
        help=f"structures of {BATCHED_ATOMS} atoms in a step",
    )
    add("--threads", nargs="+", type=count, default=[1])
    add("--seconds", type=quantity, default=1.0, help="of measurement in each case")
    add("--limit", type=quantity, default=120.0, help="longest wait for a start or a step, s")
    add("--memory", type=quantity, default=half_of_memory(), help="GB; default: half of the machine's")
    add("--malloc", choices=["plain", "tuned"], default="tuned",
        help="tuned: glibc keeps freed memory, as in the commands and the calculator")  # fmt: skip
    add("--output", type=Path, default=Path("throughput.json"), help="JSON; the figure is beside it")
    given = parser.parse_args(words)
    if given.output.suffix == ".png":
        parser.error(f"expected a JSON file, got {given.output}; leave .png to the figure beside it")
    choose_models(given, parser)
    parser.make_room(given.output)
    return given


def choose_models(given: argparse.Namespace, parser: Parser) -> None:
    """All models where none is named; refuse unknown names."""
    from adapters.own import architectures  # torch takes seconds to import

    from gnnpot.config.registry import nearest
    from gnnpot.models import MODELS

    known = {*architectures(), *MODELS}
    given.models = given.models or architectures()
    for name in given.models:
        if name not in known:
            parser.error(f"argument --models: expected a model, got {name!r}; {nearest(name, known)}")


def main(words: list[str] | None = None) -> None:
    """Measure what was asked for; write after each case."""
    given = arguments(words)
    rows: list[Row] = []
    plan = list(cases(given))
    total = sum(len(grown) for grown in plan)
    for grown in plan:
        for row in series(grown, limit=given.limit, seconds=given.seconds):
            rows.append(row)
            told = row.get("error") or f"{row['us_per_atom']:.3g} µs/atom, {row['peak']:.0f} MB"
            case = f"{row['architecture']} {row['task']} {row['batch']} × {row['work']}"
            progress(f"[{len(rows)}/{total}] {case}, threads {row['threads']}: {told}")
            given.output.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1) + "\n")
    print(table(HEADS, [cells(row) for row in rows]))
    if any(map(is_drawn, rows)):
        draw(rows, given.output.with_suffix(".png"))
    else:
        progress("no figure: no step of one structure was measured within the limits")


if __name__ == "__main__":
    main()
