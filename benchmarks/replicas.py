"""Runs of dynamics as batches against runs one after another, in turns.

``python benchmarks/replicas.py MODEL`` runs Langevin dynamics of a crystal of about 64 atoms with a
model file: one run after another as :class:`gnnpot.sampling.md.MolecularDynamicsSampler` makes them, and
``--copies`` of them as the stability property does, a batch for each thread.  Both look at forces every ten
steps and at distances every twenty, and draw the same random numbers.  It prints medians over ``--rounds`` of
the time for one atom and step: wall time, and with one thread that of the processor, which other work on the
machine disturbs less.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from ase import Atoms

from gnnpot import GNNPotCalculator
from gnnpot.sampling.crystals import crystal
from gnnpot.sampling.md import MDConfig, MolecularDynamicsSampler
from gnnpot.sampling.replicas import Replicas
from gnnpot.sampling.schedule import Schedule, ramps
from gnnpot.sampling.walk import WalkPlan


def plan(steps: int, runs: int, temperature: float) -> MDConfig:
    """Half a femtosecond a step, distances every ten."""
    return MDConfig(temperatures=temperature, steps=steps, interval=20, repetitions=runs, timestep=0.5)


def one_after_another(calculator: GNNPotCalculator, atoms: Atoms, given: argparse.Namespace) -> int:
    """One run; gives the number of its steps."""
    config = plan(given.steps, 1, given.temperature)
    walks = MolecularDynamicsSampler(config, calculator)([atoms], np.random.default_rng(0))
    for _ in walks:
        pass
    return walks.walks[0].step


def as_a_batch(calculator: GNNPotCalculator, atoms: Atoms, copies: int, given: argparse.Namespace) -> int:
    """Several runs at once; gives the number of steps of all."""
    config = plan(max(20, given.steps // copies // 20 * 20), copies, given.temperature)
    (ramp,) = ramps(config.temperatures)
    walk_plan = WalkPlan(config.ensemble, Schedule(config, ramp), config.limits)
    generators = np.random.default_rng(0).spawn(copies)
    threads = torch.get_num_threads()
    runs = Replicas(atoms, walk_plan, generators, batch=calculator.replicas, threads=threads)
    while runs.is_going:
        runs.advance()
    return sum(runs.steps)


def measured(work: Callable[[], int], num_atoms: int) -> tuple[float, float]:
    """Wall and processor time of an atom and step (µs)."""
    wall, processor = time.perf_counter(), time.process_time()
    steps = work()
    share = 1e6 / (steps * num_atoms)
    return share * (time.perf_counter() - wall), share * (time.process_time() - processor)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--structure", default="Si:diamond")
    parser.add_argument("--repeat", type=int, default=2, help="cells along each vector")
    parser.add_argument("--temperature", type=float, default=1200.0)
    parser.add_argument("--copies", type=int, nargs="+", default=[8, 32])
    parser.add_argument(
        "--steps", type=int, default=400, help="of one run; batches make about as many in all"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path("replicas.json"))
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    atoms = crystal(given.structure).repeat(given.repeat)
    calculator = GNNPotCalculator(given.model, device="cpu")
    works: dict[str, Callable[[], int]] = {
        "one after another": lambda: one_after_another(calculator, atoms, given),
        **{
            f"{copies} together": lambda copies=copies: as_a_batch(calculator, atoms, copies, given)
            for copies in given.copies
        },
    }
    for work in works.values():
        work()  # compiles loops
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in works}
    for _ in range(given.rounds):
        for name, work in works.items():
            times[name].append(measured(work, len(atoms)))
    medians = {
        name: [statistics.median(column) for column in zip(*several, strict=True)]
        for name, several in times.items()
    }
    first = medians["one after another"]
    print(f"{len(atoms)} atoms, {given.threads} threads, µs for an atom and step: wall, processor (gain)")
    for name, (wall, processor) in medians.items():
        print(
            f"{name:20s} {wall:8.1f} ({first[0] / wall:.2f})  {processor:8.1f} ({first[1] / processor:.2f})"
        )
    given.output.write_text(
        json.dumps({"atoms": len(atoms), "threads": given.threads, "times": times}) + "\n"
    )


if __name__ == "__main__":
    main()
