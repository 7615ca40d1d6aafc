"""Active learning of germanium from a potential of silicon, beside one from scratch.

Both elements are those of Stillinger-Weber potentials, so that it takes minutes.  A loop begins with frames
sampled on the silicon potential, or from scratch with frames sampled on the method itself.  Errors are those
in dynamics of germanium by the method, from crystal to melt.

    python benchmarks/learning_element.py work --json learning_element.json
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from options import Parser, count

from gnnpot.data.reading import read_frames
from gnnpot.evaluation.evaluation import evaluate
from gnnpot.learning.config import LearnConfig
from gnnpot.learning.phases import labels_file
from gnnpot.learning.run import learn
from gnnpot.learning.story import Round
from gnnpot.potential.committee import load_model
from gnnpot.sampling.config import SampleConfig
from gnnpot.sampling.run import sample
from gnnpot.training.run import train
from gnnpot.training.run_config import RunConfig

PRESETS = {"Si": ("Si-1985", 5.43), "Ge": ("Ge-Ding-Andersen", 5.65)}
MODEL = {"kind": "ani", "cutoff": 4.2, "angular_cutoff": 4.2, "hidden": [48, 32]}
OPTIMIZER = {"kind": "adamw", "learning_rate": 3e-3}


def method(element: str) -> dict[str, Any]:
    """The reference method of an element."""
    return {"kind": "stillinger-weber", "preset": PRESETS[element][0]}


def crystal(element: str) -> dict[str, Any]:
    """Eight atoms in the diamond structure."""
    return {"element": element, "crystal": "diamond", "lattice_constant": PRESETS[element][1]}


def dynamics(steps: int) -> dict[str, Any]:
    """From the crystal to the melt."""
    return {"kind": "md", "temperatures": [300, 1500, 3000], "timestep": 2.0, "steps": steps, "interval": 20}


def sampled(element: str, folder: Path, seed: int) -> Path:
    """Labeled frames of dynamics by the method."""
    values = {
        "structures": crystal(element),
        "sampler": dynamics(400),
        "calculator": method(element),
        "labels": "keep",
        "seed": seed,
    }
    sample(SampleConfig.from_dict(values, source=element), folder, resume=True)
    return folder / "frames.xyz"


def loop(rounds: int, **start: Any) -> LearnConfig:
    """A loop of germanium."""
    training = {"batch_size": 4, "max_steps": 400, "optimizer": OPTIMIZER}
    values = {
        "structures": crystal("Ge"),
        "sampler": dynamics(400),
        "labeling": {"method": method("Ge"), "running": {"workers": 1}},
        "potential": {"training": training, "validation": {"fraction": 0.15}},
        "members": {"count": 2, "split": "inherited"},
        "score": {"of": "forces"},
        "select": [{"kind": "clusters", "size": 12}],
        "rounds": rounds,
    }
    values["potential"].update(start.pop("potential", {}))
    return LearnConfig.from_dict({**values, **start}, source="germanium")


def main() -> None:
    """Train silicon, run both loops, and print errors by the number of labels."""
    parser = Parser(__doc__)
    parser.add_argument("output", type=Path, help="folder; what is there goes on")
    parser.add_argument("--rounds", type=count, default=2)
    parser.add_argument("--json", type=Path, help="file for the errors")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    silicon = asked.output / "source"
    if not (silicon / "report.html").exists():
        values = {
            "model": MODEL,
            "train": str(sampled("Si", asked.output / "si", 0)),
            "validation": {"fraction": 0.15},
            "training": {"batch_size": 4, "max_steps": 800, "optimizer": OPTIMIZER},
        }
        train(RunConfig.from_dict(values, source="silicon"), silicon, resume=True)
    test = sampled("Ge", asked.output / "ge", 7)
    first = {"sampler": dynamics(400), "size": 20}
    starts: dict[str, dict[str, Any]] = {
        "silicon": {"source": str(silicon), "map": {"Ge": "Si"}, "lattice_scale": [5.65, 5.43]},
        "scratch": {"initial": first, "potential": {"model": MODEL}},
    }
    rows = []
    for name, start in starts.items():
        output, labels = asked.output / name, 0
        learn(loop(asked.rounds, **start), output, resume=True)
        for number in range(asked.rounds + 1):
            current = Round(output, number)
            labels += len(list(read_frames([labels_file(current)])))
            errors = evaluate(load_model(current.path), read_frames([str(test)])).metrics()
            row = {"start": name, "labels": labels, **{q: errors[q]["mae"] for q in ("energy", "forces")}}
            rows.append(row)
            told = f"{row['energy']:.1f} meV/atom, {row['forces']:.0f} meV/Å"
            print(f"{name}: {labels} labels, {told}", flush=True)
    if asked.json is not None:
        asked.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
