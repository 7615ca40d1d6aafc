"""The structure at rest by one potential, from which its other properties start."""

from __future__ import annotations

from ase import Atoms
from ase.calculators.calculator import Calculator

from gnnpot.errors import PropertyError
from gnnpot.properties.calculation import require_crystal
from gnnpot.properties.equation_of_state import EquationOfStateConfig, equation_of_state
from gnnpot.properties.relaxation import Relaxation, RelaxationConfig, relax, relax_crystal

_PASSES = (EquationOfStateConfig(span=0.35, points=29), EquationOfStateConfig(span=0.03, points=11))


def at_rest(calculator: Calculator, atoms: Atoms, config: RelaxationConfig) -> Relaxation:
    """Relax a crystal with its cell, a molecule or a slab without.

    With a calculator that gives no stress a crystal is scaled to the volume of least energy, and its ions
    relax there; the shape of the cell stays.

    Raises:
        PropertyError: The calculator cannot treat the structure.
    """
    fixed = config.model_copy(update={"cell": "fixed"})
    try:
        require_crystal(atoms, "a cell that relaxes")
    except PropertyError:
        return relax(calculator, atoms, config=fixed)
    if "stress" in calculator.implemented_properties:
        return relax_crystal(calculator, atoms, config=config)
    start = atoms.copy()
    for volumes in _PASSES:
        volume = equation_of_state(calculator, start, config=volumes).volume * len(start)
        start.set_cell(start.cell * (volume / start.get_volume()) ** (1 / 3), scale_atoms=True)
    return relax(calculator, start, config=fixed)
