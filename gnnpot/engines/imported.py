"""Any ASE calculator by its import path, and potentials of this library as teachers."""

from __future__ import annotations

from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any, Literal

from ase.calculators.calculator import Calculator, FileIOCalculator
from pydantic import Field, field_validator

from gnnpot.config.registry import nearest
from gnnpot.engines.base import ENGINES, EngineConfig, existing, library, with_contents
from gnnpot.errors import EngineError
from gnnpot.potential.folder import member_files
from gnnpot.system.files import file_hash

PACKAGES = {"sevenn": "pip install sevenn", "chgnet": "pip install chgnet"}


@ENGINES.register("ase")
class ImportedConfig(EngineConfig):
    """Any ASE calculator, e.g. SevenNet's: ``calculator: sevenn.calculator.SevenNetCalculator``.

    Args:
        calculator_class: Import path of a class, or of a function that returns a calculator.
        arguments: Keyword arguments, e.g. ``{model: 7net-0}``.  Files that they name are part of the method
            with their contents, but for ``txt``, ``log``, ``logfile`` and ``log_file``, which are written.
        folder_argument: Name of the keyword argument that takes the folder to write to, if there is one.
    """

    kind: Literal["ase"] = "ase"
    calculator_class: str
    arguments: dict[str, Any] = Field(default={})
    folder_argument: str | None = None

    @property
    def writes_files(self) -> bool:
        """Whether each structure needs a folder of its own."""
        return self.folder_argument is not None

    def calculator(self, folder: Path) -> Calculator:
        """Build the calculator."""
        make = self._callable()
        place = {} if self.folder_argument is None else {self.folder_argument: str(folder)}
        self._check_names(make)
        try:
            return make(**self.arguments, **place)
        except (TypeError, ValueError, OSError, RuntimeError) as error:
            raise EngineError(
                f"expected arguments of {self.calculator_class}, got {self.arguments} "
                f"({' '.join(str(error).split())[:200]}); mend method.arguments"
            ) from error

    def identity(self) -> dict[str, Any]:
        """Everything that decides the results, for the hash of the method."""
        return super().identity() | {"arguments": with_contents(self.arguments)}

    def _check_names(self, make: Any) -> None:
        """ASE's own calculators take any keyword and leave aside those that they do not know."""
        listed: dict[str, Any] = getattr(make, "default_parameters", {})
        if not isinstance(make, type) or issubclass(make, FileIOCalculator):
            return  # a program's input may hold what ASE does not list
        unknown = sorted(set(self.arguments) - set(listed) - set(signature(make).parameters))
        if listed and unknown:
            raise EngineError(
                f"expected arguments of {self.calculator_class}, got {unknown[0]!r}; "
                f"{nearest(unknown[0], sorted(listed))}"
            )

    def _callable(self) -> Any:
        module, _, name = self.calculator_class.rpartition(".")
        package = module.partition(".")[0]
        found = library(module, PACKAGES.get(package, f"pip install {package}")) if module else None
        if not callable(getattr(found, name, None)):
            raise EngineError(
                f"expected the import path of a calculator, got {self.calculator_class!r}; "
                "e.g. ase.calculators.emt.EMT"
            )
        return getattr(found, name)


@ENGINES.register("gnnpot")
class TeacherConfig(EngineConfig):
    """A potential of this library, or several as a committee.

    Args:
        model: Model files, or the folder of a training, which may be that of a committee.
        device: ``auto`` is a GPU if there is one.
        dtype: Precision; that of the file if None.
    """

    runtime = frozenset({"device"})

    kind: Literal["gnnpot"] = "gnnpot"
    model: tuple[Path, ...]
    device: str = "cpu"
    dtype: Literal["float32", "float64"] | None = None

    @field_validator("model", mode="before", json_schema_input_type=str | tuple[str, ...])
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str | Path) else value

    def files(self) -> list[Path]:
        """The model files of all members.

        Raises:
            EngineError: There is none at a path.
            ModelFileError: A folder holds none.
        """
        return [
            existing(file, "a model file") for path in self.model for file in member_files(path.expanduser())
        ]

    def identity(self) -> dict[str, Any]:
        """Everything that decides the results, for the hash of the method."""
        return {"kind": self.kind, "model": [file_hash(file) for file in self.files()]}

    def elements(self) -> frozenset[str]:
        """Symbols that all members know."""
        header = import_module("gnnpot.potential.header").read_header
        headers = [header(path) for path in self.files()]
        return frozenset.intersection(*(frozenset(one.reference_energies) for one in headers))

    def calculator(self, folder: Path) -> Calculator:
        """Build the calculator."""
        paths = self.files()
        calculators = import_module("gnnpot.calculator.calculator")
        return calculators.GNNPotCalculator(
            paths[0] if len(paths) == 1 else paths, device=self.device, default_dtype=self.dtype
        )
