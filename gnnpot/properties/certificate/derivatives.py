"""Forces and stress against differences of the energy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator

from gnnpot.properties.calculation import explained, placed
from gnnpot.properties.certificate.checks import Bounds, Check, judged, not_applicable
from gnnpot.units import MPa, meV

FORCES, STRESS = "forces = −∇E", "stress = dE/dε"
_STEP, _STRAIN = 0.01, 0.002  # Å; the error of the differences goes with the fourth power
_NUM_COMPONENTS = 6


def forces_check(calculator: Calculator, atoms: Atoms) -> Check:
    """Some components of forces against differences of the energy."""
    with explained("the forces", atoms):
        forces = placed(calculator, atoms).get_forces()
    rng = np.random.default_rng(0)
    chosen = rng.choice(3 * len(atoms), size=min(_NUM_COMPONENTS, 3 * len(atoms)), replace=False)
    errors = []
    for atom, axis in zip(*np.unravel_index(chosen, (len(atoms), 3)), strict=True):

        def energy(step: float, atom: int = atom, axis: int = axis) -> float:
            moved = placed(calculator, atoms)
            moved.positions[atom, axis] += step
            return float(moved.get_potential_energy())

        with explained("the forces by differences", atoms):
            errors.append(abs(forces[atom, axis] + _slope(energy, _STEP)))
    return judged(
        FORCES,
        max(errors) / meV,
        "meV/Å",
        f"largest error of {len(errors)} components of forces against differences of the energy",
        bounds=Bounds(1.0, 10.0),
    )


def stress_check(calculator: Calculator, atoms: Atoms) -> Check:
    """All six components of the stress against differences of the energy by strain."""
    if not (atoms.pbc.all() and "stress" in calculator.implemented_properties):
        return not_applicable(STRESS, "three periodic directions and a calculator with stress are needed")
    errors = []
    for component, (row, column) in enumerate(((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))):

        def energy(strain: float, row: int = row, column: int = column) -> float:
            gradient = np.eye(3)
            gradient[row, column] += strain / 2
            gradient[column, row] += strain / 2
            strained = placed(calculator, atoms)
            strained.set_cell(atoms.cell.array @ gradient, scale_atoms=True)
            return float(strained.get_potential_energy())

        with explained("the stress by differences", atoms):
            stress = placed(calculator, atoms).get_stress()[component]
            errors.append(abs(stress - _slope(energy, _STRAIN) / atoms.get_volume()))
    return judged(
        STRESS,
        max(errors) / MPa,
        "MPa",
        "largest error of a component of the stress against differences of the energy by strain",
        bounds=Bounds(10.0, 100.0),
    )


def _slope(energy: Callable[[float], float], step: float) -> float:
    """dE/dx by four points; the error is of fourth order."""
    near = energy(step) - energy(-step)
    far = energy(2 * step) - energy(-2 * step)
    return (8 * near - far) / (12 * step)
