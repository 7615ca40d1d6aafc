"""Energy conservation: the drift of the total energy in microcanonical dynamics with a model.

``python benchmarks/nve.py MODEL`` heats a crystal of at least 64 atoms with a Langevin thermostat, lets it
run on without one, and prints one JSON object with the slope of the total energy by least squares.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from ase import Atoms
from ase.build import bulk
from ase.io import read

from gnnpot import GNNPotCalculator, load_potential
from gnnpot.evaluation.conservation import constant_energy, heat


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
    rng = np.random.default_rng(given.seed)
    heat(atoms, given.temperature, steps=given.heating, timestep=given.timestep, rng=rng)
    run = constant_energy(atoms, steps=given.steps, timestep=given.timestep, temperature=given.temperature)
    result = {
        "model": str(given.model),
        "atoms": len(atoms),
        "dtype": str(atoms.calc.potential.dtype).removeprefix("torch."),
        "picoseconds": run.times[-1],
        "temperature": {"mean": run.temperatures.mean(), "std": run.temperatures.std()},
        "drift_mev_per_atom_per_ps": run.drift,
        "scatter_mev_per_atom": run.scatter,
        "ms_per_step": 1000 * run.step_seconds.mean(),
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
