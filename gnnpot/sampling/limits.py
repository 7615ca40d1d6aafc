"""When dynamics have exploded."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from pydantic import Field, PositiveFloat

from gnnpot.config.base import Section
from gnnpot.graph.neighbors import neighbor_pairs

# Closer than sampling allows, over the sum of the covalent radii: at the temperatures of a test no bond is
# shorter, and a potential that lets atoms come so near has lost its repulsion.
LASTING_DISTANCE = 0.6


class Limits(Section):
    """What a believable frame stays within.

    Args:
        heating: Largest temperature over that of the thermostat.
        force: Largest force on an atom (eV/Å).
        distance: Smallest distance of two atoms, over the sum of their covalent radii; from 0.001 to 1.
    """

    heating: PositiveFloat = 10.0
    force: PositiveFloat = 200.0
    distance: float = Field(default=0.4, ge=0.001, le=1.0)

    def broken_by(self, atoms: Atoms, temperature: float) -> str:
        """What is wrong with the motion of ``atoms`` at ``temperature`` (K) or their forces, or nothing."""
        if motion := self.motion_of(atoms, temperature):
            return motion
        lengths = np.linalg.norm(atoms.get_forces(), axis=1)
        force = float(lengths.max())
        if not force < self.force:  # also true of NaN
            return (
                f"a force of {force:.3g} eV/Å on {_named(atoms, lengths.argmax())}, over {self.force:g} eV/Å"
            )
        return ""

    def motion_of(self, atoms: Atoms, temperature: float) -> str:
        """What is wrong with the motion of ``atoms`` at ``temperature`` (K), or nothing."""
        finite = np.isfinite(np.hstack([atoms.positions, atoms.get_momenta()])).all(axis=1)
        if not finite.all():
            return f"positions or momenta that are not finite, first of {_named(atoms, finite.argmin())}"
        measured = atoms.get_temperature()
        if not measured < self.heating * max(temperature, 1.0):
            energies = np.square(atoms.get_momenta()).sum(axis=1) / atoms.get_masses()
            return (
                f"a temperature of {measured:.0f} K, over {self.heating:g} times {temperature:g} K; "
                f"{_named(atoms, energies.argmax())} is the hottest"
            )
        return ""

    def overlap_in(self, atoms: Atoms) -> str:
        """Which atoms are too close, or nothing."""
        radii = self.distance * covalent_radii[atoms.numbers]
        (second, first), shifts = neighbor_pairs(
            atoms.positions, atoms.cell.array, atoms.pbc, 2 * float(radii.max())
        )
        edges = atoms.positions[second] + shifts @ atoms.cell.array - atoms.positions[first]
        lengths = np.linalg.norm(edges, axis=1)
        excess = lengths - radii[first] - radii[second]
        if not (excess < 0).any():
            return ""
        pair = int(excess.argmin())
        return (
            f"{_named(atoms, first[pair])} and {_named(atoms, second[pair])} {lengths[pair]:.2f} Å apart, "
            f"under {self.distance:g} of the sum of their radii"
        )


def _named(atoms: Atoms, number: np.integer) -> str:
    """An atom by its place in the structure, counted from 0 as in ASE, and its element."""
    return f"atom {number} ({atoms.symbols[int(number)]})"
