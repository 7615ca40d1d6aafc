"""Any model of OpenKIM that is installed.

Tadmor et al., JOM 63 (7), 17 (2011).
"""

from __future__ import annotations

import ctypes
from ctypes.util import find_library
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from jaxtyping import Float

from gnnpot.calculator.base import WholeCalculator
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
        """Build the calculator."""
        library("kimpy", INSTALL)
        _silence()
        from ase.calculators.kim import KIM
        from ase.calculators.kim.exceptions import KIMModelNotFound

        try:
            return _Kim(KIM(self.model))
        except KIMModelNotFound as error:
            raise EngineError(
                f"expected an installed model, got {self.model}; {_cure(self.model)}"
            ) from error

    def elements(self) -> frozenset[str]:
        """Symbols that the method knows."""
        self.calculator(Path())
        from ase.calculators.kim import get_model_supported_species

        return frozenset(get_model_supported_species(self.model))


def _cure(name: str) -> str:
    """The installed model that is probably meant by ``name``, or where all are listed."""
    import kimpy

    found, kinds = kimpy.collections.create(), kimpy.collection_item_type
    installed = [
        found.get_item_name_by_type(place)
        for kind in (kinds.portableModel, kinds.simulatorModel)
        for place in range(found.cache_list_of_item_names_by_type(kind))
    ]
    longer = [one for one in installed if one.startswith(name)]
    if close := longer or get_close_matches(name, installed, n=1):
        return f"did you mean {close[0]}?"
    return f"`kim-api-collections-management list` shows those there; install more: {INSTALL}"


class _Kim(WholeCalculator):
    """ASE's KIM, shown the images of all atoms inside the cell, with the energies of single atoms.

    ASE's KIM misses neighbors of atoms outside it, and does not say so.  At every call it also lets the
    model read its parameters anew, which takes longer than small structures do; here they never change.

    Args:
        calculator: ASE's calculator of a portable model, or of one that LAMMPS runs.
    """

    def __init__(self, calculator: Calculator) -> None:
        super().__init__()
        self.calculator = calculator
        self.implemented_properties = list(calculator.implemented_properties)
        self._energies: Float[np.ndarray, "M"] | None = None  # of atoms and of images around them (eV)
        if hasattr(calculator, "_kimmodeldata"):
            calculator._model_refresh_and_update_neighbor_list_parameters = lambda: None
            self._ask_for_energies(calculator._kimmodeldata.compute_args)

    def computed(self) -> dict[str, Any]:
        """What the inner calculator finds."""
        inside = Atoms(self.atoms.numbers, self.atoms.positions, cell=self.atoms.cell, pbc=self.atoms.pbc)
        inside.wrap()
        try:
            self.calculator.calculate(inside, ["energy", "forces", "stress"], list(all_changes))
        except Exception:
            self.reset()  # the model has seen who knows what of this structure
            raise
        results = dict(self.calculator.results)
        if self._energies is not None:
            results["energies"] = self._energies[: len(inside)].copy()
        return results

    def _ask_for_energies(self, arguments: Any) -> None:
        """Have the model write the energies of atoms, if it can, whenever its arrays are made anew."""
        import kimpy

        name = kimpy.compute_argument_name.partialParticleEnergy
        if arguments.get_argument_support_status(name) == kimpy.support_status.notSupported:
            return
        self.implemented_properties.append("energies")
        tell = arguments.update

        def update(num_particles: Any, *others: Any) -> None:
            tell(num_particles, *others)
            self._energies = np.zeros(int(num_particles[0]))
            arguments.set_argument_pointer(name, self._energies)

        arguments.update = update


def _silence() -> None:
    """Keep the library from writing kim.log wherever the process is."""
    name = find_library("kim-api")
    if name is not None:
        ctypes.CDLL(name).KIM_Log_PushDefaultVerbosity(ctypes.c_int(_SILENT))
