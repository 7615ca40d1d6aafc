"""The data report for a terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table

from gnnpot import units
from gnnpot.commands.display import print_prose
from gnnpot.data.checks.agreement import AGREEMENT
from gnnpot.data.checks.data_report import Coverage, DataReport
from gnnpot.data.keys import QUANTITIES

_RANGES = (
    ("energy", "energy\n(eV/atom)", 1.0),
    ("forces", "largest\nforce (eV/Å)", 1.0),
    ("stress", "mean normal\nstress (GPa)", units.GPa),
)

_MANY_GROUPS = 20  # are trajectories rather than kinds of structures


def print_report(report: DataReport) -> None:
    """Print counts, ranges, what the stress labels are, and what is wrong."""
    console = Console()
    for file in report.files:
        print_prose(console, _title(file, report), indent=2, style="bold")
        console.print(_counts(file, report))
        console.print(_ranges(file, report))
        console.print()
    lines = report.agreement()
    for line in [AGREEMENT, *(f"  {words}" for words in lines)] if lines else []:
        print_prose(console, line, indent=4)
    _print_findings(console, "note", "", report.notes)
    _print_findings(console, "warning", "yellow", report.warnings)
    _print_findings(console, "fault", "red", report.faults)
    if not report.faults:
        console.print("no faults found", style="green")


def _rows(file: Coverage, report: DataReport) -> list[tuple[str, Coverage]]:
    """The file, its groups unless they are many, and the frames with each element, as far as they differ."""
    groups = [(group.name or "(no group)", group) for group in report.groups if group.file == file.file]
    groups = groups if len(groups) <= _MANY_GROUPS else []
    elements = [(f"with {element.name}", element) for element in report.elements if element.file == file.file]
    return [("all", file), *(part for parts in (groups, elements) if len(parts) > 1 for part in parts)]


def _title(file: Coverage, report: DataReport) -> str:
    symbols = ", ".join(element.name for element in report.elements if element.file == file.file)
    title = f"{file.file}: {file.frames:,} frames of {symbols}, {file.periodic:,} with three periods"
    groups = sum(group.file == file.file for group in report.groups)
    if groups > _MANY_GROUPS:
        title += f", in {groups:,} groups"
    if file.isolated:
        title += f", {file.isolated} free atoms"
    return title


def _counts(file: Coverage, report: DataReport) -> Table:
    table = _table("", "frames", "atoms", *QUANTITIES)
    for name, coverage in _rows(file, report):
        table.add_row(name, f"{coverage.frames:,}", f"{coverage.atoms:,}", *_labels(coverage))
    return table


def _ranges(file: Coverage, report: DataReport) -> Table:
    table = _table("", *(heading for _, heading, _ in _RANGES), "shortest\ndistance (Å)")
    for name, coverage in _rows(file, report):
        cells = _extents(coverage)
        if coverage is file or cells != _extents(file):
            table.add_row(name, *cells)
    return table


def _table(first: str, *headings: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(first, no_wrap=True)
    for heading in headings:
        table.add_column(heading, justify="right")
    return table


def _labels(coverage: Coverage) -> list[str]:
    """Number of labels of each quantity, and their key where it has another name."""
    cells = []
    for quantity in QUANTITIES:
        parts = [
            f"{count:,}" if key == quantity else f"{count:,} ({key})"
            for key, count in coverage.labels[quantity].items()
        ]
        cells.append(" + ".join(parts) or "-")
    return cells


def _extents(coverage: Coverage) -> list[str]:
    cells = []
    for name, _, unit in _RANGES:
        if name not in coverage.smallest:
            cells.append("-")
        elif name == "forces":
            cells.append(f"{coverage.largest[name] / unit:.2f}")
        else:
            cells.append(f"{coverage.smallest[name] / unit:.2f} … {coverage.largest[name] / unit:.2f}")
    shortest = coverage.smallest.get("distance")
    return [*cells, "-" if shortest is None else f"{shortest:.2f}"]


def _print_findings(console: Console, kind: str, style: str, sentences: Iterable[str]) -> None:
    for sentence in sentences:
        print_prose(console, f"{kind:9s}{sentence}", indent=9, style=style)
