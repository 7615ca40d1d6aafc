"""Relaxation of positions and cells; which crystal of a composition is the most stable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.cell import Cell
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS, LBFGS
from ase.optimize.optimize import Optimizer
from jaxtyping import Float
from pydantic import PositiveFloat, PositiveInt

from gnnpot.config.base import Section
from gnnpot.errors import GnnpotError, one_line
from gnnpot.properties.calculation import explained, placed
from gnnpot.sampling.crystals import bond_length
from gnnpot.units import GPa, meV

Array = np.ndarray

_FEW = 30  # atoms, up to which the whole Hessian is kept
_SCALES = np.linspace(0.76, 1.30, 28)  # of all lengths, when the minimum is looked for
_LARGEST_CHANGE = 2.0  # of the volume: what goes further has no crystal to relax to


class RelaxationConfig(Section):
    """How far and with which freedom structures relax.

    Args:
        force: Largest force of a relaxed structure (eV/Å), and of the force on its cell.
        steps: Most steps; a structure that needs more counts as one that does not relax.
        cell: ``free``, or ``hydrostatic``: only its volume changes; or ``fixed``.  The cell of a structure
            with open directions never moves.
    """

    force: PositiveFloat = 1e-4
    steps: PositiveInt = 500
    cell: Literal["free", "hydrostatic", "fixed"] = "free"


@dataclass(frozen=True)
class Relaxation:
    """Where a structure came to rest, or why it did not.

    Attributes:
        atoms: The structure at the end.
        energy: eV/atom; NaN where nothing could be computed.
        force: The largest at the end (eV/Å).
        pressure: Pressure at the end (GPa); NaN without three periodic directions.
        steps: Steps of the optimizer.
        failure: Reason of a failure, empty if there was none.
    """

    UNITS: ClassVar[Mapping[str, str]] = {
        "energy": "eV/atom", "volume": "Å³/atom", "bond_length": "Å", "a": "Å", "b": "Å", "c": "Å",
        "alpha": "°", "beta": "°", "gamma": "°", "force": "eV/Å", "pressure": "GPa",
    }  # fmt: skip

    atoms: Atoms
    energy: float
    force: float
    pressure: float
    steps: int
    failure: str = ""

    @property
    def volume(self) -> float:
        """Å³/atom; NaN without a cell."""
        return float(self.atoms.get_volume()) / len(self.atoms) if self.atoms.cell.rank == 3 else np.nan

    @property
    def bond_length(self) -> float:
        """The shortest distance of two atoms (Å)."""
        return bond_length(self.atoms)

    @property
    def lattice(self) -> dict[str, float]:
        """Constants of the conventional cell of its lattice (Å, °)."""
        return lattice_constants(self.atoms.cell)

    def as_dict(self) -> dict[str, Any]:
        """Numbers by name, in the units of :attr:`UNITS`."""
        return {
            "energy": self.energy,
            "volume": self.volume,
            "bond_length": self.bond_length,
            **self.lattice,
            "force": self.force,
            "pressure": self.pressure,
            "steps": self.steps,
        }


@dataclass(frozen=True)
class PhaseOrder:
    """Crystals of one composition, the most stable first, and those that did not relax.

    Attributes:
        phases: Relaxed phases by name, in the order of their energies.
        not_relaxed: Reason by name of each phase that did not relax.
    """

    UNITS: ClassVar[Mapping[str, str]] = {**Relaxation.UNITS, "energy_above": "meV/atom"}

    phases: Mapping[str, Relaxation]
    not_relaxed: Mapping[str, str]

    @property
    def order(self) -> list[str]:
        """Names, the most stable first."""
        return list(self.phases)

    def above(self, name: str) -> float:
        """Energy over the most stable phase (meV/atom)."""
        return (self.phases[name].energy - self.phases[self.order[0]].energy) / meV

    def as_dict(self) -> dict[str, Any]:
        """Numbers by phase, in the units of :attr:`UNITS`, the order, and what did not relax."""
        return {
            "order": self.order,
            **{
                name: {"energy_above": self.above(name), **one.as_dict()} for name, one in self.phases.items()
            },
            "not_relaxed": dict(self.not_relaxed),
        }


def relax(calculator: Calculator, atoms: Atoms, *, config: RelaxationConfig | None = None) -> Relaxation:
    """Move atoms and cell until forces and stress vanish.

    Args:
        calculator: Energy, forces, and stress where the cell moves.
        atoms: The start; not changed.
        config: Limits.

    Raises:
        PropertyError: The calculator cannot treat the structure, or lacks stress.
    """
    config = config or RelaxationConfig()
    moving = placed(calculator, atoms)
    cell_moves = config.cell != "fixed" and moving.pbc.all()
    with explained("the relaxation", atoms):
        moving.get_forces()
        if cell_moves:
            moving.get_stress()
    target = (
        FrechetCellFilter(moving, hydrostatic_strain=config.cell == "hydrostatic") if cell_moves else moving
    )
    kind = BFGS if len(atoms) <= _FEW else LBFGS
    optimizer = kind(target, logfile=None)
    failure = _run(optimizer, moving, atoms, config)
    return _at_rest(moving, optimizer.nsteps, failure)


def relax_crystal(
    calculator: Calculator, atoms: Atoms, *, config: RelaxationConfig | None = None
) -> Relaxation:
    """Relax a perfect crystal from the minimum of its energy along the volume that is nearest to it.

    Raises:
        PropertyError: The calculator cannot treat the structure, or lacks stress.
    """
    scale = _nearest_minimum(calculator, atoms)
    if scale is None:
        lengths = f"{_SCALES[0] * bond_length(atoms):.2f} and {_SCALES[-1] * bond_length(atoms):.2f} Å"
        return Relaxation(
            atoms, np.nan, np.nan, np.nan, 0, f"the energy has no minimum at bonds between {lengths}"
        )
    start = atoms.copy()
    start.set_cell(atoms.cell * scale, scale_atoms=True)
    return relax(calculator, start, config=config)


def phase_order(
    calculator: Calculator, crystals: Mapping[str, Atoms], *, config: RelaxationConfig | None = None
) -> PhaseOrder:
    """Relax crystals of one composition and order them by their energy per atom.

    Args:
        calculator: Calculator to judge.
        crystals: Crystals by name.
        config: Limits of the relaxations.
    """
    found, failed = dict[str, Relaxation](), dict[str, str]()
    for name, atoms in crystals.items():
        try:
            relaxation = relax_crystal(calculator, atoms, config=config)
        except GnnpotError as error:
            failed[name] = one_line(error)
            continue
        if relaxation.failure:
            failed[name] = relaxation.failure
        else:
            found[name] = relaxation
    order = sorted(found, key=lambda name: found[name].energy)
    return PhaseOrder({name: found[name] for name in order}, failed)


def lattice_constants(cell: Cell) -> dict[str, float]:
    """Constants of the conventional cell of a lattice (Å, °); of a general one the cell as it is."""
    if cell.rank < 3:
        return {}
    try:
        lattice = cell.get_bravais_lattice(eps=1e-3)
    except (RuntimeError, AssertionError, ValueError):  # between two kinds
        names = ("a", "b", "c", "alpha", "beta", "gamma")
        return dict(zip(names, cell.cellpar().tolist(), strict=True))
    return {name: float(value) for name, value in lattice.vars().items()}


def _run(optimizer: Optimizer, moving: Atoms, start: Atoms, config: RelaxationConfig) -> str:
    """Move to the end; gives what went wrong, or nothing."""
    try:
        with explained("the relaxation", start):
            for _ in optimizer.irun(fmax=config.force, steps=config.steps):
                if lost := _lost(moving, start):
                    return lost
            if optimizer.converged(optimizer.optimizable.get_gradient()):
                return ""
            left = float(np.linalg.norm(moving.get_forces(), axis=1).max())
    except (GnnpotError, ValueError, RuntimeError) as error:  # optimizers meet matrices without logarithm
        return one_line(error)
    return (
        f"{config.steps} steps did not suffice: forces up to {left:.2g} eV/Å are left, over {config.force:g}"
    )


def _lost(moving: Atoms, start: Atoms) -> str:
    if not (np.isfinite(moving.positions).all() and np.isfinite(moving.cell.array).all()):
        return "positions or cell are not finite"
    if start.cell.rank < 3:
        return ""
    ratio = moving.get_volume() / start.get_volume()
    if not 1 / _LARGEST_CHANGE < ratio < _LARGEST_CHANGE:
        return f"the volume became {ratio:.2g} times that of the start"
    return ""


def _at_rest(moving: Atoms, steps: int, failure: str) -> Relaxation:
    ended = Atoms(moving.numbers, moving.positions, cell=moving.cell, pbc=moving.pbc)
    if failure and not (np.isfinite(ended.positions).all() and np.isfinite(ended.cell.array).all()):
        return Relaxation(ended, np.nan, np.nan, np.nan, steps, failure)
    try:
        with explained("the relaxed state", moving):
            energy = moving.get_potential_energy() / len(moving)
            force = float(np.linalg.norm(moving.get_forces(), axis=1).max())
            pressure = -moving.get_stress()[:3].mean() / GPa if _has_stress(moving) else np.nan
    except GnnpotError as error:
        return Relaxation(ended, np.nan, np.nan, np.nan, steps, failure or one_line(error))
    return Relaxation(ended, float(energy), force, float(pressure), steps, failure)


def _has_stress(atoms: Atoms) -> bool:
    return bool(atoms.pbc.all()) and "stress" in atoms.calc.implemented_properties


def _nearest_minimum(calculator: Calculator, atoms: Atoms) -> float | None:
    """The factor of all lengths at which the energy is least, of several minima that nearest to 1."""
    with explained("the energies", atoms):
        energies = np.array([_scaled_energy(calculator, atoms, float(scale)) for scale in _SCALES])
    inner = np.flatnonzero((energies[1:-1] < energies[:-2]) & (energies[1:-1] <= energies[2:])) + 1
    if not len(inner):
        return None
    place = int(inner[np.abs(np.log(_SCALES[inner])).argmin()])
    return _vertex(_SCALES[place - 1 : place + 2], energies[place - 1 : place + 2])


def _scaled_energy(calculator: Calculator, atoms: Atoms, scale: float) -> float:
    scaled = placed(calculator, atoms)
    scaled.set_cell(atoms.cell * scale, scale_atoms=True)
    return float(scaled.get_potential_energy())


def _vertex(places: Float[Array, "3"], values: Float[Array, "3"]) -> float:
    """Where the parabola through three points has its minimum."""
    quadratic, linear, _ = np.polyfit(places, values, 2)
    return float(-linear / (2 * quadratic))
