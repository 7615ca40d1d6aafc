"""Writing files so that they are whole or not there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gnnpot.errors import OutputError


@contextmanager
def write_aside(path: Path) -> Iterator[Path]:
    """A path beside ``path`` to write to; it takes the place of ``path`` when the block ends well.

    What stood at ``path`` stays until then, and stays if the block fails or the disk is full.

    Raises:
        OutputError: The disk is full, or the folder cannot be written to.
    """
    path = Path(path)
    aside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield aside
        _flush(aside)
        aside.replace(path)
        _flush(path.parent)
    except (OSError, RuntimeError) as error:  # torch.save turns a full disk into a RuntimeError
        if isinstance(error, RuntimeError) and "write" not in str(error):
            raise
        reason = getattr(error, "strerror", None) or "the disk may be full"
        raise OutputError(f"expected to write {path}, got an error ({reason}); free space and go on") from error
    finally:
        aside.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file in one piece.

    Raises:
        OutputError: The disk is full, or the folder cannot be written to.
    """
    with write_aside(path) as aside:
        aside.write_text(text, encoding="utf-8")


def _flush(path: Path) -> None:
    """Wait until a file or folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
