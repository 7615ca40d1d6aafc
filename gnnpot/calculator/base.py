"""How ASE calls a calculator, written once for those that compute all their results together."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes


class WholeCalculator(Calculator):
    """An ASE calculator that computes all results of a structure at once, but for some that are dear."""

    results: dict[str, Any]

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = tuple(all_changes),
    ) -> None:
        """Compute the results of ``atoms``, or of the structure of the last call."""
        super().calculate(atoms, properties, system_changes)
        if system_changes or not self.results:
            self.results = {}  # none are left if the next line fails
            self.results = self.computed()
        if lacking := [name for name in properties if name not in self.results]:
            self.results |= self.more(lacking)

    def check_state(self, atoms: Atoms, tol: float = 1e-15) -> list[str]:
        """What has changed since the last results, bit by bit.

        ASE's own comparison takes about as long as a step of a small molecule.
        """
        known = self.atoms
        if known is None or len(known) != len(atoms):
            return list(all_changes)
        return [
            name for name in all_changes if name not in self.ignored_changes and _differs(name, known, atoms)
        ]

    @abstractmethod
    def computed(self) -> dict[str, Any]:
        """The results of ``self.atoms`` under ASE's names and in its units."""

    def more(self, names: Sequence[str]) -> dict[str, Any]:
        """Results of ``self.atoms`` that are computed only when somebody asks for them."""
        return {}


def _differs(name: str, one: Atoms, other: Atoms) -> bool:
    if name in ("cell", "pbc"):
        return not np.array_equal(getattr(one, name), getattr(other, name))
    first, second = (atoms.arrays.get(name, 0.0) for atoms in (one, other))  # none is as good as zero
    return bool(np.any(first != second))
