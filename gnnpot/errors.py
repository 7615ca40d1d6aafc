"""The errors a caller may want to catch.

::

    GnnpotError
    ├── ConfigError          a configuration that does not fit
    │   └── UnknownNameError a name that no registry holds
    ├── DataError            structures or labels that cannot be used
    ├── ModelFileError       a file that is not a model of ours, or not a whole one
    ├── OutputError          a folder or disk that cannot take the results
    ├── DeviceError          a device that is not there
    ├── TrainingError        a run that cannot go on
    ├── EngineError          a reference method that is not installed, or a file that it needs
    ├── LabelingError        a structure that a reference method cannot label
    └── PropertyError        a property that a structure or a calculator does not have

Every message is one line: what was expected, what came, what to do.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Sequence

_LONGEST = 200  # characters of a value in a message
_LONGEST_ERROR = 700  # of what another library says


class _Bounded(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxtuple = self.maxlist = self.maxdict = self.maxset = 20
        self.maxstring = self.maxlong = self.maxother = _LONGEST


class GnnpotError(Exception):
    """A mistake that the user can mend; the command line prints it as one line and exits with 2."""


def one_line(error: Exception) -> str:
    """What an error says, on one line that is not too long; its kind where it says nothing."""
    words = (error.strerror if isinstance(error, OSError) else None) or str(error)
    text = " ".join(words.split()) or type(error).__name__
    return text if len(text) <= _LONGEST_ERROR else f"{text[:_LONGEST_ERROR]} …"


def file_trouble(error: OSError) -> str:
    """What the system says of a file or a pipe, in our words."""
    reason = error.strerror or one_line(error)
    if error.filename is None:
        return (
            f"expected the system to read and write, got an error ({reason}); free space, or look at the disk"
        )
    names = " and ".join(str(name) for name in (error.filename, error.filename2) if name is not None)
    return f"expected to use {names}, got an error ({reason}); check the path and its permissions"


def listed(words: Sequence[str]) -> str:
    """Words as a sentence lists them: "Cu", "Cu and Zr", "Cu, Ni and Zr"."""
    *others, last = words or [""]
    return f"{', '.join(others)} and {last}" if others else last


def shortened(value: object, words: Callable[[object], str] | None = None) -> str:
    """A value as a message shows it: on one line and not longer than a line.

    Args:
        value: Anything, however large.
        words: How to write it; as Python does if not given.
    """
    text = " ".join((words or _Bounded().repr)(value).split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"


class ConfigError(GnnpotError):
    """The configuration does not fit."""


class UnknownNameError(ConfigError):
    """No registry holds this name."""


class DataError(GnnpotError):
    """The structures or their labels cannot be used."""


class ModelFileError(GnnpotError):
    """The file is not a whole model file of this version."""


class OutputError(GnnpotError):
    """The results cannot be written where they were to go."""


class DeviceError(GnnpotError):
    """The requested device is not there."""


class TrainingError(GnnpotError):
    """The training cannot go on."""


class EngineError(GnnpotError):
    """The reference method is not installed, or lacks a file."""


class LabelingError(GnnpotError):
    """The reference method cannot label this structure."""


class PropertyError(GnnpotError):
    """The structure or the calculator does not have this property."""
