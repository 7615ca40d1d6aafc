"""Several runs of one structure: as batches where the calculator can, else in turns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import Calculator

from gnnpot.calculator.calculator import GNNPotCalculator
from gnnpot.properties.watch import Watch
from gnnpot.sampling.ensembles import NVE, LangevinNVT
from gnnpot.sampling.md import MDConfig, MolecularDynamicsSampler
from gnnpot.sampling.replicas import Replicas, replicas_of
from gnnpot.sampling.walk import Walks

_BATCHED = (NVE, LangevinNVT)  # keep nothing from one step to the next but positions and momenta


class Recorder:
    """Runs whose frames are let go; others may keep them.

    Args:
        runs: What moves.
    """

    def __init__(self, runs: Replicas | Walks) -> None:
        self.runs = runs

    def take(self, run: int, frame: Atoms) -> None:
        """Receive a frame of a run."""

    def state(self) -> dict[str, Any]:
        """All that has to be kept to go on, numbers exactly."""
        return self.runs.state()

    def restore(self, state: Any) -> None:
        """Go on from a state of the same runs."""
        self.runs.restore(state)


def run_all(
    calculator: Calculator,
    start: Atoms,
    plan: MDConfig,
    rng: np.random.Generator,
    watch: Watch,
    record: Callable[[Replicas | Walks], Recorder] = Recorder,
) -> tuple[list[int], list[str]]:
    """Steps of all runs of a plan, and how each has failed, or nothing.

    Runs of a potential whose ensemble has no memory move together as batches, one for each of torch's threads
    (:mod:`gnnpot.sampling.replicas`), others one after another.

    Args:
        calculator: Forces, and stress where the cell moves.
        start: Structure of each run.
        plan: The runs, at one temperature.
        rng: Of all random numbers.
        watch: Told which share of the steps is done; an unfinished state in its file is taken up.
        record: Makes what receives the frames and is put aside with the runs.

    Raises:
        DataError: The calculator cannot treat the structure at the start.
    """
    if isinstance(calculator, GNNPotCalculator) and isinstance(plan.ensemble, _BATCHED):
        threads = torch.get_num_threads() if calculator.device.type == "cpu" else 1
        runs = replicas_of(start, plan, rng, batch=calculator.replicas, threads=threads)
        recorder = record(runs)
        watch.take_up(recorder)
        while runs.is_going:
            for run in runs.advance():
                if not runs.failures[run] and runs.plan.schedule.is_frame(runs.steps[run]):
                    recorder.take(run, runs.structure(run))
            _put_aside(recorder, watch)
        return runs.steps, runs.failures
    walks = MolecularDynamicsSampler(plan, calculator)([start], rng)
    recorder = record(walks)
    watch.take_up(recorder)
    for walk in walks.walks:
        walk.between = lambda: _put_aside(recorder, watch)
    for frame in walks:
        recorder.take(frame.info["run"], frame)
        _put_aside(recorder, watch)
    return [walk.step for walk in walks.walks], [walk.failure for walk in walks.walks]


def _put_aside(recorder: Recorder, watch: Watch) -> None:
    watch.tell(recorder.runs.share)
    watch.keep(recorder)
