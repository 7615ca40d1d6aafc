"""The processes that train together: the first writes, the others follow and end with it."""

from __future__ import annotations

from lightning.pytorch.utilities import rank_zero_only


def is_first_process() -> bool:
    """Whether this is the first of the processes that train together."""
    return int(getattr(rank_zero_only, "rank", 0)) == 0
