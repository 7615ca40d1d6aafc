"""Thermostats and barostats: which of ASE's integrators moves the atoms, and what it remembers."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from ase import Atoms, units
from ase.md.bussi import Bussi
from ase.md.langevin import Langevin
from ase.md.langevinbaoab import LangevinBAOAB
from ase.md.md import MolecularDynamics
from ase.md.nose_hoover_chain import NoseHooverChainNVT
from ase.md.nvtberendsen import NVTBerendsen
from ase.md.verlet import VelocityVerlet
from pydantic import Field, FiniteFloat, PositiveFloat

from gnnpot.config.base import Section
from gnnpot.config.kinds import Kinds
from gnnpot.sampling.barostats import FlexibleBarostat, IsotropicBarostat, atoms_at_rest
from gnnpot.units import kBar

_BAR = kBar / 1000

# What an integrator keeps from one step to the next beside positions, momenta and cell.
_MEMORY: dict[type[MolecularDynamics], tuple[str, ...]] = {
    VelocityVerlet: (),
    Langevin: (),
    NVTBerendsen: (),
    Bussi: ("transferred_energy",),
    NoseHooverChainNVT: ("_q", "_p", "_thermostat._eta", "_thermostat._p_eta"),
    LangevinBAOAB: ("accel", "p_eps", "force_eps", "gamma_mod"),
    IsotropicBarostat: (
        *("_q", "_p", "_eps", "_p_eps", "_volume0", "_cell0", "_thermostat._eta", "_thermostat._p_eta"),
        *("_barostat._xi", "_barostat._p_xi"),
    ),
    FlexibleBarostat: (
        *("_q", "_p", "_h", "_p_g", "_thermostat._eta", "_thermostat._p_eta"),
        *("_barostat._xi", "_barostat._p_xi"),
    ),
}


class NVE(Section):
    """Constant energy and volume."""

    kind: Literal["nve"] = "nve"

    def driver(
        self, atoms: Atoms, temperature: float, timestep: float, rng: np.random.Generator
    ) -> MolecularDynamics:
        """The integrator of ``atoms`` at ``temperature`` (K) with ``timestep`` (fs)."""
        return VelocityVerlet(atoms, timestep * units.fs)


class LangevinNVT(Section):
    """Friction and random forces on every atom.

    Args:
        friction: Rate (1/fs).
    """

    kind: Literal["langevin"] = "langevin"
    friction: PositiveFloat = 0.01

    def driver(
        self, atoms: Atoms, temperature: float, timestep: float, rng: np.random.Generator
    ) -> MolecularDynamics:
        """The integrator of ``atoms`` at ``temperature`` (K) with ``timestep`` (fs)."""
        settings = {"temperature_K": temperature, "friction": self.friction / units.fs, "fixcm": False}
        return Langevin(atoms, timestep * units.fs, rng=rng, **settings)


class BussiNVT(Section):
    """Stochastic rescaling of all velocities at once.

    Source: Bussi, Donadio, Parrinello, J. Chem. Phys. 126, 014101 (2007).

    Args:
        time: Relaxation time of the kinetic energy (fs).
    """

    kind: Literal["bussi"] = "bussi"
    time: PositiveFloat = 100.0

    def driver(
        self, atoms: Atoms, temperature: float, timestep: float, rng: np.random.Generator
    ) -> MolecularDynamics:
        """The integrator of ``atoms`` at ``temperature`` (K) with ``timestep`` (fs)."""
        driver = Bussi(atoms, timestep * units.fs, temperature, self.time * units.fs, rng=rng)
        driver.ndof = 3 * atoms_at_rest(atoms)
        driver.target_kinetic_energy = driver.ndof / 2 * units.kB * temperature
        return driver


class BerendsenNVT(Section):
    """Velocities pulled to the temperature; no ensemble, but a calm way to pull molecules.

    Args:
        time: Relaxation time of the temperature (fs).
    """

    kind: Literal["berendsen"] = "berendsen"
    time: PositiveFloat = 100.0

    def driver(
        self, atoms: Atoms, temperature: float, timestep: float, rng: np.random.Generator
    ) -> MolecularDynamics:
        """The integrator of ``atoms`` at ``temperature`` (K) with ``timestep`` (fs)."""
        mean = temperature * atoms_at_rest(atoms) / len(atoms)  # as ASE has it
        settings = {"temperature_K": mean, "taut": self.time * units.fs, "fixcm": False}
        return NVTBerendsen(atoms, timestep * units.fs, **settings)


class NoseHooverNVT(Section):
    """A chain of Nosé and Hoover's thermostats.

    Source: Martyna, Klein, Tuckerman, J. Chem. Phys. 97, 2635 (1992).

    Args:
        time: Period of the thermostat (fs).
        chain: Number of thermostats.
    """

    kind: Literal["nose-hoover"] = "nose-hoover"
    time: PositiveFloat = 100.0
    chain: Annotated[int, Field(ge=1)] = 3

    def driver(
        self, atoms: Atoms, temperature: float, timestep: float, rng: np.random.Generator
    ) -> MolecularDynamics:
        """The integrator of ``atoms`` at ``temperature`` (K) with ``timestep`` (fs)."""
        driver = NoseHooverChainNVT(
            atoms, timestep * units.fs, temperature, self.time * units.fs, tchain=self.chain
        )
        driver._thermostat._num_atoms_global = atoms_at_rest(atoms)
        return driver


class LangevinNPT(Section):
    """Constant pressure and shape of the cell with friction on atoms and volume.

    Source: Quigley, Probert, J. Chem. Phys. 120, 11432 (2004).

    Args:
        pressure: External pressure (bar).
        time: Relaxation time of the velocities (fs).
        pressure_time: Relaxation time of the volume (fs).
    """

    kind: Literal["npt-langevin"] = "npt-langevin"
    pressure: FiniteFloat = 1.0
    time: PositiveFloat = 100.0
    pressure_time: PositiveFloat = 500.0

    def driver(
        self, atoms: Atoms, temperature: float, timestep: float, rng: np.random.Generator
    ) -> MolecularDynamics:
        """The integrator of ``atoms`` at ``temperature`` (K) with ``timestep`` (fs)."""
        inertia = (3 * len(atoms) + 3) * units.kB * temperature * (self.pressure_time * units.fs) ** 2
        return LangevinBAOAB(
            atoms,
            timestep * units.fs,
            temperature_K=temperature,
            externalstress=-self.pressure * _BAR,
            hydrostatic=True,
            T_tau=self.time * units.fs,
            P_tau=self.pressure_time * units.fs,
            P_mass=inertia,
            rng=rng,
        )


class _ChainNPT(Section):
    """Constant pressure with chains of thermostats, which forget the start of small harmonic cells slowly.

    Source: Martyna, Tobias, Klein, J. Chem. Phys. 101, 4177 (1994).

    Args:
        pressure: External pressure (bar).
        time: Period of the thermostat (fs).
        pressure_time: Period of the barostat (fs).
    """

    integrator: ClassVar[type[IsotropicBarostat | FlexibleBarostat]]

    kind: str
    pressure: FiniteFloat = 1.0
    time: PositiveFloat = 100.0
    pressure_time: PositiveFloat = 1000.0

    def driver(
        self, atoms: Atoms, temperature: float, timestep: float, rng: np.random.Generator
    ) -> MolecularDynamics:
        """The integrator of ``atoms`` at ``temperature`` (K) with ``timestep`` (fs)."""
        return self.integrator(
            atoms,
            timestep * units.fs,
            temperature,
            self.pressure * _BAR,
            self.time * units.fs,
            self.pressure_time * units.fs,
        )


class IsotropicNPT(_ChainNPT):
    """Constant pressure and shape of the cell, with chains of thermostats; ``npt-langevin`` for few atoms."""

    integrator = IsotropicBarostat

    kind: Literal["npt-isotropic"] = "npt-isotropic"


class FlexibleNPT(_ChainNPT):
    """Constant pressure; lengths and angles of the cell are free, with chains of thermostats."""

    integrator = FlexibleBarostat

    kind: Literal["npt-flexible"] = "npt-flexible"


IsobaricEnsemble = Annotated[LangevinNPT | IsotropicNPT, Kinds("ensemble")]
Thermostat = Annotated[LangevinNVT | BussiNVT, Kinds("thermostat")]
Ensemble = Annotated[
    NVE | LangevinNVT | BussiNVT | BerendsenNVT | NoseHooverNVT | LangevinNPT | IsotropicNPT | FlexibleNPT,
    Kinds("ensemble"),
]
CELL_MOVES = (LangevinNPT, IsotropicNPT, FlexibleNPT)


def memory_of(driver: MolecularDynamics) -> dict[str, Any]:
    """What ``driver`` keeps from one step to the next, as lists and numbers."""
    return {
        name: np.asarray(_owner(driver, name)).tolist()
        for name in _MEMORY[type(driver)]
        if _is_there(driver, name)
    }


def remember(driver: MolecularDynamics, memory: Mapping[str, Any]) -> None:
    """Give ``driver`` what :func:`memory_of` took from one like it."""
    for name, value in memory.items():
        path, _, last = name.rpartition(".")
        owner = _owner(driver, path) if path else driver
        setattr(owner, last, np.array(value) if isinstance(value, list) else value)


def internal_temperature(atoms: Atoms) -> float:
    """Temperature (K) of the motion about the center of mass, at rest or not."""
    momenta, masses = atoms.get_momenta(), atoms.get_masses()[:, None]
    relative = momenta - masses * momenta.sum(axis=0) / masses.sum()
    return float(np.sum(relative**2 / masses) / (3 * atoms_at_rest(atoms) * units.kB))


def thermalize(atoms: Atoms, temperature: float, *, rng: np.random.Generator) -> None:
    """Give ``atoms`` random momenta of ``temperature`` (K) without drift of the center of mass."""
    masses = atoms.get_masses()[:, None]
    momenta = rng.normal(size=(len(atoms), 3)) * np.sqrt(masses * units.kB * temperature)
    atoms.set_momenta(momenta - masses * momenta.sum(axis=0) / masses.sum())


def _owner(driver: MolecularDynamics, path: str) -> Any:
    return reduce(getattr, path.split("."), driver)


def _is_there(driver: MolecularDynamics, path: str) -> bool:
    return hasattr(driver, path.partition(".")[0])
