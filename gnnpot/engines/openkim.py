"""Any model of OpenKIM that is installed.

Tadmor et al., JOM 63 (7), 17 (2011).
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from ctypes.util import find_library
from pathlib import Path
from typing import Literal

from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

from gnnpot.engines.base import ENGINES, EngineConfig, library
from gnnpot.errors import EngineError

INSTALL = "apt-get install libkim-api-dev openkim-models pkg-config, then pip install kimpy"
_SILENT = 0  # KIM_LOG_VERBOSITY_silent


@ENGINES.register("kim")
class KimConfig(EngineConfig):
    """A model of OpenKIM.

    Args:
        model: Full name, with its version.
    """

    kind: Literal["kim"] = "kim"
    model: str

    def calculator(self, folder: Path) -> Calculator:
        """The calculator that these settings describe."""
        library("kimpy", INSTALL)
        _silence()
        from ase.calculators.kim import KIM
        from ase.calculators.kim.exceptions import KIMModelNotFound

        try:
            return _InsideCell(KIM(self.model))
        except KIMModelNotFound as error:
            raise EngineError(
                f"expected an installed model, got {self.model}; "
                f"`kim-api-collections-management list` shows those there; install more: {INSTALL}"
            ) from error

    def elements(self) -> frozenset[str]:
        """Symbols that the method knows."""
        self.calculator(Path())
        from ase.calculators.kim import get_model_supported_species

        return frozenset(get_model_supported_species(self.model))


class _InsideCell(Calculator):
    """Shows a calculator the images of all atoms inside the cell.

    ASE's KIM misses neighbors of atoms outside it, and does not say so.
    """

    def __init__(self, calculator: Calculator) -> None:
        super().__init__()
        self.calculator = calculator
        self.implemented_properties = list(calculator.implemented_properties)

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = tuple(all_changes),
    ) -> None:
        """Take over what the calculator finds."""
        super().calculate(atoms, properties, system_changes)
        inside = Atoms(self.atoms.numbers, self.atoms.positions, cell=self.atoms.cell, pbc=self.atoms.pbc)
        inside.wrap()
        changes = self.calculator.check_state(inside)
        self.calculator.calculate(inside, list(properties), changes)
        self.results = dict(self.calculator.results)


def _silence() -> None:
    """Keep the library from writing kim.log wherever the process is."""
    name = find_library("kim-api")
    if name is not None:
        ctypes.CDLL(name).KIM_Log_PushDefaultVerbosity(ctypes.c_int(_SILENT))
