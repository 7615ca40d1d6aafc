"""Draw what peers.py measured: the time of other libraries as a multiple of gnnpot's.

python benchmarks/peers_figure.py peers.json benchmarks/figures/peers.svg
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from gnnpot.report.figures import FIGURE_STYLE

ARCHITECTURES = {
    "schnet-interpolated": "SchNet",
    "schnet": "SchNet, exact filters",
    "dimenet32": "DimeNet++ 32",
    "dimenet128": "DimeNet++ 128",
    "ani": "ANI",
}
WORKS = {"si64": "Si, 64 atoms", "hexane": "hexane", "ni32": "Ni, 32 atoms", "ni108": "Ni, 108 atoms"}
TASKS = {"train": "A training step", "md": "A step of dynamics"}
PEERS = {
    "pyg": ("PyTorch Geometric", "o"), "schnetpack": ("SchNetPack", "s"), "graph-pes": ("graph-pes", "^"),
    "torchani": ("TorchANI", "D"), "torchani-flat": ("TorchANI, flat batch", "v"),
}  # fmt: skip
Row = dict[str, Any]


def draw(rows: list[Row], path: Path) -> None:
    """A panel for each task, a line for each architecture and structure, a mark for each library."""
    with mpl.rc_context(FIGURE_STYLE):
        figure, axes = plt.subplots(1, len(TASKS), figsize=(8.4, 4.0), sharex=True, layout="constrained")
        for (task, title), axis in zip(TASKS.items(), axes, strict=True):
            panel([row for row in rows if row["task"] == task], axis)
            axis.set(title=title, xlabel="processor time (gnnpot = 1)")
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
        figure.savefig(path)
        plt.close(figure)


def panel(rows: list[Row], axis: Axes) -> None:
    """The ratios of one task."""
    places = [
        (architecture, work)
        for architecture in ARCHITECTURES
        for work in WORKS
        if any((row["architecture"], row["work"]) == (architecture, work) for row in rows)
    ]
    for peer, (name, marker) in PEERS.items():
        points = [
            (row["ratio"], -places.index((row["architecture"], row["work"])))
            for row in rows
            if row["peer"] == peer and "ratio" in row
        ]
        ratios, lines = [ratio for ratio, _ in points], [line for _, line in points]
        axis.scatter(ratios, lines, marker=marker, s=28, label=name, zorder=3)
    axis.axvline(1.0, color="black", linewidth=1.0)
    axis.set_yticks([-number for number in range(len(places))])
    axis.set_yticklabels([f"{ARCHITECTURES[architecture]}, {WORKS[work]}" for architecture, work in places])
    axis.grid(visible=True, axis="both", alpha=0.3)
    axis.set_xlim(left=0.0)


def main() -> None:
    """Read the measurements, write the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("measured", type=Path, nargs="+", help="files of peers.py --output")
    parser.add_argument("figure", type=Path, help="SVG, PNG or PDF file")
    given = parser.parse_args()
    draw([row for path in given.measured for row in json.loads(path.read_text())["rows"]], given.figure)


if __name__ == "__main__":
    main()
