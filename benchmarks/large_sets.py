"""Time and memory of a training on many structures: graphs, one epoch, errors, report.

    python benchmarks/large_sets.py --structures 20000

Rattled silicon cells of eight atoms with Stillinger-Weber labels are written to a file; a small SchNet is
trained on them for one epoch by a process of its own.  Pages of mapped files, which the system takes back
when it needs them, are told beside the memory of the process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write
from options import Parser, count

MODEL = {"kind": "schnet", "cutoff": 5.0, "channels": 8, "num_filters": 8, "num_interactions": 1}
TRAINING = {"max_epochs": 1, "batch_size": 64, "loss": {"energy": 1.0, "forces": 1.0, "stress": 1.0}}


def write_silicon(path: Path, structures: int) -> None:
    """Write strained and rattled cells of silicon with labels."""
    from gnnpot.engines.stillinger_weber import StillingerWeberConfig

    rng, cell = np.random.default_rng(0), bulk("Si", cubic=True)
    calculator = StillingerWeberConfig(preset="Si-1985").calculator(path.parent)
    with path.open("w") as file:
        for _ in range(structures):
            atoms = cell.copy()
            atoms.set_cell(atoms.cell * (1 + rng.uniform(-0.03, 0.03)), scale_atoms=True)
            atoms.positions += rng.normal(0, 0.1, atoms.positions.shape)
            atoms.calc = calculator
            labels = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
            atoms.calc = SinglePointCalculator(atoms, **labels, stress=atoms.get_stress())
            write(file, atoms, format="extxyz")


class Phases:
    """Prints what each phase took: name, seconds, memory at its end and its peak (MB)."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, float]] = {}
        self._begun = time.perf_counter()

    def end(self, name: str) -> None:
        """End a phase and begin the next."""
        status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        memory = {name: int(status[key].split()[0]) / 1024 for name, key in _MEMORY.items()}
        self.rows[name] = {"seconds": time.perf_counter() - self._begun, **memory}
        Path("/proc/self/clear_refs").write_text("5")  # the peak of the next phase is its own
        self._begun = time.perf_counter()


_MEMORY = {"own_mb": "RssAnon", "mapped_mb": "RssFile", "peak_mb": "VmHWM"}


def train_on(data: Path, output: Path) -> dict[str, dict[str, float]]:
    """Train for one epoch, phase by phase."""
    from gnnpot.evaluation.report import write_report
    from gnnpot.potential.model_file import load_potential
    from gnnpot.system.files import make_folder
    from gnnpot.training.fit import Observer
    from gnnpot.training.preparation import initial_potential, prepare
    from gnnpot.training.run import MODEL_FILE, evaluate_splits, fit_and_keep
    from gnnpot.training.run_config import RunConfig
    from gnnpot.training.run_graphs import read_graphs
    from gnnpot.training.run_report import run_report

    values = {"model": MODEL, "training": TRAINING, "train": str(data), "validation": {"fraction": 0.1}}
    config = RunConfig.from_dict(values, source="benchmark")
    make_folder(output)
    phases = Phases()
    phases.end("imports")
    graphs = read_graphs(config, output, cutoff=config.model.cutoff)
    phases.end("read, check, build")
    prepared = prepare(config, graphs, output)
    potential = initial_potential(config, prepared)
    phases.end("split, references")
    module = fit_and_keep(potential, config, prepared, output=output, observer=Observer())
    phases.end("one epoch")
    potential = load_potential(output / MODEL_FILE)
    evaluations = evaluate_splits(potential, prepared)
    phases.end("errors")
    report = run_report(config, prepared, evaluations, potential=potential, module=module)
    write_report(output / "report.html", report)
    phases.end("report")
    read_graphs(config, output, cutoff=config.model.cutoff)
    phases.end("graphs opened again")
    return phases.rows


def main(words: list[str] | None = None) -> None:
    """Measure, print a table, write JSON."""
    parser = Parser(__doc__)
    parser.add_argument("--structures", type=count, default=20_000, help="structures in the file")
    parser.add_argument("--output", type=Path, default=Path("large_sets.json"), help="JSON file of the rows")
    parser.add_argument("--in-folder", type=Path, help="folder that has the file already; trains there")
    chosen = parser.parse_args(words)
    if chosen.in_folder:
        print(json.dumps(train_on(chosen.in_folder / "silicon.xyz", chosen.in_folder / "run")))
        return
    parser.make_room(chosen.output)
    with TemporaryDirectory() as folder:
        write_silicon(Path(folder) / "silicon.xyz", chosen.structures)
        command = [sys.executable, __file__, "--in-folder", folder]
        done = subprocess.run(command, env=os.environ, check=True, capture_output=True, text=True)
        size = sum(path.stat().st_size for path in (Path(folder) / "run" / "graphs").rglob("*")) / 2**20
    rows = json.loads(done.stdout)
    chosen.output.write_text(json.dumps({"structures": chosen.structures, "graphs_mb": size, "rows": rows}))
    print(f"{chosen.structures:,} structures, graphs of {size:.0f} MB")
    print(f"{'phase':20} {'seconds':>8} {'memory':>8} {'mapped':>8} {'peak':>8} MB")
    for name, row in rows.items():
        print(f"{name:20} {row['seconds']:8.1f}", *(f"{row[key]:8.0f}" for key in _MEMORY))


if __name__ == "__main__":
    main()
