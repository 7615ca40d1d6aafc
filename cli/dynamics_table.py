"""What became of molecular dynamics, for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gnnpot.cli.tables import print_notes


def print_dynamics(summary: Mapping[str, Any], output: Path) -> None:
    """Print how long it ran, means over the second half, and where the files are."""
    ended = f"{summary['time_ps']:g} ps, {summary['steps']:,} steps, {summary['frames']:,} frames"
    notes: dict[str, object] = {"exploded after" if summary["failure"] else "ran": ended}
    if summary["failure"]:
        notes["because of"] = summary["failure"]
    for name, found in summary["means"].items():
        if found["mean"] is not None:
            quantity, unit = name.rsplit("_", 1)
            name = f"{quantity.replace('_', ' ')} ({unit.replace('A3', 'Å³')})"
            notes[name] = f"{found['mean']:.6g} ± {found['std']:.3g}"
    if summary["frames"]:
        notes |= {"trajectory": output / "frames.xyz", "figure": output / "dynamics.svg"}
    print_notes({**notes, "log": output / "log.csv"})
