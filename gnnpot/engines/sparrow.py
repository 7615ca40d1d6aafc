"""DFTB3 with the 3OB parameters by SCINE Sparrow, for molecules.

Gaus, Cui and Elstner, J. Chem. Theory Comput. 7, 931 (2011); Bosia et al., J. Chem. Phys. 158, 054118 (2023).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from ase import Atoms
from ase.calculators.calculator import CalculationFailed, Calculator
from jaxtyping import Float
from pydantic import PositiveFloat, PositiveInt
from scipy.sparse.csgraph import minimum_spanning_tree

from gnnpot import units
from gnnpot.calculator.base import WholeCalculator
from gnnpot.engines.base import ENGINES, EngineConfig, library
from gnnpot.engines.charges import check_charge, check_multiplicity
from gnnpot.errors import LabelingError

INSTALL = "pip install scine-sparrow"
_STEP = 3e-4  # Å, of differences
_ELEMENTS = frozenset({"H", "C", "N", "O", "P", "S", "F", "Cl", "Br", "I", "Na", "K", "Mg", "Ca", "Zn"})


@ENGINES.register("dftb3")
class SparrowConfig(EngineConfig):
    """DFTB3/3OB.

    Measured on hexane: with the two halves 4.5 Å apart the self-consistency lands on a state 5 eV too high
    and says nothing, and one hydrogen of water 8 Å away gives 15.5 eV instead of 5.8, so a structure that
    falls into parts farther apart than ``max_gap`` is refused.

    The program's own gradient is not the derivative of its energy: it is off by 0.17 eV/Å in water, 0.09 in
    methanol, 0.05 in ammonia, 0.02 in ethane.  Forces are therefore central differences of the energy, to
    1e-5 eV/Å, at 6 N energies of about a millisecond.

    Args:
        charge: Charge of every structure (e).
        multiplicity: Spin multiplicity 2S + 1 of every structure.
        max_gap: Longest distance between parts of a structure, of any element (Å).
        forces: ``differences`` of the energy, or the ``gradient`` of the program: fast, good enough to sample
            structures with, wrong as labels.
    """

    kind: Literal["dftb3"] = "dftb3"
    charge: int = 0
    multiplicity: PositiveInt = 1
    max_gap: PositiveFloat = 3.5
    forces: Literal["differences", "gradient"] = "differences"

    def calculator(self, folder: Path) -> Calculator:
        """Build the calculator."""
        library("scine_sparrow", INSTALL)
        return _Sparrow(self)

    def elements(self) -> frozenset[str]:
        """Symbols that the method knows."""
        return _ELEMENTS

    def check(self, atoms: Atoms, known: frozenset[str] | None, origin: str) -> None:
        """Check that the method can treat a structure."""
        super().check(atoms, known, origin)
        check_charge(atoms, self.charge, kind=self.kind, origin=origin)
        check_multiplicity(atoms, self.multiplicity, kind=self.kind, origin=origin)
        if atoms.pbc.any():
            raise LabelingError(
                f"expected a molecule for {self.kind} in {origin}, got pbc={atoms.pbc.tolist()}; "
                "open the directions, or choose xtb"
            )
        if (gap := longest_gap(atoms)) > self.max_gap:
            raise LabelingError(
                f"expected parts at most {self.max_gap:g} Å apart for {self.kind} in {origin}, got "
                f"{gap:.2f} Å, where it finds wrong states; choose xtb, or raise method.max_gap"
            )


def longest_gap(atoms: Atoms) -> float:
    """The longest link of the shortest tree that joins all atoms (Å)."""
    if len(atoms) < 2:
        return 0.0
    distances = np.linalg.norm(atoms.positions[:, None] - atoms.positions, axis=-1)
    return float(minimum_spanning_tree(distances).data.max(initial=0.0))


class _Sparrow(WholeCalculator):
    name = "dftb3"
    implemented_properties = ["energy", "free_energy", "forces"]  # noqa: RUF012

    def __init__(self, config: SparrowConfig) -> None:
        super().__init__()
        self._scine = library("scine_utilities", INSTALL)
        self._forces = config.forces
        modules = self._scine.core.ModuleManager.get_instance()
        self._engine = modules.get("calculator", "DFTB3")
        self._engine.settings["molecular_charge"] = config.charge
        self._engine.settings["spin_multiplicity"] = config.multiplicity
        if config.multiplicity > 1:
            self._engine.settings["spin_mode"] = "unrestricted"
        self._engine.log = self._scine.core.Log.silent()
        wanted = [self._scine.Property.Energy]
        if config.forces == "gradient":
            wanted.append(self._scine.Property.Gradients)
        self._engine.set_required_properties(wanted)

    def computed(self) -> dict[str, Any]:
        """Energy and forces."""
        kinds = [getattr(self._scine.ElementType, symbol) for symbol in self.atoms.symbols]
        self._engine.structure = self._scine.AtomCollection(kinds, self.atoms.positions / units.Bohr)
        results = self._results()
        energy = results.energy * units.Hartree
        if self._forces == "gradient":
            forces = -np.array(results.gradients) * units.Hartree / units.Bohr
        else:
            forces = self._differences()
        return {"energy": energy, "free_energy": energy, "forces": forces}

    def _differences(self) -> Float[np.ndarray, "N 3"]:
        """Forces by central differences (eV/Å)."""
        forces = np.zeros((len(self.atoms), 3))
        for place in np.ndindex(forces.shape):
            energies = []
            for side in (-1, 1):
                moved = self.atoms.positions.copy()
                moved[place] += side * _STEP
                self._engine.positions = moved / units.Bohr
                energies.append(self._results().energy * units.Hartree)
            forces[place] = -(energies[1] - energies[0]) / (2 * _STEP)
        return forces

    def _results(self) -> Any:
        results = self._engine.calculate()
        if not results.successful_calculation:
            raise CalculationFailed("DFTB3 did not converge")
        return results
