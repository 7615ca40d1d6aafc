"""Melting point by coexistence of solid and liquid.

Morris, Wang, Ho, Chan, Phys. Rev. B 49, 3109 (1994); Morris, Song, J. Chem. Phys. 116, 9352 (2002).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator

from gnnpot.errors import PropertyError
from gnnpot.properties.calculation import explained, placed, require_crystal, supercell
from gnnpot.properties.coexistence import schedule_of
from gnnpot.properties.equation_of_state import equation_of_state
from gnnpot.properties.melting_rounds import MeltingConfig, Round, Search, counts
from gnnpot.properties.watch import NO_WATCH, Watch
from gnnpot.units import GPa

_BLOCKS = 5


@dataclass(frozen=True)
class Melting:
    """Melting point at zero pressure, and what fusion takes.

    Attributes:
        rounds: All of them, those that failed included.
        length: Of the coexistence (ps).
        num_atoms: Number of atoms of both phases together.
    """

    UNITS: ClassVar[Mapping[str, str]] = {
        "melting_point": "K", "uncertainty": "K", "pressure": "GPa", "heat_of_fusion": "eV/atom",
        "volume_change": "%", "guess": "K", "temperature": "K", "times": "ps", "traces": "K",
    }  # fmt: skip

    rounds: tuple[Round, ...]
    length: float
    num_atoms: int

    @property
    def runs(self) -> list[Round]:
        """The rounds that count."""
        return [one for one in self.rounds if counts(one)]

    @property
    def temperature(self) -> float:
        """Mean of the rounds that count (K)."""
        return float(np.mean([one.temperature for one in self.runs]))

    @property
    def uncertainty(self) -> float:
        """Standard error (K): the larger one of that over rounds and that over fifths of the second halves.

        It knows nothing of the size of the cell, nor of interfaces that are too slow for the length of the
        rounds, whose temperature then stays near the guess: a run with more atoms, and one that is longer or
        starts elsewhere, tell of both.
        """
        values = [one.temperature for one in self.runs]
        between = np.std(values, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0
        within = [_error_of_mean(one.trace[len(one.trace) // 2 :]) for one in self.runs]
        return float(max(between, np.sqrt(np.mean(np.square(within)) / len(within))))

    def as_dict(self) -> dict[str, Any]:
        """Numbers by name, in the units of :attr:`UNITS`."""
        runs = self.runs
        changes = [100 * (one.volumes[1] / one.volumes[0] - 1) for one in runs]
        length = len(runs[0].trace)
        return {
            "melting_point": self.temperature,
            "uncertainty": self.uncertainty,
            "pressure": float(np.mean([one.pressure for one in runs])) / GPa,
            "heat_of_fusion": float(np.mean([one.heat for one in runs])),
            "volume_change": float(np.mean(changes)),
            "num_runs": len(runs),
            "num_atoms": self.num_atoms,
            "rounds": [
                {"guess": one.guess, "temperature": one.temperature, "outcome": one.outcome}
                for one in self.rounds
            ],
            "times": ((np.arange(length) + 0.5) * self.length / length).tolist(),
            "traces": [list(one.trace) for one in runs],
        }


def melting_point(
    calculator: Calculator,
    atoms: Atoms,
    *,
    config: MeltingConfig | None = None,
    seed: int = 0,
    watch: Watch = NO_WATCH,
) -> Melting:
    """Let solid and liquid find the temperature at which both last.

    Each round prepares the crystal and the liquid at a guess, puts them beside each other and moves both
    without a thermostat, while a piston keeps the pressure on the interface at zero: above the melting point
    the interface melts and takes heat, below it freezes and gives heat.  Where both phases are left the
    temperature is the melting point.  A round counts if it ends near its guess, for which the crystal is free
    of strain; the one after it starts as far on the other side, so that what slow interfaces have not made up
    for has the other sign.

    Args:
        calculator: Forces and stress.
        atoms: A relaxed crystal that melts without changing its composition; not changed.
        config: Guess, lengths, sizes.
        seed: Seed of all random numbers.
        watch: Told which share of the work is done; an unfinished state in its file is taken up.

    Raises:
        PropertyError: The structure is no crystal, the calculator has no stress, dynamics explode, or no
            round ends with both phases.
    """
    config = config or MeltingConfig()
    require_crystal(atoms, "a melting point")
    with explained("the melting point", atoms):
        placed(calculator, atoms).get_stress()
        stiffness = equation_of_state(calculator, atoms).bulk_modulus * GPa
    search = Search(calculator, _block(atoms, config), config, stiffness, seed)
    watch.take_up(search)
    while len([one for one in search.rounds if counts(one)]) < config.runs:
        if len(search.rounds) >= config.rounds:
            raise PropertyError(search.complaint())
        search.advance()
        watch.tell(search.share)
        watch.keep(search)
    steps = schedule_of(config.time, config.timestep, config.temperature).steps
    return Melting(tuple(search.rounds), steps * config.timestep / 1000, 2 * len(search.sites))


def _block(atoms: Atoms, config: MeltingConfig) -> Atoms:
    """The solid: wide enough along the interface, and thick enough."""
    height = atoms.get_volume() / np.linalg.norm(np.cross(*atoms.cell.array[:2]))
    thick = atoms.repeat((1, 1, max(1, int(np.ceil(config.thickness / height - 1e-6)))))
    return supercell(thick, config.size)


def _error_of_mean(values: tuple[float, ...]) -> float:
    """Standard error from means of consecutive parts, longer than the time of correlation."""
    parts = [float(np.mean(part)) for part in np.array_split(np.array(values), _BLOCKS) if len(part)]
    return float(np.std(parts, ddof=1) / np.sqrt(len(parts))) if len(parts) > 1 else 0.0
