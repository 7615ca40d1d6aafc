"""Distillation: phases of nickel by potentials that learn from crystals, liquids, MOMT, or few frames.

``python benchmarks/papers/distillation.py DATA`` trains one small ANI on each of four sets with labels of the
same embedded-atom potential: dynamics of the fcc crystal, dynamics of the liquid, frames of MOMT (the group
``momt`` of DATA, such as the frames of ``sampling/momt``), and a part of these that ``gnnpot distill``
chooses.  It prints bond length and energy of fcc, bcc and hcp beside the paper's table.  With ``--aluminum``
the chosen frames are scaled and renamed, labeled by a potential of aluminum, and trained on likewise.  Killed
runs go on where they were.

Source: Jung, "Data Distillation for Neural Network Potentials toward Foundational Dataset".
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.io import read
from runs import ALUMINUM, NICKEL, judged, kept, labeled, trained

from gnnpot.data.keys import LabelKeys
from gnnpot.data.reading import read_frames
from gnnpot.engines.words import engine_from_word
from gnnpot.learning.distillation import distill
from gnnpot.learning.distillation_config import DistillConfig
from gnnpot.sampling.config import SampleConfig
from gnnpot.sampling.run import sample
from gnnpot.sampling.trajectory import FRAMES

SCALE = 4.05 / 3.52  # of lengths from nickel to aluminum
# bond length (Å) and energy (eV/atom) of fcc, bcc, hcp
PAPER = {
    "fcc": ((2.56, -4.872), (2.41, -4.905), (2.52, -4.831)),
    "liquid": ((2.43, -4.889), (2.49, -4.793), (2.45, -4.905)),
    "momt": ((2.52, -4.895), (2.46, -4.891), (2.49, -4.889)),
    "distilled": ((2.50, -4.875), (2.41, -4.812), (2.46, -4.835)),
    "reference": ((2.49, -4.876), (2.41, -4.833), (2.44, -4.847)),
    "aluminum": ((2.87, -3.407), (2.82, -3.333), (2.81, -3.385)),
    "aluminum reference": ((2.86, -3.411), (2.80, -3.309), (2.82, -3.380)),
}
MODEL = {"kind": "ani", "cutoff": 5.0, "angular_cutoff": 3.5, "hidden": [64, 48, 32]}


def sampled(given: argparse.Namespace, name: str, lattice_constant: float, temperatures: Any) -> list[Atoms]:
    """Frames of dynamics of 32 atoms on the reference method, with its labels."""
    ensemble = {"kind": "npt-isotropic"} if name == "fcc" else {"kind": "langevin"}
    repetitions = 1 if name == "fcc" else 3
    runs = 3
    sampler = {
        "kind": "md", "ensemble": ensemble, "temperatures": temperatures, "repetitions": repetitions,
        "timestep": 2.0, "equilibration": 500, "steps": 20 * max(1, given.frames // runs), "interval": 20,
    }  # fmt: skip
    values = {
        "structures": {"element": "Ni", "crystal": "fcc", "lattice_constant": lattice_constant, "repeats": 2},
        "calculator": engine_from_word(NICKEL).model_dump(mode="json"),
        "sampler": sampler,
        "labels": "keep",
    }
    folder = given.output / f"sample-{name}"
    sample(SampleConfig.from_dict(values, source="distillation"), folder, resume=True)
    frames = read(folder / FRAMES, ":")
    for frame in frames:
        frame.info = {"group": name}
    return frames


def training(given: argparse.Namespace, path: Path) -> dict[str, Any]:
    """The same training for each set."""
    return {
        "model": MODEL,
        "training": {
            "batch_size": 4, "max_steps": given.steps, "loss": {"energy": 4.0, "forces": 1.0, "stress": 0.0},
            "optimizer": {"kind": "adamw", "learning_rate": 3e-3},
            "schedule": {"kind": "cosine", "final": 0.005},
        },
        "train": str(path),
        "validation": {"fraction": 0.1},
        "seed": 0,
    }  # fmt: skip


def distilled(given: argparse.Namespace, pool: Path) -> list[Atoms]:
    """The part of a pool from which a committee learns most."""
    values = {
        "pool": str(pool),
        "potential": {
            **{key: value for key, value in training(given, pool).items() if key not in ("train", "seed")}
        },
        "members": {"count": 3},
        "start": 20,
        "rounds": given.rounds,
        "fraction": given.fraction,
        "compare": [],
    }
    folder = given.output / "distill"
    distill(DistillConfig.from_dict(values, source="distillation"), folder, resume=True)
    return list(read_frames([str(folder / "distilled.xyz")], LabelKeys()))


def phases(found: dict[str, Any], element: str) -> dict[str, list[tuple[float, float]]]:
    """Bond length (Å) and energy (eV/atom) of fcc, bcc and hcp by set; NaN of what does not relax."""
    table = {}
    for name, results in found.items():
        ones = [results["phases"].get(f"{element}:{phase}", {}) for phase in ("fcc", "bcc", "hcp")]
        table[name] = [(one.get("bond_length", np.nan), one.get("energy", np.nan)) for one in ones]
    return table


def printed(table: dict[str, list[tuple[float, float]]], prefix: str = "") -> None:
    """Ours beside the paper's."""
    for name, values in table.items():
        paper = PAPER["aluminum reference" if prefix and name == "reference" else prefix or name]
        cells = [
            f"{length:5.2f} {energy:7.3f} ({published[0]:.2f} {published[1]:.3f})"
            for (length, energy), published in zip(values, paper, strict=True)
        ]
        print(f"{name:10s}" + "   ".join(cells))


def aluminum(given: argparse.Namespace, frames: list[Atoms]) -> dict[str, Any]:
    """The chosen frames as aluminum."""
    scaled = []
    for frame in frames:
        atoms = Atoms("Al" * len(frame), frame.positions, cell=frame.cell, pbc=True)
        atoms.set_cell(frame.cell.array * SCALE, scale_atoms=True)
        scaled.append(atoms)
    path = kept(labeled(scaled, ALUMINUM, "translated"), given.output / "aluminum.traj")
    run = trained(training(given, path), given.output / "train-aluminum")
    found = judged(
        {"aluminum": run}, "Al:fcc", given.output / "aluminum", only=["phases"], reference=ALUMINUM
    )
    return phases(found, "Al")


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--output", type=Path, default=Path("distillation"))
    parser.add_argument("--frames", type=int, default=600, help="of each set; the paper has 2000")
    parser.add_argument("--steps", type=int, default=3000, help="of each training")
    parser.add_argument("--rounds", type=int, default=6, help="of the distillation; the paper has 10")
    parser.add_argument("--fraction", type=float, default=0.17, help="of the frames that is chosen")
    parser.add_argument(
        "--aluminum", action="store_true", help="also translate the chosen frames to aluminum"
    )
    given = parser.parse_args()
    torch.set_num_threads(1)
    frames = read_frames([str(given.data)], LabelKeys())
    momt = [frame for frame in frames if frame.info["group"].lower() == "momt"]
    places = np.linspace(0, len(momt) - 1, min(given.frames, len(momt))).astype(int)
    files = {
        "fcc": kept(sampled(given, "fcc", 3.516, [300, 700, 1100]), given.output / "fcc.traj"),
        "liquid": kept(sampled(given, "liquid", 3.75, 3000), given.output / "liquid.traj"),
        "momt": kept([momt[place] for place in places], given.output / "momt.traj"),
    }
    chosen = distilled(given, files["momt"])
    files["distilled"] = kept(chosen, given.output / "distilled.traj")
    runs = {
        name: trained(training(given, path), given.output / f"train-{name}") for name, path in files.items()
    }
    found = judged(runs, "Ni:fcc", given.output / "properties", only=["phases"], reference=NICKEL)
    result: dict[str, Any] = {"distilled": len(chosen), "nickel": phases(found, "Ni")}
    print(f"{given.frames} frames of each set, {len(chosen)} chosen, {given.steps} steps; paper in brackets")
    print(f"{'':10s}fcc (Å, eV/atom){'':13s}bcc{'':26s}hcp")
    printed(result["nickel"])
    if given.aluminum:
        result["aluminum"] = aluminum(given, chosen)
        printed(result["aluminum"], "aluminum")
    (given.output / "distillation.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
