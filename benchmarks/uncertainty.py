"""The uncertainty of one potential: coverage and ranks on structures of the same kind, and what a step costs.

Trains on half of a set, scales on a tenth, and judges the rest, with parts drawn anew ``--parts`` times; a
step is one of dynamics, in which the uncertainty is asked for or not, beside the potential alone and a
committee of four.

    python benchmarks/uncertainty.py gnnpot:silicon-demo.xyz --models schnet ani --json uncertainty.json
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms
from options import Parser, count

from gnnpot.calculator.calculator import GNNPotCalculator
from gnnpot.data.dataset import GraphDataset
from gnnpot.data.reading import read_frames
from gnnpot.data.store import GraphStore
from gnnpot.data.structure_set import Structures
from gnnpot.evaluation.evaluation import evaluate
from gnnpot.potential.last_layer import UNCERTAINTY_FILE, LastLayerUncertainty
from gnnpot.potential.model_file import load_potential
from gnnpot.training.run import train
from gnnpot.training.run_config import RunConfig

MODELS = {
    "schnet": {"kind": "schnet", "cutoff": 5.0, "channels": 64, "num_filters": 64, "num_interactions": 2},
    "ani": {"kind": "ani", "cutoff": 5.0, "hidden": [64, 48, 32]},
}
_MOVE = 0.002  # Å a step
_TURNS = 5


def trained(kind: str, frames: list[Atoms], steps: int, folder: Path) -> Path:
    """The folder of a training."""
    values = {
        "model": MODELS[kind],
        "train": "memory:",
        "validation": {"fraction": 0.15},
        "training": {
            "batch_size": 4,
            "max_steps": steps,
            "optimizer": {"kind": "adamw", "learning_rate": 3e-3},
        },
    }
    train(RunConfig.from_dict(values, source=kind), folder, structures=Structures(train=frames))
    return folder


def judged(folder: Path, sets: dict[str, list[Atoms]]) -> dict[str, Any]:
    """Fit the uncertainty, keep it in the folder, and give its calibration on the last set."""
    potential = load_potential(folder)

    def batches(name: str) -> Any:
        store = GraphStore.in_memory(sets[name], potential.cutoff)
        return GraphDataset(store, range(len(store)), dtype=potential.dtype).batches(512)

    uncertainty = LastLayerUncertainty.fitted(potential, batches("train"), batches("scale"))
    uncertainty.write(folder / UNCERTAINTY_FILE)
    found = evaluate(uncertainty, sets["test"])
    return {
        name: {"coverage": one.coverage, "width": one.width, "rank": one.rank_correlation}
        for name, one in found.calibration().items()
    }


def cost(calculator: GNNPotCalculator, atoms: Atoms, steps: int, asked: str = "forces") -> float:
    """Median CPU time of a step in which so much is asked (ms)."""
    rng, spent, atoms = np.random.default_rng(0), [], atoms.copy()
    for _ in range(steps):
        atoms.positions += rng.normal(scale=_MOVE, size=atoms.positions.shape)
        begun = time.process_time()
        calculator.get_property(asked, atoms)
        spent.append(1e3 * (time.process_time() - begun))
    return float(np.median(spent[steps // 3 :]))


def costs(folder: Path, large: Atoms) -> dict[str, float]:
    """CPU times of steps (ms), medians of turns of all ways."""
    unsure = GNNPotCalculator(folder, uncertainty=folder)
    ways = {
        "potential": (GNNPotCalculator(folder), "forces"),
        "not asked": (unsure, "forces"),
        "of energies": (unsure, "energies_uncertainty"),
        "of forces": (unsure, "forces_uncertainty"),
        "committee of 4": (GNNPotCalculator([folder] * 4), "forces_uncertainty"),
    }
    turns = [{way: cost(one, large, 60, asked) for way, (one, asked) in ways.items()} for _ in range(_TURNS)]
    return {way: float(np.median([turn[way] for turn in turns])) for way in ways}


def divided(frames: list[Atoms], seed: int) -> dict[str, list[Atoms]]:
    """Half to train on, a tenth to scale by, the rest to judge."""
    order = np.random.default_rng(seed).permutation(len(frames))
    half, tenth = len(order) // 2, len(order) // 10
    places = {"train": order[:half], "scale": order[half : half + tenth], "test": order[half + tenth :]}
    return {name: [frames[k] for k in chosen] for name, chosen in places.items()}


def main() -> None:
    """Train, judge, time; print a line for each."""
    parser = Parser(__doc__)
    parser.add_argument("data", help="labeled structures")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--steps", type=count, default=600, help="steps of training")
    parser.add_argument("--parts", type=count, default=1, help="times that the set is divided")
    parser.add_argument("--json", type=Path, help="file for the figures")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    frames = list(read_frames([asked.data]))
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        for seed in range(asked.parts):
            sets = divided(frames, seed)
            for kind in asked.models:
                folder = trained(kind, sets["train"], asked.steps, Path(name) / f"{kind}-{seed}")
                row: dict[str, Any] = {"model": kind, "seed": seed, **judged(folder, sets)}
                if seed == 0:
                    row["ms"] = costs(folder, sets["test"][0] * (2, 2, 2))
                rows.append(row)
                print(json.dumps(row), flush=True)
    for kind in asked.models:
        own = [row for row in rows if row["model"] == kind]
        for quantity in ("energy", "forces"):
            mean = np.mean([row[quantity]["coverage"] for row in own], axis=0)
            print(f"{kind}, {quantity}: {mean[0]:.1%} and {mean[1]:.1%} of the errors within the intervals")
    if asked.json is not None:
        asked.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
