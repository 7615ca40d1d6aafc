"""Calculator that adds a spring between two groups of atoms to any other calculator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.stress import full_3x3_to_voigt_6_stress
from jaxtyping import Float

from gnnpot.calculator.base import WholeCalculator
from gnnpot.errors import ConfigError
from gnnpot.sampling.step_cache import OncePerStep

Array = np.ndarray


class SpringCalculator(WholeCalculator):
    r"""Energy, forces and stress of U + K (d − target)² / 2.

    d is the distance between the centers of mass of two groups.  Periodic images are chosen once, in the
    first structure: each group is gathered around its first atom, and the second group is taken at its
    nearest image.  The distance may then grow beyond half the cell.

    Args:
        calculator: Calculator of U.
        groups: Indices of the atoms of each group.
        stiffness: Spring constant K (eV/Å²).
        atoms: Structure in which periodic images are chosen.

    Raises:
        ConfigError: A group is empty, names a missing atom, or shares an atom with the other group.
    """

    def __init__(
        self,
        calculator: Calculator | OncePerStep,
        groups: tuple[Sequence[int], Sequence[int]],
        *,
        stiffness: float,
        atoms: Atoms,
    ) -> None:
        super().__init__()
        check_groups(groups, len(atoms))
        self.implemented_properties = [
            name for name in ("energy", "free_energy", "forces", "stress") if _gives(calculator, name)
        ]
        self.calculator = calculator
        self.stiffness = stiffness
        self.target: float | None = None  # Å; no spring while there is none
        self.unbiased: dict[str, Any] = {}
        self._weights = _center_weights(atoms, groups)
        self._shifts = _image_shifts(atoms, groups)

    @property
    def description(self) -> dict[str, float]:
        """Entries that describe the spring in a frame's ``info``."""
        if self.target is None:
            return {}
        return {"spring_target": self.target, "spring_distance": self.distance(self.atoms)}

    def separation(self, atoms: Atoms) -> Float[Array, "3"]:
        """Vector from the center of the first group to that of the second (Å)."""
        return self._weights @ (atoms.positions + self._shifts @ atoms.cell.array)

    def distance(self, atoms: Atoms) -> float:
        """Distance between the two centers (Å)."""
        return float(np.linalg.norm(self.separation(atoms)))

    def pull(self, atoms: Atoms) -> float:
        """Force of the spring, positive where it pulls the groups apart (eV/Å)."""
        return 0.0 if self.target is None else self.stiffness * (self.target - self.distance(atoms))

    def computed(self) -> dict[str, Any]:
        """Results of calculator and spring together."""
        moving = self.atoms
        periodic = "stress" in self.implemented_properties and moving.cell.rank == 3
        wanted = ("energy", "forces", "stress") if periodic else ("energy", "forces")
        self.unbiased = {name: self.calculator.get_property(name, moving) for name in reversed(wanted)}
        separation, pull = self.separation(moving), self.pull(moving)
        direction = separation / np.linalg.norm(separation)
        energy = self.unbiased["energy"] + (pull**2 / (2 * self.stiffness))
        forces = self.unbiased["forces"] + pull * np.outer(self._weights, direction)
        results = {"energy": energy, "free_energy": energy, "forces": forces}
        if periodic:
            virial = -pull * np.outer(separation, direction) / moving.get_volume()
            results["stress"] = self.unbiased["stress"] + full_3x3_to_voigt_6_stress(virial)
        return results

    def move_to(self, target: float) -> None:
        """Give the spring the length ``target`` (Å)."""
        self.target = target
        self.refresh()

    def refresh(self) -> None:
        """Discard the results after moving the spring; U is not computed again."""
        self.results = {}


def check_groups(groups: tuple[Sequence[int], Sequence[int]], num_atoms: int) -> None:
    """Check that there can be a spring between two groups.

    Raises:
        ConfigError: A group is empty, names a missing atom, or shares an atom with the other group.
    """
    for group in groups:
        outside = [index for index in group if not 0 <= index < num_atoms]
        if not group or outside:
            raise ConfigError(
                f"expected atoms from 0 to {num_atoms - 1} at the ends of the spring, got "
                f"{outside or 'none'}; change between"
            )
    if shared := sorted(set(groups[0]) & set(groups[1])):
        raise ConfigError(
            f"expected two different atoms or groups at the ends of the spring, got {shared} at both; "
            "change between"
        )


def _gives(calculator: Calculator | OncePerStep, name: str) -> bool:
    return name == "free_energy" or name in calculator.implemented_properties


def _center_weights(atoms: Atoms, groups: tuple[Sequence[int], Sequence[int]]) -> Float[Array, "N"]:
    """Coefficient of each atom in the separation: its share of the group's mass, negative in the first."""
    weights, masses = np.zeros(len(atoms)), atoms.get_masses()
    for sign, group in zip((-1, 1), groups, strict=True):
        members = list(group)
        weights[members] = sign * masses[members] / masses[members].sum()
    return weights


def _image_shifts(atoms: Atoms, groups: tuple[Sequence[int], Sequence[int]]) -> Float[Array, "N 3"]:
    """Lattice vectors that move each atom to its chosen image."""
    shifts = np.zeros((len(atoms), 3))
    if not atoms.pbc.any():
        return shifts
    anchor = groups[0][0]
    for group in groups:
        first = group[0]
        shifts[first] = _nearest_shift(atoms, anchor, first)
        for index in group:
            shifts[index] = shifts[first] + _nearest_shift(atoms, first, index)
    return shifts


def _nearest_shift(atoms: Atoms, center: int, index: int) -> Float[Array, "3"]:
    """Lattice vectors that bring ``index`` to the image nearest to ``center``."""
    plain = atoms.positions[index] - atoms.positions[center]
    nearest = atoms.get_distance(center, index, mic=True, vector=True)
    return np.round((nearest - plain) @ np.linalg.pinv(atoms.cell.array))
