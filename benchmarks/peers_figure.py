"""Draw what peers.py measured: the time of other libraries as a multiple of gnnpot's.

python benchmarks/peers_figure.py peers.json benchmarks/figures/peers.svg
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from options import Parser

from gnnpot.report.figures import FIGURE_STYLE

ARCHITECTURES = {
    "schnet-interpolated": "SchNet",
    "schnet": "SchNet, exact filters",
    "dimenet32": "DimeNet++ 32",
    "dimenet128": "DimeNet++ 128",
    "ani": "ANI",
    "nequip": "NequIP",
}
TASKS = {"train": "A training step", "train_list": "A training step, with list", "md": "A step of dynamics"}
PEERS = {
    "pyg": ("PyTorch Geometric", "o"), "schnetpack": ("SchNetPack", "s"), "graph-pes": ("graph-pes", "^"),
    "torchani": ("TorchANI", "D"), "torchani-flat": ("TorchANI, flat batch", "v"), "nequip": ("NequIP", "P"),
}  # fmt: skip
FORMATS = (".svg", ".png", ".pdf")


class Point(NamedTuple):
    """A library at one work: names as peers.py gives them, but the structure in words."""

    task: str
    architecture: str
    structure: str
    threads: int
    peer: str
    ratio: float

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Point:
        """What one row of a file tells; KeyError if it is none of peers.py."""
        names = {"task": TASKS, "architecture": ARCHITECTURES, "peer": PEERS}
        if unknown := [row[key] for key, known in names.items() if row[key] not in known]:
            raise KeyError(*unknown)
        work, ratio = row["work"], float(row["ratio"])
        element = work.rstrip("0123456789")
        atoms = row["atoms"] // row["batch"]
        structure = work if element == work else f"{element.capitalize()}, {atoms} atoms"
        return cls(row["task"], row["architecture"], structure, int(row["threads"]), row["peer"], ratio)


def drawn(points: list[Point]) -> Figure:
    """A panel for each task, a line for each architecture and structure, a mark for each library."""
    order = list(ARCHITECTURES)
    points = sorted(points, key=lambda point: (order.index(point.architecture), point.threads))
    threads = {point.threads for point in points}
    name, width = (plain, 4.2) if len(threads) == 1 else (with_threads, 4.9)
    tasks = [task for task in TASKS if any(point.task == task for point in points)]
    height = max(2.4, 1.0 + 0.2 * len({name(point) for point in points}))
    figure = Figure(figsize=(width * len(tasks), height), layout="constrained")
    axes = figure.subplots(1, len(tasks), sharex=True, squeeze=False)[0]
    for task, axis in zip(tasks, axes, strict=True):
        panel([(name(point), point.peer, point.ratio) for point in points if point.task == task], axis)
        axis.set_title(TASKS[task])
    axes[0].set_xlim(left=0.0)  # of all panels, once all have their points
    marks = {mark.get_label(): mark for axis in axes for mark in axis.collections}
    marks = {label: marks[label] for label, _ in PEERS.values() if label in marks}
    look = {"ncols": 5 * len(tasks) // 2, "frameon": False, "title": f"{clock(threads)} (gnnpot = 1)"}
    figure.legend(marks.values(), marks, loc="outside lower center", **look)
    return figure


def panel(ratios: list[tuple[str, str, float]], axis: Axes) -> None:
    """The ratios of one task, each with the names of its line and its library."""
    lines = list(dict.fromkeys(line for line, _, _ in ratios))
    for number, (peer, (label, marker)) in enumerate(PEERS.items()):
        places = [(ratio, -lines.index(line)) for line, library, ratio in ratios if library == peer]
        if places:
            across, down = zip(*places, strict=True)
            axis.scatter(across, down, marker=marker, color=f"C{number}", s=28, label=label, zorder=3)
    axis.axvline(1.0, color="black", linewidth=1.0)
    axis.set_yticks([-number for number in range(len(lines))], lines)
    axis.grid(visible=True, axis="both", alpha=0.3)


def plain(point: Point) -> str:
    """The name of a line."""
    return f"{ARCHITECTURES[point.architecture]}, {point.structure}"


def with_threads(point: Point) -> str:
    """The name of a line where they differ in threads."""
    return f"{plain(point)}, {point.threads} {'thread' if point.threads == 1 else 'threads'}"


def clock(threads: set[int]) -> str:
    """What peers.py compares where steps have these numbers of threads."""
    if 1 not in threads:
        return "wall time"
    return "processor time" if threads == {1} else "processor time, of several threads wall time"


def compared(path: Path) -> list[Point]:
    """What a file of peers.py tells of other libraries beside gnnpot.

    Raises:
        ValueError: It tells nothing of them, or is another file.
    """
    try:
        rows = json.loads(path.read_text())["rows"]
        points = [Point.from_row(row) for row in rows if "ratio" in row and row["peer"] != "gnnpot"]
    except OSError as error:
        raise ValueError(
            f"expected a file of peers.py, got {path} ({error.strerror}); name another"
        ) from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(
            f"expected a file of peers.py, got {path}; measure with peers.py --output"
        ) from error
    if not points:
        raise ValueError(
            f"expected times of other libraries as multiples of gnnpot's, got {path} without any; "
            "measure with peers.py --output"
        )
    return points


def main(words: list[str] | None = None) -> None:
    """Read the measurements, write the figure."""
    parser = Parser(__doc__)
    parser.add_argument("measured", type=Path, nargs="+", help="files of peers.py --output")
    parser.add_argument("figure", type=Path, help="SVG, PNG or PDF file")
    given = parser.parse_args(words)
    if given.figure.suffix not in FORMATS:
        parser.error(f"expected a figure, got {given.figure}; let its name end with {', '.join(FORMATS)}")
    try:
        points = [point for path in given.measured for point in compared(path)]
    except ValueError as error:
        parser.error(str(error))
    parser.make_room(given.figure)
    with mpl.rc_context(FIGURE_STYLE):
        drawn(points).savefig(given.figure)


if __name__ == "__main__":
    main()
