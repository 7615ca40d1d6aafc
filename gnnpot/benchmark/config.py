"""Base class of benchmark configurations, which detects that a folder holds another benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import yaml

from gnnpot.config.base import Configuration
from gnnpot.errors import ConfigError


class StudyConfig(Configuration):
    """Configuration of a benchmark that can be resumed.

    Attributes:
        NOUN: Name of the benchmark in messages.
        FREE: Names of the settings that may change when a benchmark is resumed.
    """

    NOUN: ClassVar[str]
    FREE: ClassVar[frozenset[str]]

    def check_same(self, path: Path) -> None:
        """Refuse to go on with another study than that of a file.

        Raises:
            ConfigError: Naming what differs.
        """
        old, new = yaml.safe_load(path.read_text()), self.written()
        different = [name for name in new if name not in self.FREE and _plain(old, name) != _plain(new, name)]
        if different:
            raise ConfigError(
                f"expected the {self.NOUN} in {path.parent}, got other values of {', '.join(different)}; "
                "resume with the same, or use another --output"
            )


def _plain(values: Any, name: str) -> str:
    """Convert a value to what YAML holds: tuples become lists."""
    return yaml.safe_dump(values.get(name) if isinstance(values, dict) else None, sort_keys=True)
