"""Cache of a calculator's results for the current step of dynamics."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.abc import GetPropertiesMixin
from ase.calculators.calculator import CalculationFailed, Calculator, CalculatorError

from gnnpot.errors import GnnpotError, one_line
from gnnpot.sampling.spread import SPREADS

_KEPT = ("energy", "free_energy", "forces", "stress", *SPREADS.values())


class OncePerStep(GetPropertiesMixin):
    """Calculator that keeps the results of one run's structure while nothing moves.

    Integrators ask for forces three times a step, and ASE's calculators compare the whole structure each
    time; here only positions and cell are compared, bit by bit.  Each run has its own cache, so that several
    runs may share a calculator.  Atoms are wrapped into the cell first, because ASE's KIM calculator
    silently misses neighbors of atoms outside; not for calculators that say ``takes_any_image``, whose
    neighbor lists would end where an atom crosses a face of the cell.  The energy is the one whose
    derivative the forces are.

    Args:
        calculator: Calculator that is called after a move.
    """

    def __init__(self, calculator: Calculator) -> None:
        self.calculator = calculator
        self.results: dict[str, Any] = {}
        self._positions = np.empty((0, 3))
        self._inside = Atoms()
        self._inverse = np.zeros((3, 3))
        self._wraps = not getattr(calculator, "takes_any_image", False)

    @property
    def implemented_properties(self) -> list[str]:
        """Properties that the calculator implements."""
        return list(self.calculator.implemented_properties)

    def get_property(self, name: str, atoms: Atoms, allow_calculation: bool = True) -> Any:
        """Return a copy of one result.

        Raises:
            CalculationFailed: The calculator failed.
        """
        self._follow(atoms)
        if name not in self.results:
            try:
                value = self.calculator.get_property(name, self._inside, allow_calculation)
            except (GnnpotError, CalculatorError, NotImplementedError):
                raise
            except Exception as error:  # engines have errors of all kinds; LAMMPS raises the most general
                raise CalculationFailed(f"{type(error).__name__}: {one_line(error)}") from error
            found = {name: value, **self.calculator.results}
            if found.get("free_energy") is not None:
                found["energy"] = found["free_energy"]
            self.results = {kept: np.copy(found[kept]) for kept in {name, *_KEPT} if kept in found}
        return np.copy(self.results[name])[()]

    def _follow(self, atoms: Atoms) -> None:
        """Discard the results if ``atoms`` have moved, and wrap them into the cell."""
        cell, inside = atoms.cell.array, self._inside
        if len(inside) != len(atoms):
            self._inside = inside = Atoms(atoms.numbers, atoms.positions, pbc=atoms.pbc)
        same_cell = np.array_equal(cell, inside.cell.array)
        if same_cell and np.array_equal(atoms.positions, self._positions):
            return
        self.results, self._positions = {}, atoms.positions.copy()
        if not same_cell:
            inside.cell.array[:] = cell
            self._inverse = np.linalg.pinv(cell)
        if not self._wraps:
            inside.positions = self._positions
            return
        images = np.floor(self._positions @ self._inverse) * inside.pbc
        inside.positions = self._positions - images @ cell
