"""How much faster two workers label than one, and what a label costs beside the reference method.

    python benchmarks/labeling.py --method labeling/eam --element Al --lattice 4.05

Frames of 32 atoms in random cells are labeled in rounds, with one worker and with two, by processes that run
already.  ``--whole 10000`` then runs the whole command once, from the files to ``labels.xyz``, and tells what
all its processes spend on a label beyond the bare calculator.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.io import write

from gnnpot.config.base import shipped_config
from gnnpot.labeling import CalculatorLabeler, LabelStore, LocalPool, fill, method_of, plan
from gnnpot.labeling.config import LabelConfig


def frames(element: str, lattice: float, count: int) -> list[Atoms]:
    """Face-centered cubic cells of 32 atoms, strained and displaced at random."""
    rng = np.random.default_rng(0)
    cell = bulk(element, "fcc", a=lattice, cubic=True) * 2
    made = []
    for _ in range(count):
        atoms = cell.copy()
        atoms.set_cell(atoms.cell * (1 + rng.uniform(-0.03, 0.03)), scale_atoms=True)
        atoms.positions += rng.normal(0, 0.15, atoms.positions.shape)
        made.append(atoms)
    return made


def seconds(config: LabelConfig, structures: list[Atoms], workers: int) -> float:
    """Time to label ``structures`` into a new store by processes that run already (s)."""
    warm = [*structures[:4]]
    with (
        TemporaryDirectory() as folder,
        LocalPool(
            CalculatorLabeler(config.method), workers=workers, scratch=Path(folder) / "scratch"
        ) as pool,
    ):
        method = method_of(config.method)
        for name, several in (("warm", warm), ("timed", structures)):
            store = LabelStore(Path(folder) / f"{name}.db")
            begun = time.perf_counter()
            fill(store, plan(several, method, store), pool)
        return time.perf_counter() - begun


def of_the_method(config: LabelConfig, structures: list[Atoms]) -> float:
    """Time of the bare calculator for one structure (s of this process)."""
    calculator = config.method.calculator(Path())
    copies = [atoms.copy() for atoms in structures[:300]]
    begun = time.process_time()
    for atoms in copies:
        atoms.calc = calculator
        atoms.get_forces()
        atoms.get_stress()
    return (time.process_time() - begun) / len(copies)


def of_the_command(template: Path, structures: list[Atoms]) -> float:
    """Time of the processes of ``gnnpot label``, all together (s)."""
    with TemporaryDirectory() as folder:
        write(Path(folder) / "frames.xyz", structures)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        words = ["label", template, "structures=frames.xyz", "running.workers=2", "--json"]
        code = "from gnnpot.cli import main; main()"
        subprocess.run([sys.executable, "-c", code, *words], cwd=folder, check=True, stdout=subprocess.PIPE)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print a table and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--method", default="labeling/eam", help="ready configuration")
    parser.add_argument("--element", default="Al")
    parser.add_argument("--lattice", type=float, default=4.05, help="Å")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--whole", type=int, default=0, help="structures of the whole command")
    parser.add_argument("--output", type=Path, default=Path("labeling.json"))
    words = parser.parse_args()
    template = shipped_config(words.method)
    config = LabelConfig.from_yaml(template)
    structures = frames(words.element, words.lattice, max(words.count, words.whole))

    times: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(words.rounds):
        for workers, found in times.items():
            found.append(seconds(config, structures[: words.count], workers))
    one, two = (median(found) for found in times.values())
    bare = of_the_method(config, structures)
    figures = {"one_worker": one, "two_workers": two, "ratio": one / two, "bare_ms": 1000 * bare}
    if words.whole:
        spent = of_the_command(template, structures[: words.whole])
        figures["own_ms"] = 1000 * (spent / words.whole - bare)
    for name, value in figures.items():
        print(f"{name:12s} {value:8.3f}")
    words.output.write_text(
        json.dumps({**vars(words), "output": str(words.output), "times": times, **figures})
    )


if __name__ == "__main__":
    main()
