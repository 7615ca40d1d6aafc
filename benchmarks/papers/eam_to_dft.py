"""From an embedded-atom potential to DFT: nickel on few structures, from cheap labels and from scratch.

``python benchmarks/papers/eam_to_dft.py EAM DFT`` (the model file of a potential trained on labels of
an embedded-atom potential, such as that of ``low2high.py``, and the nickel set of Zuo et al.) trains on
``--sizes`` DFT structures both ways, and prints errors, lattice constant, elastic constants at ±0.5 % and the
energy of a vacancy beside those that the DFT labels themselves say.  Killed runs go on where they were.

A pressure of 2.95 GPa, which the energies of that set do not have, is taken off its stress.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from runs import judged

from gnnpot.benchmark.transfer.config import EfficiencyConfig
from gnnpot.benchmark.transfer.run import study
from gnnpot.commands.progress import ComparisonDisplay
from gnnpot.potential.folder import MODEL_FILE
from gnnpot.transferring.config import TransferConfig

# of the strained cells among the labels (Å, GPa), and by their energies
LABELS = {"a": 3.508, "C11": 289.0, "C12": 168.5, "C44": 134.7}
TRAINING = {
    "batch_size": 2,
    "loss": {"energy": 4.0, "forces": 1.0, "stress": 100.0},
    "optimizer": {"kind": "adamw", "learning_rate": 1e-3, "weight_decay": 0.01},
    "schedule": {"kind": "cosine", "warmup_epochs": 1, "final": 0.005},
    "ema_decay": 0.99,
}


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("eam", type=Path)
    parser.add_argument("dft", type=Path)
    parser.add_argument("--test", type=Path, help="test structures; by default 24 of the others")
    parser.add_argument("--output", type=Path, default=Path("eam-to-dft"))
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 40])
    parser.add_argument("--steps", type=int, default=600, help="of each training at least")
    parser.add_argument("--rates", type=float, nargs="+", default=[3e-4, 1e-3], help="of the transfer")
    parser.add_argument("--scratch-rates", type=float, nargs="+", default=[1e-3, 3e-3])
    given = parser.parse_args()
    torch.set_num_threads(1)
    transfer = TransferConfig.from_dict(
        {
            "source": str(given.eam),
            "training": TRAINING,
            "train": str(given.dft),
            "keys": {"stress_offset": "2.95 GPa"},
            **({"test": str(given.test)} if given.test else {}),
        },
        source="EAM to DFT",
    )
    values = {
        "transfer": transfer,
        "sizes": given.sizes,
        "splits": 1,
        "steps": given.steps,
        "epochs": 10,
        "rates": given.rates,
        "scratch_rates": given.scratch_rates,
    }
    config = EfficiencyConfig.from_dict(values, source="EAM to DFT")
    with ComparisonDisplay() as display:
        found = study(config, given.output / "study", resume=True, observer=display)
    outcomes = {(one.side, one.size): one for one in found.outcomes}
    models = {"source 0": given.eam}
    for size in given.sizes:
        for side in ("transfer", "scratch"):
            name = f"{side}-{size}-0-{outcomes[side, size].rate:g}"
            models[f"{side} {size}"] = given.output / "study" / "trainings" / name / MODEL_FILE
    results = judged(models, "Ni:fcc", given.output / "properties", only=["relaxation", "elastic", "vacancy"])
    titles = ("meV/atom", "meV/Å", "a (Å)", "C11 (GPa)", "C12", "C44", "vacancy (eV)")
    print(f"{given.steps} steps, one split, test of {given.test or f'{config.held_out} structures'}")
    print(f"{'':13s}" + "".join(f"{title:>13s}" for title in titles))
    print(f"{'labels':13s}{'':26s}" + "".join(f"{value:13.4g}" for value in LABELS.values()))
    for name, ones in results.items():
        side, size = name.split()
        errors = outcomes[side, int(size)].mae if int(size) else {"energy": None, "forces": None}
        numbers = [
            errors["energy"],
            errors["forces"],
            ones["relaxation"].get("a"),
            *(ones["elastic"].get(key) for key in ("C11", "C12", "C44")),
            ones["vacancy"].get("formation_energy"),
        ]
        print(f"{name:13s}" + "".join(f"{'–' if one is None else f'{one:.4g}':>13s}" for one in numbers))
    (given.output / "eam-to-dft.json").write_text(json.dumps(results) + "\n")


if __name__ == "__main__":
    main()
