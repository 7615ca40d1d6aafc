"""The folder of a run: new or begun, for one process at a time, and for one run alone.

Every command that leaves results in a folder keeps the same rules, which stand here:

- a folder that holds results is not written over; with ``resume`` the run in it goes on;
- one process writes at a time, and what a killed one left half-written is removed;
- a run goes on with the configuration that it began with (``config.yaml``, apart from what is free to
  change) and with the same data and models by content (``inputs.json``).
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from pathlib import Path
from typing import IO, Any, Self

from gnnpot.errors import ConfigError, OutputError, shortened
from gnnpot.system.documents import read_json, read_yaml
from gnnpot.system.files import CONFIG, LOCK, make_folder, remove_partial_files, write_text

try:
    import fcntl
except ImportError:  # not POSIX
    fcntl = None  # type: ignore[assignment]

INPUTS = "inputs.json"
RESULTS = (CONFIG, "metrics.json", "report.html")
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)  # file systems without locks
_ABSENT, _TOLD = "absent", 8  # in place of a value; changes that a message tells
_ADVICE = "resume with the same, or use another --output"
_HELD: set[IO[str]] = set()  # lock files of this process


class RunFolder:
    """The folder of one run.

    Args:
        path: The folder; made when the run begins.
        noun: Name of the run in messages.
        files: Names of results beside ``config.yaml``, ``metrics.json`` and ``report.html`` that the run
            would write over.
        advice: Advice about a folder that holds results, for messages.
    """

    def __init__(
        self,
        path: Path,
        noun: str = "run",
        *,
        files: Collection[str] = (),
        advice: str = "use --resume or another --output",
    ) -> None:
        self.path = Path(path)
        self.noun = noun
        self.files = (*RESULTS, *files)
        self.advice = advice

    @property
    def config(self) -> Path:
        """The file of the configuration, which is written when a run has begun."""
        return self.path / CONFIG

    @property
    def is_begun(self) -> bool:
        """Whether a run has begun here."""
        return self.config.exists()

    @property
    def is_finished(self) -> bool:
        """Whether a training or study has come to its end: its report is written last."""
        return (self.path / "report.html").exists()

    def check_new(self) -> None:
        """Refuse a folder that holds results.

        Raises:
            OutputError: The folder holds results, or is a file.
        """
        if self.path.exists() and not self.path.is_dir():
            raise OutputError(
                f"expected a folder to write to, got the file {self.path}; choose another --output"
            )
        there = next((name for name in self.files if (self.path / name).exists()), None)
        if there is not None:
            raise OutputError(f"expected a new folder, got {self.path} with {there}; {self.advice}")

    @contextmanager
    def held(self, *, resume: bool) -> Iterator[Self]:
        """Keep other processes out until the block ends, or this process does.

        Args:
            resume: Whether a run that has begun here goes on.

        Raises:
            OutputError: The folder holds results that are not to be resumed, cannot be made, or another
                process writes there.
        """
        if not (resume and self.is_begun):
            self.check_new()
        was_there = self.path.exists()
        make_folder(self.path)
        try:
            with locked(self.path):
                if not (resume and self.is_begun):  # another process may have ended just now
                    self.check_new()
                remove_partial_files(self.path)
                yield self
        finally:
            if not was_there:
                with suppress(OSError):
                    self.path.rmdir()  # where nothing was written

    def begin(self, configuration: str, inputs: Mapping[str, str] | None = None) -> None:
        """Write down what the run is; from now on it goes on as this one only.

        Args:
            configuration: Text of ``config.yaml``.
            inputs: Hashes of what the run reads, by name.
        """
        if inputs:
            write_text(self.path / INPUTS, json.dumps(dict(inputs), indent=1) + "\n")
        write_text(self.config, configuration)

    def written(self) -> Any:
        """What ``config.yaml`` holds.

        Raises:
            OutputError: The file is damaged.
        """
        try:
            values = read_yaml(self.config)
        except (OSError, ValueError) as error:
            raise self._damaged(CONFIG, error) from error
        if not isinstance(values, dict):
            raise self._damaged(CONFIG, f"{type(values).__name__} in place of sections")
        return values

    def check_same(self, old: Any, new: Any, *, free: Collection[str] = ()) -> None:
        """Refuse to go on with another configuration.

        Args:
            old: Values that the run began with.
            new: Values to go on with.
            free: Patterns of the dotted names that may be others, e.g. ``training.max_epochs``.

        Raises:
            ConfigError: Naming what differs.
        """
        if changes := changed_values(old, new, free=free):
            raise ConfigError(
                f"expected the {self.noun} in {self.path}, got other values of {in_words(changes)}; {_ADVICE}"
            )

    def check_inputs(self, inputs: Mapping[str, str]) -> None:
        """Refuse to go on with other data or models than the run began with.

        Args:
            inputs: Their hashes by name; names that the run did not note are not compared.

        Raises:
            OutputError: ``inputs.json`` is damaged.
            ConfigError: Naming the first that differs.
        """
        path = self.path / INPUTS
        if not (self.is_begun and path.exists()):
            return
        try:
            before = dict(read_json(path))
        except (OSError, ValueError, TypeError) as error:
            raise self._damaged(INPUTS, error) from error
        for name, value in inputs.items():
            if before.get(name, value) != value:
                raise ConfigError(
                    f"expected the {name} that the {self.noun} in {self.path} began with, got other content; "
                    f"{_ADVICE}"
                )

    def _damaged(self, name: str, reason: object) -> OutputError:
        words = " ".join(str(reason).split())
        return OutputError(
            f"expected the {self.noun} in {self.path}, got a damaged {name} ({words}); mend the file, or use "
            "another --output"
        )


def differences(old: Any, new: Any, *, free: Collection[str] = ()) -> list[str]:
    """Dotted names of the values in which two configurations differ; see :func:`changed_values`."""
    return list(changed_values(old, new, free=free))


def changed_values(old: Any, new: Any, *, free: Collection[str] = ()) -> dict[str, tuple[str, str]]:
    """The values in which two configurations differ, before and after, by dotted name.

    Args:
        old: Sections and lists within each other.
        new: The same.
        free: Patterns of names that are not compared; what is below such a name is not, either.
    """
    before, after = _leaves(old), _leaves(new)
    patterns = [end for pattern in free for end in (pattern, f"{pattern}.*")]
    return {
        name: (before.get(name, _ABSENT), after.get(name, _ABSENT))
        for name in sorted({name for name, _ in before.items() ^ after.items()})
        if not any(fnmatchcase(name, pattern) for pattern in patterns)
    }


def in_words(changes: Mapping[str, tuple[str, str]]) -> str:
    """Changed values for a message: ``seed (0 → 1), …``."""
    told = [f"{name} ({shortened(old, str)} → {shortened(new, str)})" for name, (old, new) in changes.items()]
    return ", ".join(told[:_TOLD]) + (f" and {len(told) - _TOLD} more" if len(told) > _TOLD else "")


def _leaves(values: Any, prefix: str = "") -> dict[str, str]:
    """Representations of all values by dotted name; places in lists are numbers."""
    if isinstance(values, list | tuple):
        values = {str(place): value for place, value in enumerate(values)} or "[]"
    if isinstance(values, dict) and values:
        parts = [
            _leaves(value, f"{prefix}.{name}" if prefix else str(name)) for name, value in values.items()
        ]
        return {name: leaf for part in parts for name, leaf in part.items()}
    return {prefix: repr(values)}


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other runs out of a folder until the block ends, or this process does.

    The lock is the system's: it ends with the process, however that ends.  Where a system or a file
    system has no ``flock`` nothing is locked.

    Raises:
        OutputError: Another run is there, or the folder cannot be written to.
    """
    path = folder / LOCK
    file = _taken(path)
    if file is None:
        raise OutputError(
            f"expected {folder} for one run alone, got another that writes there; wait for its end, "
            "or choose another --output"
        )
    _HELD.add(file)
    try:
        yield
    finally:
        _HELD.discard(file)
        with suppress(OSError):
            path.unlink()  # while it is held: see _taken
        file.close()


def _let_go() -> None:
    """Close the locks in a forked process, which would hold them when this one has ended."""
    for file in _HELD:
        file.close()
    _HELD.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)


def _taken(path: Path) -> IO[str] | None:
    """The lock file, held; None where another process holds it."""
    try:
        file = path.open("a")
    except OSError as error:
        raise OutputError(
            f"expected to write to {path.parent}, got an error ({error.strerror}); choose another --output"
        ) from error
    if fcntl is None:
        return file
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(file.fileno()), path.stat()):  # else its holder has just removed it
            return file
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return file
        if not isinstance(error, BlockingIOError | FileNotFoundError):
            file.close()
            raise
    file.close()
    return None
