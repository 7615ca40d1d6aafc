"""A reference method as an ASE calculator that computes each structure once and keeps it in a store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ase import Atoms
from ase.calculators.calculator import CalculationFailed

from gnnpot.calculator.base import WholeCalculator
from gnnpot.engines import EngineConfig
from gnnpot.labeling.labeler import CalculatorLabeler, Label, attempt
from gnnpot.labeling.methods import Record, method_of
from gnnpot.labeling.store.store import LabelStore


class StoredCalculator(WholeCalculator):
    """Labels of a store; what it lacks is computed and kept, failures with their reason.

    Forces of any size are kept: properties look at compressed crystals and at atoms that nearly meet.

    Args:
        engine: The reference method.
        store: Where its labels are.
        scratch: Folder for the files of the method, if it writes any.

    Attributes:
        computed_anew: How many structures the store did not hold.
    """

    name = "stored"
    ignored_changes = {"initial_charges", "initial_magmoms"}  # noqa: RUF012

    def __init__(self, engine: EngineConfig, store: LabelStore, scratch: Path = Path()) -> None:
        super().__init__()
        self.store = store
        self.computed_anew = 0
        self._method = method_of(engine)
        self._labeler = CalculatorLabeler(engine, max_force=float("inf"), scratch=scratch)
        offered = engine.calculator(scratch).implemented_properties
        self.implemented_properties = ["energy", "forces", *(["stress"] if "stress" in offered else [])]

    def computed(self) -> dict[str, Any]:
        """The label of the structure.

        Raises:
            CalculationFailed: The method fails on it, now or before.
        """
        atoms = Atoms(self.atoms.numbers, self.atoms.positions, cell=self.atoms.cell, pbc=self.atoms.pbc)
        key = self._method.key(atoms)
        state = self.store.states([key]).get(key)
        if state is None:
            self.computed_anew += 1
            outcome = attempt(self._labeler, atoms)
            self.store.keep(self._method, [Record(key, atoms, outcome)])
            if isinstance(outcome, Label):
                return dict(outcome.results)
            raise CalculationFailed(outcome.reason)
        if not state:
            raise CalculationFailed(self.store.failures([key])[key].reason)
        return dict(next(self.store.results([key])))
