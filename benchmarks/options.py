"""Options of the programs that measure; what does not fit is refused in one line, before anything runs."""

from __future__ import annotations

import argparse
import math
import os
from pathlib import Path
from typing import NoReturn


class Parser(argparse.ArgumentParser):
    """Shows its description as it stands, and tells of a mistake without the usage.

    Args:
        description: Docstring of the program.
    """

    def __init__(self, description: str | None) -> None:
        super().__init__(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)

    def error(self, message: str) -> NoReturn:
        """End the program with one line."""
        self.exit(2, f"{self.prog}: {message}\n")

    def make_room(self, file: Path) -> None:
        """Make the folder of a file that shall be written; refuse what cannot take it."""
        reason = None
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = error.strerror
        if file.is_dir():
            reason = "a folder"
        elif reason is None and not os.access(file if file.exists() else file.parent, os.W_OK):
            reason = "no permission"
        if reason:
            self.error(f"expected a file that can be written, got {file} ({reason}); choose another")


def count(word: str) -> int:
    """A whole number above 0."""
    try:
        number = int(word)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, got {word!r}; choose another")
    return number


def quantity(word: str) -> float:
    """A finite number above 0."""
    try:
        number = float(word)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"expected a finite number above 0, got {word!r}; choose another")
    return number
