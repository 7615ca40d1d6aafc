"""GFN1-xTB and GFN2-xTB by tblite.

Grimme et al., J. Chem. Theory Comput. 13, 1989 (2017); Bannwarth et al., J. Chem. Theory Comput. 15, 1652
(2019).
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from ase import Atoms
from ase.calculators.calculator import Calculator
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt

from gnnpot.engines.base import ENGINES, EngineConfig, library
from gnnpot.engines.charges import check_charge, check_multiplicity, lowest_multiplicity
from gnnpot.errors import LabelingError


@ENGINES.register("xtb")
class XtbConfig(EngineConfig):
    """Extended tight binding; tblite takes one open direction or two for periodic, so they are refused.

    Args:
        method: Parametrization.
        charge: Charge of every structure (e).
        multiplicity: 2S + 1 of every structure; the lowest that the number of electrons allows if None.
        electronic_temperature: Temperature of the Fermi smearing (K).
        accuracy: Accuracy of the self-consistency; smaller is tighter.
        max_iterations: Number of iterations after which a calculation counts as not converged.
    """

    kind: Literal["xtb"] = "xtb"
    method: Literal["GFN1-xTB", "GFN2-xTB"] = "GFN2-xTB"
    charge: float = 0.0
    multiplicity: PositiveInt | None = None
    electronic_temperature: NonNegativeFloat = 300.0
    accuracy: PositiveFloat = 1.0
    max_iterations: PositiveInt = 250

    def calculator(self, folder: Path) -> Calculator:
        """Build the calculator."""
        tblite = library("tblite.ase", "pip install tblite")
        return tblite.TBLite(**self.model_dump(exclude={"kind"}), verbosity=0)

    def check(self, atoms: Atoms, known: frozenset[str] | None, origin: str) -> None:
        """Check that the method can treat a structure."""
        super().check(atoms, known, origin)
        multiplicity = self.multiplicity or lowest_multiplicity(atoms, self.charge)
        check_charge(atoms, self.charge, kind=self.kind, origin=origin)
        check_multiplicity(atoms, multiplicity, kind=self.kind, origin=origin)
        if atoms.pbc.any() and not (atoms.pbc.all() and abs(atoms.cell.volume) > 0):
            raise LabelingError(
                f"expected no periodic direction, or three and a cell, for {self.kind} in {origin}, got "
                f"pbc={atoms.pbc.tolist()} and {abs(atoms.cell.volume):g} Å³; close open directions with "
                "vacuum"
            )
