"""Label copper cells, as a process that a test can kill: FOLDER NUMBER SECONDS."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from ase import Atoms
from ase.build import bulk

from gnnpot.engines import EngineConfig, engine_of
from gnnpot.labeling import CalculatorLabeler, LabelingProgress, LabelStore, LocalPool, fill, method_of, plan


def copper(count: int) -> list[Atoms]:
    frames = []
    for seed in range(count):
        atoms = bulk("Cu", cubic=True)
        atoms.rattle(0.05, seed=seed)
        frames.append(atoms)
    return frames


def counting(folder: Path, seconds: float) -> EngineConfig:
    arguments = {"log": str(folder / "log"), "seconds": seconds}
    return engine_of({"kind": "ase", "calculator_class": "faulty_engines.Counting", "arguments": arguments})


def label_copper(
    folder: Path, count: int, seconds: float, watch: Callable[[LocalPool], None] = lambda pool: None
) -> LabelingProgress:
    engine, store = counting(folder, seconds), LabelStore(folder / "labels.db")
    method = method_of(engine)
    planned = plan(copper(count), method, store)
    with LocalPool(CalculatorLabeler(engine), workers=2, scratch=folder / "scratch") as pool:
        return fill(store, planned, pool, observe=lambda progress: watch(pool))


if __name__ == "__main__":
    label_copper(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
