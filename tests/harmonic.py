"""A crystal of independent oscillators in an elastic box: averages are known exactly."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.stress import full_3x3_to_voigt_6_stress


class EinsteinCrystal(Calculator):
    """U = k/2 Σ |r_i − s_i h|² + c/2 Σ (h_ab − h0_ab)² over the cell's components; counts its calls."""

    implemented_properties = ["energy", "free_energy", "forces", "stress"]  # noqa: RUF012

    def __init__(self, atoms: Atoms, stiffness: float = 2.0, cell_stiffness: float = 5.0) -> None:
        super().__init__()
        self.scaled = atoms.get_scaled_positions(wrap=False)
        self.home = atoms.cell.array.copy()
        self.stiffness, self.cell_stiffness = stiffness, cell_stiffness
        self.calls = 0

    def away(self, atoms: Atoms) -> np.ndarray:
        """From each site to its atom, whatever image that is (Å)."""
        scaled = atoms.positions @ np.linalg.inv(atoms.cell.array) - self.scaled
        return (scaled - np.round(scaled)) @ atoms.cell.array

    def calculate(self, atoms=None, properties=("energy",), system_changes=tuple(all_changes)):
        super().calculate(atoms, properties, system_changes)
        self.calls += 1
        cell = self.atoms.cell.array
        away = self.away(self.atoms)
        stretch = cell - self.home
        energy = self.stiffness / 2 * np.sum(away**2) + self.cell_stiffness / 2 * np.sum(stretch**2)
        virial = self.stiffness * away.T @ away + self.cell_stiffness * cell.T @ stretch
        self.results = {
            "energy": energy,
            "free_energy": energy,
            "forces": -self.stiffness * away,
            "stress": full_3x3_to_voigt_6_stress((virial + virial.T) / 2 / self.atoms.get_volume()),
        }


def oscillators() -> Atoms:
    """Four atoms of copper on fcc sites, with a calculator."""
    atoms = Atoms(
        "Cu4", scaled_positions=[[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]], cell=[5, 5, 5]
    )
    atoms.pbc = True
    atoms.calc = EinsteinCrystal(atoms)
    return atoms
