"""Writing files so that they are whole or not there."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gnnpot.errors import OutputError

LOCK, CONFIG = ".lock", "config.yaml"  # in the folder of a run
_PARTIAL = ".partial"


def make_folder(folder: Path) -> None:
    """Make a folder for results, and those above it; one that is there stays as it is.

    Raises:
        OutputError: The folder cannot be made.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"expected a folder to write to, got {folder} ({error.strerror}); choose another --output"
        ) from error


def file_hash(path: Path) -> str:
    """SHA-256 of what a file holds."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def text_hash(text: str) -> str:
    """SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def remove_partial_files(folder: Path, *, depth: int = 2) -> None:
    """Remove what killed processes left of files that they were writing; nobody may write there now.

    Args:
        folder: The folder; those in it are looked through too, but for those that another run has begun in.
        depth: How many folders within each other.
    """
    for path in folder.iterdir():
        if path.is_symlink():
            continue
        if path.is_dir():
            if depth and not any((path / name).exists() for name in (LOCK, CONFIG)):
                remove_partial_files(path, depth=depth - 1)
        elif path.name.startswith(".") and path.name.endswith(_PARTIAL):
            with suppress(OSError):
                path.unlink()


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A path beside ``path`` to write to; it takes the place of ``path`` when the block ends well.

    What stood at ``path`` stays until then, and stays if the block fails or the disk is full.  Write
    with Python's own files: compiled writers (``torch.save``, safetensors) tell of a full disk in
    errors of their own, so give :func:`write_bytes` what they make in memory.

    Raises:
        OutputError: The disk is full, or the folder cannot be written to.
    """
    path = Path(path)
    aside = path.with_name(f".{path.name}.{os.getpid()}{_PARTIAL}")
    try:
        with write_errors_told(path):
            yield aside
            _flush(aside)
            aside.replace(path)
            if os.name == "posix":  # elsewhere a folder cannot be opened
                _flush(path.parent)
    finally:
        with suppress(OSError):
            aside.unlink()


@contextmanager
def write_errors_told(path: Path) -> Iterator[None]:
    """Turn errors of the system inside the block into one line about ``path``.

    Raises:
        OutputError: The disk is full, or the folder cannot be written to.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(
            f"expected to write {path}, got an error ({reason}); free space, or choose another folder"
        ) from error


def write_bytes(path: Path, data: bytes | memoryview) -> None:
    """Write a file in one piece.

    Raises:
        OutputError: The disk is full, or the folder cannot be written to.
    """
    with atomic_write(path) as aside:
        aside.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8 in one piece.

    Raises:
        OutputError: The disk is full, or the folder cannot be written to.
    """
    write_bytes(path, text.encode())


def _flush(path: Path) -> None:
    """Wait until a file or folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
