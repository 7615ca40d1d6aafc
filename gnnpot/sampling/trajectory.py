"""Frames and log of a sampling run on disk, with the state to resume from."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, TextIO

from ase import Atoms
from ase.io.extxyz import write_extxyz

from gnnpot.errors import DataError, OutputError, one_line
from gnnpot.system.documents import read_json
from gnnpot.system.files import write_text

FRAMES, LOG, STATE = "frames.xyz", "log.csv", "state.json"
_PAUSE = 1.0  # seconds between two states on the disk
_SHARE = 20  # a state takes at most one part in so many of the time


class FrameWriter:
    """Writer that appends frames to ``frames.xyz`` and rows to ``log.csv``, with periodic checkpoints.

    ``state.json`` holds the lengths of both files and the state of the sampler at the same moment.  To
    resume, both files are cut to these lengths, which removes incomplete frames, and the steps after the
    checkpoint are repeated.

    Args:
        folder: Folder of the files.
        frames: Opened ``frames.xyz``.
        log: Opened ``log.csv``.
        count: Number of frames in the file.
    """

    def __init__(self, folder: Path, frames: TextIO, log: TextIO, *, count: int = 0) -> None:
        self._folder = folder
        self._frames = frames
        self._log = log
        self._next = 0.0
        self.count = count

    @classmethod
    def begin(cls, folder: Path) -> Self:
        """Start with empty files."""
        for name in (FRAMES, LOG):
            (folder / name).write_text("")
        return cls(folder, *_opened(folder))

    @classmethod
    def go_on(cls, folder: Path) -> tuple[Self, Mapping[str, Any] | None]:
        """Cut the files to the last checkpoint, and return its state, or None if there is none.

        Raises:
            DataError: The files are shorter than the checkpoint says, or the checkpoint is damaged.
        """
        path = folder / STATE
        if not path.exists():
            return cls.begin(folder), None
        try:
            note = read_json(path)
            _cut(folder / FRAMES, note["frames_bytes"])
            _cut(folder / LOG, note["log_bytes"])
            state, count = note["sampler"], note["frames"]
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"expected a state in {path}, got {one_line(error)}; start anew in another folder"
            ) from error
        return cls(folder, *_opened(folder), count=count), state

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._frames.close()
        self._log.close()

    def append(self, frame: Atoms) -> None:
        """Write one frame.

        Raises:
            OutputError: The disk is full.
        """
        try:
            write_extxyz(self._frames, [frame])
            self._frames.flush()
        except OSError as error:
            raise OutputError(
                f"expected to write {self._folder / FRAMES}, got an error ({error.strerror}); free space and "
                "go on with --resume"
            ) from error
        self.count += 1

    def log(self, columns: Sequence[str], rows: Iterable[Sequence[float]]) -> None:
        """Write rows of the log."""
        if self._log.tell() == 0:
            self._log.write(",".join(columns) + "\n")
        self._log.writelines(",".join(f"{value:.10g}" for value in row) + "\n" for row in rows)

    @property
    def is_due(self) -> bool:
        """Whether the next checkpoint is due."""
        return time.monotonic() >= self._next

    def note(self, state: Mapping[str, Any] | None) -> None:
        """Write a checkpoint: lengths of the files and state of the sampler."""
        begun = time.monotonic()
        for file in (self._frames, self._log):
            file.flush()
            os.fsync(file.fileno())
        note = {
            "frames": self.count,
            "frames_bytes": self._frames.tell(),
            "log_bytes": self._log.tell(),
            "sampler": state,
        }
        write_text(self._folder / STATE, json.dumps(note))
        ended = time.monotonic()
        self._next = ended + max(_PAUSE, _SHARE * (ended - begun))


def _opened(folder: Path) -> tuple[TextIO, TextIO]:
    return (folder / FRAMES).open("a", encoding="utf-8"), (folder / LOG).open("a", encoding="utf-8")


def _cut(path: Path, length: int) -> None:
    """Truncate a file to ``length`` bytes."""
    size = path.stat().st_size if path.exists() else 0
    if size < length:
        raise DataError(
            f"expected {length} bytes in {path}, got {size}; it was changed: start anew in another folder"
        )
    os.truncate(path, length)
