"""What a user sees of a labeling run."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from gnnpot.cli.tables import print_notes
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from gnnpot.commands.display import QUIET, Display, clock, print_prose
from gnnpot.labeling.running import LabelingProgress


class LabelingDisplay(Display):
    """A bar with rate, failures and time left; on stderr."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("labeling"), BarColumn(bar_width=24), TextColumn("{task.description}"),
            console=self._console, transient=True, disable=not self._console.is_terminal,
        )  # fmt: skip
        self._task = self._bar.add_task("", total=None)
        self._printed = time.monotonic()

    def show(self, stand: LabelingProgress) -> None:
        """Move the bar, or print a line now and then."""
        done = stand.total - stand.left
        text = f"{done} of {stand.total}, {stand.failed} failed, {stand.rate:.3g} a second"
        if stand.seconds_left is not None:
            text += f", {clock(stand.seconds_left)} left"
        self._bar.update(self._task, total=stand.total, completed=done, description=text)
        if not self._console.is_terminal and time.monotonic() - self._printed > QUIET:
            self._printed = time.monotonic()
            print_prose(self._console, text)


def print_labeling(figures: Mapping[str, Any]) -> None:
    """Print what a run did."""
    print_notes({
        "structures": f"{figures['structures']} ({figures['different']} different)",
        "in the store": figures["found"],
        "labeled now": f"{figures['labeled']} in {clock(figures['seconds'])}",
        "failed": figures["failed"],
        "store": figures["store"],
        "labels": f"{figures['labels']} ({figures['written']} structures)",
        **({"next": f"gnnpot validate {figures['labels']}"} if figures["written"] else {}),
    })  # fmt: skip
    for kind, count in Counter(failure["kind"] for failure in figures["failures"]).items():
        first = next(failure for failure in figures["failures"] if failure["kind"] == kind)
        print_prose(
            Console(stderr=True), f"{kind}: {count}, e.g. {first['origin']}: {first['reason']}", indent=2
        )


def print_preview(figures: Mapping[str, Any]) -> None:
    """Print what a run would do."""
    each, whole = figures["seconds_per_structure"], figures["seconds"]
    estimate = "none"
    if whole is not None:
        estimate = f"{clock(whole)} ({each:.3g} s each, {figures['workers']} workers)"
    print_notes({
        "method": f"{figures['method']} ({figures['method_hash'][:12]})",
        "store": figures["store"],
        "structures": f"{figures['structures']} ({figures['different']} different)",
        "in the store": f"{figures['labeled']} labels, {figures['failed']} failures",
        "to run": figures["to_run"],
        "estimate": estimate,
    })  # fmt: skip
    for reason in figures["failures_of_the_first"]:
        print_prose(Console(stderr=True), f"failed: {reason}", indent=2)
