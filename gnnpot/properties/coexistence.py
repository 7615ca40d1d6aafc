"""Solid and liquid of one composition: prepared alone, put beside each other, and moved together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from jaxtyping import Float

from gnnpot.data.structure import bare_structure
from gnnpot.sampling.ensembles import NVE, LangevinNVT, internal_temperature
from gnnpot.sampling.limits import Limits
from gnnpot.sampling.schedule import Ramp, Schedule, Timing
from gnnpot.sampling.step_cache import OncePerStep
from gnnpot.sampling.walk import Walk, WalkPlan

Array = np.ndarray

GAP = 0.85  # between solid and liquid before they touch, over the distance of neighbors
_PACE = 10  # steps between two moves of the piston
_RELAXATION = 250.0  # fs, in which pressure falls to 1/e where the stiffness is the given one
_FRICTION = 0.005  # 1/fs
_FRAMES = 100  # steps between two looks at distances


class Means(NamedTuple):
    """Averages over the second half of a run.

    Attributes:
        temperature: K.
        energy: Potential energy (eV/atom).
        pressure: Along the axes that move (eV/Å³).
        volume: Å³/atom.
    """

    temperature: float
    energy: float
    pressure: float
    volume: float


class Piston:
    """Lets a cell follow its own pressure down to zero, slowly, and remembers what it saw.

    It rescales lengths as Berendsen's barostat does, and leaves momenta alone: with :class:`NVE` dynamics
    between its moves heat stays where it is, and a solid beside its liquid ends at the melting point.

    Source: Berendsen et al., J. Chem. Phys. 81, 3684 (1984).

    Args:
        moves: All lengths evenly, the third vector alone, or nothing.
        stiffness: About the bulk modulus (eV/Å³).
        timestep: fs.
    """

    columns = ()
    every = _PACE

    def __init__(self, moves: Literal["all", "third", "none"], *, stiffness: float, timestep: float) -> None:
        self.moves = moves
        self.rate = min(0.5, _PACE * timestep / _RELAXATION) / stiffness
        self.history: list[Means] = []

    def __call__(self, atoms: Atoms, step: int) -> tuple[float, ...]:
        """Measure, and move once."""
        stress = atoms.get_stress(voigt=False, include_ideal_gas=True)
        cell = atoms.cell.array.copy()
        normal = np.cross(cell[0], cell[1])
        normal /= np.linalg.norm(normal)
        tension = float(normal @ stress @ normal if self.moves == "third" else np.trace(stress) / 3)
        energy = atoms.get_potential_energy() / len(atoms)
        volume = atoms.get_volume() / len(atoms)
        self.history.append(Means(internal_temperature(atoms), float(energy), -tension, float(volume)))
        if self.moves == "third":
            cell[2] *= 1 - self.rate * tension
        elif self.moves == "all":
            cell *= 1 - self.rate * tension / 3
        atoms.set_cell(cell, scale_atoms=True)
        return ()

    def means(self) -> Means:
        """Over the second half."""
        return Means(*np.mean(self.history[len(self.history) // 2 :], axis=0).tolist())

    def state(self) -> dict[str, Any]:
        """What it saw."""
        return {"history": [list(row) for row in self.history]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what it saw."""
        self.history = [Means(*row) for row in state["history"]]


def walk_of(
    calculator: Calculator,
    atoms: Atoms,
    piston: Piston,
    schedule: Schedule,
    *,
    thermostat: bool,
    rng: np.random.Generator,
) -> Walk:
    """Dynamics of a copy of ``atoms`` with momenta of their own."""
    moving = bare_structure(atoms)
    moving.calc = OncePerStep(calculator)
    plan = WalkPlan(
        LangevinNVT(friction=_FRICTION) if thermostat else NVE(),
        schedule,
        Limits(distance=0.3),
    )
    return Walk(moving, plan, rng, action=piston, provenance={})


def schedule_of(time: float, timestep: float, temperature: float) -> Schedule:
    """A run of ``time`` (fs) at ``temperature`` (K), of two moves of the piston at least."""
    steps = max(2 * _PACE, round(time / timestep))
    timing = Timing(timestep=timestep, steps=steps, interval=min(_FRAMES, steps))
    return Schedule(timing, Ramp(first=temperature, last=temperature))


def displaced(atoms: Atoms, sites: Atoms) -> Float[Array, "N 3"]:
    """How far atoms are from their sites in fractions of the cell, a drift of all left out."""
    moved = np.linalg.solve(atoms.cell.array.T, atoms.positions.T).T - sites.get_scaled_positions(wrap=False)
    return moved - moved.mean(axis=0)


def spread(atoms: Atoms, sites: Atoms) -> float:
    """Root mean square distance of atoms from their sites (Å)."""
    return float(np.sqrt(np.square(displaced(atoms, sites) @ atoms.cell.array).sum(axis=1).mean()))


def side_by_side(solid: Atoms, sites: Atoms, liquid: Atoms, *, neighbor: float) -> Atoms:
    """Solid and liquid along the third vector of the cell, with gaps that a piston closes.

    Args:
        solid: Atoms near their sites.
        sites: The crystal of the solid, of any lattice constant.
        liquid: In a cell with the same first two vectors.
        neighbor: Distance of neighbors (Å).
    """
    height, height_liquid = (
        one.get_volume() / np.linalg.norm(np.cross(*one.cell.array[:2])) for one in (solid, liquid)
    )
    at_sites = sites.get_scaled_positions(wrap=False)
    inside = at_sites + displaced(solid, sites)
    inside[:, 2] *= height
    top = float(at_sites[:, 2].max()) * height
    above = liquid.get_scaled_positions(wrap=True)
    above[:, 2] = top + GAP * neighbor + above[:, 2] * height_liquid
    whole = top + 2 * GAP * neighbor + height_liquid
    scaled = np.vstack([inside, above])
    scaled[:, 2] /= whole
    cell = solid.cell.array.copy()
    cell[2] *= whole / height
    both = bare_structure(solid) + bare_structure(liquid)
    both.set_cell(cell)
    both.set_scaled_positions(scaled)
    return both


def solid_share(energy: float, *, solid: float, liquid: float) -> float:
    """Share of the solid by the lever rule from potential energies (eV/atom); interfaces count as liquid."""
    return (liquid - energy) / (liquid - solid)
