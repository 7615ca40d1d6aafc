"""How ASE calls a calculator, written once for those that compute all their results together."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes


class WholeCalculator(Calculator):
    """An ASE calculator that computes all results of a structure at once."""

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = tuple(all_changes),
    ) -> None:
        """Compute the results of ``atoms``, or of the structure of the last call."""
        super().calculate(atoms, properties, system_changes)
        self.results = {}  # none are left if the next line fails
        self.results = self.computed()

    @abstractmethod
    def computed(self) -> dict[str, Any]:
        """The results of ``self.atoms`` under ASE's names and in its units."""
