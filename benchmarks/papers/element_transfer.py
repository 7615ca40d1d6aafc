"""Element transfer: what a potential of silicon is worth to germanium, in properties.

``python benchmarks/papers/element_transfer.py SILICON GERMANIUM`` (a model file, and labeled structures)
trains on ``--sizes`` structures of germanium from the potential of silicon and from scratch, as ``gnnpot
benchmark transfer`` does, and takes of each size and side the model of the first split.  It prints the
errors, the share of dynamics that last, the highest phonon, and the first peak of g(r), the neighbors and the
mean angle of the liquid at 2000 K, where a crystal melts within a picosecond; figures of phonons and
distributions are in the folder ``properties``.  Killed runs go on where they were.

Source: Röcken, Zavadlav, "Enhancing Machine Learning Potentials through Transfer Learning across Chemical
Elements"; its learning rates are unknown, so that both sides try several.
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
from gnnpot.config.base import shipped_config
from gnnpot.potential.folder import MODEL_FILE
from gnnpot.transferring.config import TransferConfig

# runs of 100 that last 100 ps at 1200 K: transfer, scratch
PAPER = {10: (100, 35), 40: (100, 46), 100: (80, 73), 195: (80, 71)}


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("silicon", type=Path)
    parser.add_argument("germanium", type=Path)
    parser.add_argument("--output", type=Path, default=Path("element-transfer"))
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 40, 100])
    parser.add_argument("--steps", type=int, default=600, help="of each training at least")
    parser.add_argument("--rates", type=float, nargs="+", default=[3e-4, 1e-3], help="of the transfer")
    parser.add_argument("--scratch-rates", type=float, nargs="+", default=[1e-3, 3e-3])
    parser.add_argument("--runs", type=int, default=20, help="of dynamics; the paper has 100")
    parser.add_argument("--time", default="10ps", help="of each; the paper has 100 ps")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="e.g. dynamics.time=5ps")
    given = parser.parse_args()
    torch.set_num_threads(1)
    transfer = TransferConfig.read(
        shipped_config("transfer-ge"), [f"train={given.germanium}"], source=given.silicon, element_map="Ge=Si"
    )
    values = {
        "transfer": transfer, "sizes": given.sizes, "splits": 1, "steps": given.steps, "epochs": 10,
        "rates": given.rates, "scratch_rates": given.scratch_rates,
    }  # fmt: skip
    config = EfficiencyConfig.from_dict(values, source="element transfer")
    with ComparisonDisplay() as display:
        found = study(config, given.output / "study", resume=True, observer=display)
    outcomes = {(one.side, one.size): one for one in found.outcomes if one.split == 0}
    models = {}
    for size in given.sizes:
        for side in ("transfer", "scratch"):
            name = f"{side}-{size}-0-{outcomes[side, size].rate:g}"
            models[f"{side} {size}"] = given.output / "study" / "trainings" / name / MODEL_FILE
    found_properties = judged(
        models,
        "Ge:diamond",
        given.output / "properties",
        only=["relaxation", "phonons", "dynamics", "stability"],
        settings=[
            f"stability.runs={given.runs}",
            f"stability.time={given.time}",
            "dynamics.temperature=2000",
            "dynamics.equilibration=1ps",
            *given.set,
        ],
    )
    print(f"one split, {given.steps} steps, {given.runs} runs of {given.time} at 1200 K")
    titles = ("meV/atom", "meV/Å", "lasting", "(paper)", "highest THz", "peak Å", "neighbors", "angle °")
    print(f"{'':14s}" + "".join(f"{title:>12s}" for title in titles))
    for name, results in found_properties.items():
        side, size = name.split()
        mae = outcomes[side, int(size)].mae
        paper = PAPER.get(int(size), (None, None))[side == "scratch"]
        last = results["stability"].get("survived")
        cells = (
            f"{mae['energy']:.1f}",
            f"{mae['forces']:.1f}",
            "failed" if last is None else f"{100 * last:.0f} %",
            "" if paper is None else f"{paper} %",
            _number(results, "phonons", "highest"),
            _number(results, "dynamics", "first_peak"),
            _number(results, "dynamics", "coordination"),
            _number(results, "dynamics", "mean_angle"),
        )
        print(f"{name:14s}" + "".join(f"{cell:>12s}" for cell in cells))
    (given.output / "element-transfer.json").write_text(json.dumps(found_properties) + "\n")


def _number(results: dict[str, dict[str, float]], name: str, key: str) -> str:
    value = results[name].get(key)
    return "failed" if value is None else f"{value:.2f}"


if __name__ == "__main__":
    main()
