"""What a check of a whole set found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One sentence about the data, and whether training on them would go wrong."""

    sentence: str
    fault: bool
