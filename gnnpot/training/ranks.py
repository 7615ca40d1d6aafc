"""The processes that train together: the first writes, the others follow and end with it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lightning.pytorch.utilities import rank_zero_only

from gnnpot.errors import OutputError
from gnnpot.system.processes import end_with_parent, is_orphaned
from gnnpot.system.run_folder import RunFolder


def is_first_process() -> bool:
    """Whether this is the first of the processes of a training."""
    return int(getattr(rank_zero_only, "rank", 0)) == 0


@contextmanager
def shared_folder(folder: RunFolder, *, resume: bool) -> Iterator[RunFolder]:
    """Hold a folder as the first process; the others wait until that has prepared the data.

    Raises:
        OutputError: The folder holds results that are not to be resumed, or another run is there.
    """
    if is_first_process():
        with folder.held(resume=resume):
            yield folder
    else:
        end_with_parent()
        _wait_for(folder.config)
        yield folder


def _wait_for(path: Path, timeout: float = 3600.0) -> None:
    deadline = time.monotonic() + timeout
    while not path.exists():
        if time.monotonic() > deadline or is_orphaned():
            raise OutputError(f"expected {path} from the first process, got none; look at its output")
        time.sleep(0.2)
