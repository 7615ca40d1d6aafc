"""What is said while the libraries of a command are imported, which takes seconds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer

_QUIET = 10.0  # seconds, after which a line is due where there is no terminal


@contextmanager
def importing() -> Iterator[None]:
    """Say on stderr that imports take their time: at once in a terminal, after ten seconds elsewhere."""
    from rich.console import Console

    console = Console(stderr=True)
    if console.is_terminal:
        with console.status("importing torch"):
            yield
        return
    late = Timer(_QUIET, console.print, ["importing torch, which takes longer than ten seconds"])
    late.daemon = True
    late.start()
    try:
        yield
    finally:
        late.cancel()
