"""What a user sees while something runs; on stderr, so that stdout stays clean."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from gnnpot.benchmark.study import StudyObserver
from gnnpot.commands.display import QUIET, Display, TimeLeft
from gnnpot.training.fit import Observer
from gnnpot.training.parameter_groups import GroupRow
from gnnpot.units import ERROR_UNITS


class TrainingDisplay(Display, Observer):
    """A bar with the time left, and above it a line of errors for the epochs that matter; 80 columns wide."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._bar = _share_bar(self._console)
        self._task = self._bar.add_task("reading structures", total=1.0, left="")
        self._time_left, self._left, self._has_head = TimeLeft(), "", False
        self._told = -QUIET

    def note(self, text: str) -> None:
        """Print a line above the bar."""
        self._say(text)

    def stage(self, text: str) -> None:
        """Tell what is being done."""
        self._doing(text)
        self._bar.update(self._task, description=text)

    def groups(self, rows: Sequence[GroupRow]) -> None:
        """Print which parameters are trained how, above the bar; time begins anew."""
        self._time_left, self._has_head, self._told = TimeLeft(), False, -QUIET
        self._console.print(groups_table(rows))

    def step(self, progress: float, seconds: float) -> None:
        """Move the bar."""
        self._left = self._time_left(progress, seconds)
        self._bar.update(self._task, completed=progress, left=self._left)

    def epoch(self, row: dict[str, float], best: dict[str, float]) -> None:
        """Tell the errors of an epoch."""
        is_last = self._bar.tasks[0].completed >= 1.0
        if not is_last and time.monotonic() - self._told < QUIET:
            return
        self._told = time.monotonic()
        shown = [name for name in ERROR_UNITS if f"validation_{name}_rmse" in row]
        if not self._has_head:
            self._has_head = True
            titles = "".join(f"{name + ' (' + ERROR_UNITS[name] + ')':>{_WIDTH}s}" for name in shown)
            self._say(f"RMSE on the validation structures; * marks the best epoch so far\nepoch{titles}")
        cells = "".join(f"{row[f'validation_{name}_rmse']:{_WIDTH}.4g}" for name in shown)
        mark = "*" if row["epoch"] == best["epoch"] else " "
        self._say(f"{row['epoch']:5.0f}{cells} {mark} {self._left}".rstrip())


class ComparisonDisplay(TrainingDisplay, StudyObserver):
    """A bar over all trainings, with the time left for them."""

    def __init__(self) -> None:
        super().__init__()
        self._place, self._what = (0, 1), ""

    def stage(self, text: str) -> None:
        """Each training has its own, which are not told."""

    def begin(self, what: str, number: int, total: int) -> None:
        """Tell which piece of work begins."""
        self._place = (number - 1, total)
        self._what, share = f"{what} ({number} of {total})", (number - 1) / total
        if number == 1:
            self._time_left = TimeLeft()
        left = self._time_left(share)
        self._bar.update(self._task, description=self._what, completed=share, left=left)
        self._doing(self._what)
        if not self._console.is_terminal:
            self._say(f"{self._what}  {left}".rstrip())

    def step(self, progress: float, seconds: float) -> None:
        """Move the bar."""
        done, total = self._place
        fraction = (done + min(progress, 1.0)) / total
        self._bar.update(self._task, completed=fraction, left=self._time_left(fraction))

    def epoch(self, row: dict[str, float], best: dict[str, float]) -> None:
        """Tell the errors of the best model so far."""
        self._doing(f"{self._what}  {_errors(best)}")
        self._bar.update(self._task, description=f"{self._what}  {_errors(best)}")


class SamplingDisplay(Display):
    """The number of frames; of dynamics a bar with the time left, too."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._bar = _share_bar(self._console)
        self._task = self._bar.add_task("sampling", total=None, left="")
        self._time_left = TimeLeft()

    def watch(self, frames: int, share: float | None) -> None:
        """Tell what is done."""
        text = f"sampled {frames} structures"
        left = "" if share is None else self._time_left(share)
        total = None if share is None else 1.0
        self._bar.update(self._task, description=text, completed=share or 0.0, total=total, left=left)
        self._doing(f"{text}  {left}".rstrip())


_WIDTH = 18  # characters of a column; three of them, the epoch, the mark and the time fit into 80


def groups_table(rows: Sequence[tuple[str, int, str, str]]) -> Table:
    """Groups of parameters: sizes, how they are trained, where they started."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for title in ("group", "parameters", "training", "first values from"):
        table.add_column(title, justify="right" if title == "parameters" else "left", overflow="fold")
    for name, size, state, origin in rows:
        table.add_row(Text(name), f"{size:,}", Text(state), Text(origin))
    return table


class WorkDisplay(Display):
    """What is done now, with a bar over all of it; without a terminal a line for each new piece of work."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._bar = _share_bar(self._console)
        self._task = self._bar.add_task("", total=1.0, left="")
        self._what, self._time_left = "", TimeLeft()

    def watch(self, what: str, share: float) -> None:
        """Tell what is done now, and the share of all that is behind."""
        left = self._time_left(share)
        self._bar.update(self._task, description=what, completed=share, left=left)
        self._doing(what)
        if what != self._what and not self._console.is_terminal:
            self._say(f"{what}  {left}".rstrip())
        self._what = what


def _share_bar(console: Console) -> Progress:
    """Of a share of work, with the field ``left``; nothing where there is no terminal."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TextColumn("{task.percentage:>3.0f} %  {task.fields[left]}"),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def _errors(row: dict[str, float]) -> str:
    parts = []
    for name, unit in ERROR_UNITS.items():
        value = row.get(f"validation_{name}_rmse")
        if value is not None:
            parts.append(f"{name} {value:.4g} {unit}")
    return "  ".join(parts)
