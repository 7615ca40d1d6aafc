"""What stress labels have too much, by file and group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class OffsetTable:
    """Isotropic stress times the volume per atom, positive under tension (eV), of each file and group.

    Attributes:
        default: That of files and groups that are not named.
        own: That of a file, or of a group of it, by path and group; the group of a whole file is None.
    """

    default: float = 0.0
    own: Mapping[tuple[str, str | None], float] = field(default_factory=dict)

    def of(self, file: str, group: str) -> float:
        """That of one group of a file."""
        return self.own.get((file, group), self.own.get((file, None), self.default))

    def __bool__(self) -> bool:
        return self.default != 0.0 or any(self.own.values())
