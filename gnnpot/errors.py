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
    └── LabelingError        a structure that a reference method cannot label

Every message is one line: what was expected, what came, what to do.
"""

from __future__ import annotations


class GnnpotError(Exception):
    """A mistake that the user can mend; the command line prints it as one line and exits with 2."""


def one_line(error: Exception) -> str:
    """What an error says, on one line; its kind where it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__


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
