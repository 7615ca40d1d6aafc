"""Interface of reference methods: calculator, elements, identity, checks."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, ClassVar

from ase import Atoms
from ase.calculators.calculator import Calculator
from pydantic import SerializeAsAny

from gnnpot.config.base import Section
from gnnpot.config.kinds import Kinds
from gnnpot.config.registry import Registry
from gnnpot.errors import EngineError, LabelingError
from gnnpot.system.files import file_hash

_WRITTEN = frozenset({"txt", "log", "logfile", "log_file"})  # arguments with files that a calculator writes


class EngineConfig(Section):
    """A reference method and all its settings; frozen, so that its identity holds.

    Args:
        kind: Name in :data:`ENGINES`.
    """

    runtime: ClassVar[frozenset[str]] = frozenset()  # settings that do not change the results
    needs_cell: ClassVar[bool] = False

    kind: str

    def calculator(self, folder: Path) -> Calculator:
        """The calculator; what it writes goes to ``folder``.

        Raises:
            EngineError: The program is not installed, or a file is missing.
        """
        raise NotImplementedError

    @property
    def writes_files(self) -> bool:
        """Whether each structure needs a folder of its own."""
        return False

    def elements(self) -> frozenset[str] | None:
        """Symbols that the method knows; None if it does not say.

        Raises:
            EngineError: The program is not installed, or a file is missing.
        """
        return None

    def identity(self) -> dict[str, Any]:
        """Everything that decides the results: the settings, with hashes of files instead of their paths.

        Raises:
            EngineError: A file is missing.
        """
        return {
            name: _content(value)
            for name, value in self.model_dump().items()
            if name not in self.runtime and value is not None
        }

    def identity_text(self) -> str:
        """The identity as JSON, which is the same for the same method.

        Raises:
            EngineError: A file is missing.
        """
        return json.dumps(self.identity(), sort_keys=True)

    def check(self, atoms: Atoms, known: frozenset[str] | None, origin: str) -> None:
        """Refuse a structure that the method cannot treat.

        Args:
            atoms: The structure.
            known: Result of :meth:`elements`, which takes long for some engines.
            origin: Origin of the structure, for the message.

        Raises:
            LabelingError: The structure lacks a cell that the method needs, or has an unknown element.
        """
        if self.needs_cell and (not atoms.pbc.all() or not abs(atoms.cell.volume) > 0):
            raise LabelingError(
                f"expected three periodic directions and a cell for {self.kind} in {origin}, got "
                f"pbc={atoms.pbc.tolist()} and {abs(atoms.cell.volume):g} Å³; give the structure a cell"
            )
        if known is not None and (unknown := set(atoms.symbols) - known):
            raise LabelingError(
                f"expected elements of {', '.join(sorted(known))} for {self.kind} in {origin}, got "
                f"{', '.join(sorted(unknown))}; choose another method or other structures"
            )


ENGINES: Registry[type[EngineConfig]] = Registry("reference method")


def engine_of(value: Any) -> Any:
    """The engine configuration of a section with a ``kind``; any other value as it is."""
    if isinstance(value, dict):
        if "kind" not in value:
            raise ValueError(f"expected a kind, got none; choose from {', '.join(ENGINES)}")
        return ENGINES[str(value["kind"])].model_validate(value)
    return value


Engine = Annotated[SerializeAsAny[EngineConfig], Kinds("reference method", known=ENGINES.items)]


def library(name: str, install: str) -> Any:
    """A module that only one engine needs.

    Ctrl-C means afterwards what it meant before: ``dask_jobqueue``, for one, sets a handler of its own.

    Raises:
        EngineError: The package is not installed.
    """
    try:
        with _same_interrupt():
            return import_module(name)
    except ImportError as error:
        raise EngineError(f"expected {name}, got none ({error}); install it: {install}") from error


@contextmanager
def _same_interrupt() -> Iterator[None]:
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, before)


def program(command: str, install: str) -> None:
    """Check that the program of a command is installed.

    Raises:
        EngineError: There is none.
    """
    name = command.split()[0]
    if shutil.which(name) is None:
        raise EngineError(f"expected the program {name}, got none on the path; install it: {install}")


def existing(path: Path, what: str) -> Path:
    """Resolve the path of a file, which must exist.

    Raises:
        EngineError: There is none.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise EngineError(f"expected {what} at {path}, got no file; check the path")
    return path.resolve()


def with_contents(value: Any) -> Any:
    """A setting of free text with the hashes of files in place of the words that name them, however deep."""
    if isinstance(value, dict):
        return {
            str(name): _content(inner) if name in _WRITTEN else with_contents(inner)
            for name, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [with_contents(inner) for inner in value]
    if not isinstance(value, str):
        return _content(value)
    whole = _hash_or_word(value)  # a path may have spaces
    return re.sub(r"""[^\s'"]+""", lambda word: _hash_or_word(word[0]), whole)


def _hash_or_word(word: str) -> str:
    path = os.path.expanduser(word)
    return file_hash(Path(path)) if os.path.isfile(path) else word


def _content(value: Any) -> Any:
    if isinstance(value, Path):
        return file_hash(existing(value, "a file"))
    if isinstance(value, dict):
        return {str(name): _content(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_content(inner) for inner in value]
    return value
