"""Barostats with chains of thermostats for atoms whose center of mass stays at rest.

ASE's integrators by Martyna, Tobias and Klein couple the volume to the kinetic energy of 3N degrees of
freedom.  Chains of thermostats never move the center of mass, so that 3N − 3 take part, and translations of
the whole are missing from the distribution of the volume: an ideal gas then has V^(N−1) instead of V^N, a
pressure that is kT/V too high.  The integrators here add what is missing as the potential −2 kT ln V: one kT
for the translations, and one for the measure of the cell, which takes the place of ASE's coupling to the
kinetic energy, exact for 3N degrees of freedom only.

Nothing in these equations is random.  A crystal of few atoms that vibrates harmonically keeps the phases of
its vibrations to each other: started on its sites, where all pass through zero at once, four atoms with a
fast barostat have a kinetic energy 5 % too low and a volume that fluctuates 13 % too much, for 24 ps at
least; started from displacements of the same temperature they have neither.  Friction forgets phases:
``npt-langevin`` is for such cells.

A cell that does not rotate has six velocities.  ASE gives its thermostat the energy of nine, and the cell 1.5
times the temperature.

Source: Martyna, Tobias, Klein, J. Chem. Phys. 101, 4177 (1994).
"""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.md.md import MolecularDynamics
from ase.md.nose_hoover_chain import MTKNPT, IsotropicMTKNPT, NoseHooverChainThermostat
from scipy.special import exprel

_SYMMETRIC = 6  # independent velocities of a cell that does not rotate


class _AtRest(MolecularDynamics):
    """What both barostats add to ASE's integrators: as many degrees of freedom as move, and −2 kT ln V.

    Args:
        atoms: Structure with momenta whose sum is zero; it is moved in place.
        timestep: Time step (ASE units).
        temperature: Temperature (K).
        pressure: External pressure (eV/Å³).
        time: Period of the thermostat (ASE units).
        pressure_time: Period of the barostat (ASE units).
    """

    _kT: float  # noqa: N815
    _p: np.ndarray
    _thermostat: NoseHooverChainThermostat

    def __init__(
        self,
        atoms: Atoms,
        timestep: float,
        temperature: float,
        pressure: float,
        time: float,
        pressure_time: float,
    ) -> None:
        super().__init__(atoms, timestep, temperature, pressure, time, pressure_time)
        self._count_degrees()

    def _count_degrees(self) -> None:
        """Tell the chains of thermostats how many degrees of freedom they act on."""
        self._thermostat._num_atoms_global = atoms_at_rest(self.atoms)

    def get_conserved_energy(self) -> float:
        """The energy that the equations of motion conserve (eV)."""
        return super().get_conserved_energy() - 2 * self._kT * float(np.log(self._get_volume()))


class IsotropicBarostat(_AtRest, IsotropicMTKNPT):
    """Constant pressure and shape of the cell; positions in the frame of the center of mass."""

    def _integrate_p(self, delta: float) -> None:
        x = self._p_eps * delta / self._barostat.W
        self._p = self._p * np.exp(-x) + delta * self._get_forces() * exprel(-x)

    def _integrate_p_cell(self, delta: float) -> None:
        work = 3 * self._get_volume() * (self._get_pressure() - self._pressure_au)
        self._p_eps += delta * (work + 6 * self._kT)


class FlexibleBarostat(_AtRest, MTKNPT):
    """Constant pressure; lengths and angles of the cell are free, its orientation is not."""

    def _count_degrees(self) -> None:
        super()._count_degrees()
        barostat = self._barostat
        barostat._cell_dof = _SYMMETRIC
        barostat._R[0] = _SYMMETRIC * self._kT * barostat._pdamp**2

    def _integrate_p(self, delta: float) -> None:
        rates, axes = np.linalg.eigh(self._p_g)
        x = rates * delta / self._barostat.W
        along = (self._p @ axes) * np.exp(-x) + delta * (self._get_forces() @ axes) * exprel(-x)
        self._p = along @ axes.T

    def _integrate_p_cell(self, delta: float) -> None:
        work = self._get_volume() * (self._get_stress() - self._pressure_au * np.eye(3))
        self._p_g += delta * (work + 2 * self._kT * np.eye(3))


def atoms_at_rest(atoms: Atoms) -> int:
    """As many atoms as have the degrees of freedom of all about a center of mass at rest.

    Thermostats that act on all atoms alike never move it, and take ASE's integrators count 3N.
    """
    return max(1, len(atoms) - 1)
