"""Progress of a long computation, and the file of its unfinished state."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

from gnnpot.errors import OutputError, one_line
from gnnpot.sampling.walk import Resumable
from gnnpot.system.documents import read_json
from gnnpot.system.files import write_text

_PAUSE = 20.0  # seconds between two states on the disk


class Watch:
    """What a long computation tells, and where it keeps its state.

    Args:
        tell: Told the share of the work that is done.
        path: File of the unfinished state, or None to keep none.
    """

    def __init__(self, tell: Callable[[float], None] = lambda share: None, path: Path | None = None) -> None:
        self.tell = tell
        self.path = path
        self._kept = time.monotonic()

    def take_up(self, computation: Resumable) -> None:
        """Go on from the state in the file, if there is one.

        Raises:
            OutputError: The file is damaged, or of another computation.
        """
        if self.path is None or not self.path.exists():
            return
        try:
            computation.restore(read_json(self.path))
        except (OSError, LookupError, TypeError, ValueError) as error:
            raise OutputError(
                f"expected the state of dynamics in {self.path}, got {one_line(error)}; remove the file"
            ) from error

    def keep(self, computation: Resumable) -> None:
        """Write the state now and then."""
        if self.path is not None and time.monotonic() - self._kept > _PAUSE:
            write_text(self.path, json.dumps(computation.state()))
            self._kept = time.monotonic()

    def done(self) -> None:
        """Remove the file."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)


NO_WATCH = Watch()
