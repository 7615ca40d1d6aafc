"""Energy conservation: the drift of the total energy in microcanonical dynamics with a model.

``python benchmarks/nve.py MODEL`` heats a crystal of at least 64 atoms with a Langevin thermostat, lets it
run on without one, and prints one JSON object with the slope of the total energy by least squares.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from ase import Atoms, units
from ase.build import bulk
from ase.io import read
from ase.md.langevin import Langevin
from ase.md.verlet import VelocityVerlet

from gnnpot import GNNPotCalculator, load_potential

Array = np.ndarray


def heated(atoms: Atoms, temperature: float, *, steps: int, timestep: float, seed: int) -> None:
    """Bring ``atoms`` to ``temperature`` (K) with a thermostat for ``steps`` of ``timestep`` (fs)."""
    rng = np.random.default_rng(seed)
    masses = atoms.get_masses()[:, None]
    momenta = rng.normal(size=(len(atoms), 3)) * np.sqrt(masses * units.kB * temperature)
    atoms.set_momenta(momenta - masses * momenta.sum(axis=0) / masses.sum())
    settings = {"temperature_K": temperature, "friction": 0.02 / units.fs, "fixcm": False}
    Langevin(atoms, timestep * units.fs, rng=rng, **settings).run(steps)


def conserved(atoms: Atoms, *, steps: int, timestep: float) -> tuple[Array, Array]:
    """Total energies (eV) and temperatures (K) over ``steps`` of ``timestep`` (fs) without a thermostat."""
    rows = []
    dynamics = VelocityVerlet(atoms, timestep * units.fs)
    dynamics.attach(lambda: rows.append((atoms.get_total_energy(), atoms.get_temperature())))
    dynamics.run(steps)
    energies, temperatures = np.array(rows).T
    return energies, temperatures


def drift(energies: Array, *, num_atoms: int, timestep: float) -> float:
    """Slope of the total energy (meV/atom/ps) by least squares."""
    times = np.arange(len(energies)) * timestep / 1000  # ps
    return 1000 * np.polyfit(times, energies - energies[0], 1)[0] / num_atoms


def crystal(element: str) -> Atoms:
    """A cubic supercell of the stable crystal with at least 64 atoms."""
    cell = bulk(element, cubic=True)
    repeat = 1
    while len(cell) * repeat**3 < 64:
        repeat += 1
    return cell * repeat


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument(
        "--structure", type=Path, help="any file ASE reads; else the crystal of the first element"
    )
    parser.add_argument("--temperature", type=float, default=600.0, help="K")
    parser.add_argument("--timestep", type=float, default=1.0, help="fs")
    parser.add_argument("--heating", type=int, default=1000, help="steps with a thermostat")
    parser.add_argument("--steps", type=int, default=5000, help="steps without")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", choices=["float32", "float64"], help="that of the file if not given")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(1)  # small tensors: more threads only wait for each other

    atoms = read(given.structure) if given.structure else crystal(load_potential(given.model).elements[0])
    atoms.calc = GNNPotCalculator(given.model, device=given.device, default_dtype=given.dtype)
    heated(atoms, given.temperature, steps=given.heating, timestep=given.timestep, seed=given.seed)
    start = time.perf_counter()
    energies, temperatures = conserved(atoms, steps=given.steps, timestep=given.timestep)
    seconds = time.perf_counter() - start
    slope = drift(energies, num_atoms=len(atoms), timestep=given.timestep)
    scatter = energies - energies[0] - slope * np.arange(len(energies)) * given.timestep * len(atoms) / 1e6
    result = {
        "model": str(given.model),
        "atoms": len(atoms),
        "dtype": str(atoms.calc.potential.dtype).removeprefix("torch."),
        "picoseconds": given.steps * given.timestep / 1000,
        "temperature": {"mean": temperatures.mean(), "std": temperatures.std()},
        "drift_mev_per_atom_per_ps": slope,
        "scatter_mev_per_atom": 1000 * scatter.std() / len(atoms),
        "ms_per_step": 1000 * seconds / given.steps,
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
