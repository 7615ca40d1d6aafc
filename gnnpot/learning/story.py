"""The state of a loop on disk: what each phase of each round has done, so that it is done once."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gnnpot.errors import OutputError, one_line
from gnnpot.system.documents import read_json
from gnnpot.system.files import make_folder, write_text

DONE, STORY = "done.json", "story.json"
Facts = dict[str, Any]


class Phases:
    """A folder, and what the phases of the work in it have done.

    Args:
        path: The folder.

    Raises:
        OutputError: What is there of it is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        make_folder(self.path)
        self._done: dict[str, Facts] = {}
        path = self.path / DONE
        if path.exists():
            try:
                self._done = dict(read_json(path))
            except (OSError, ValueError, TypeError) as error:
                raise OutputError(
                    f"expected the phases of a round in {path}, got a damaged file ({one_line(error)}); "
                    "remove the folder of the round, whose labels are kept, and go on with --resume"
                ) from error

    def __getitem__(self, phase: str) -> Facts:
        return self._done.get(phase, {})

    def has(self, phase: str) -> bool:
        """Whether a phase is done."""
        return phase in self._done

    def once(self, phase: str, work: Callable[[], Facts]) -> Facts:
        """Do a phase unless it is done, and note what came of it.

        Args:
            phase: Its name.
            work: Does it, or goes on with it; gives what is worth telling.
        """
        if phase not in self._done:
            begun = time.monotonic()
            facts = work()
            self._done[phase] = {**facts, "seconds": round(time.monotonic() - begun, 3)}
            write_text(self.path / DONE, json.dumps(self._done, indent=1) + "\n")
            self.retell()
        return self._done[phase]

    @property
    def seconds(self) -> float:
        """Time of all phases."""
        return sum(float(facts["seconds"]) for facts in self._done.values())

    @property
    def complaints(self) -> list[str]:
        """What went wrong in it."""
        return [f"{phase}: {facts['bad']}" for phase, facts in self._done.items() if facts.get("bad")]

    def retell(self) -> None:
        """Say elsewhere, too, what has been done."""


class Round(Phases):
    """One round of several.

    Args:
        folder: Folder of the loop.
        number: Number of the round, from 0.
    """

    def __init__(self, folder: Path, number: int) -> None:
        self.number = number
        super().__init__(folder / f"round-{number:02d}")

    def retell(self) -> None:
        """Write the story of the whole loop: the phases of all rounds in their order."""
        parts = [
            {"round": int(folder.name.partition("-")[2]), "phase": phase, **facts}
            for folder in sorted(self.path.parent.glob("round-*"))
            if (folder / DONE).exists()
            for phase, facts in read_json(folder / DONE).items()
        ]
        write_text(self.path.parent / STORY, json.dumps(parts, indent=1) + "\n")
