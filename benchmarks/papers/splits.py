"""Inherited against random splits: how much the work of pulling hexane wanders from round to round.

Runs loops like ``learn/hexane`` that differ in nothing but ``members.split``, ``--seeds`` of each kind: two
SchNets that train from scratch in every round, pulls at 4 Å/ps.  Prints the largest work, learned less
reference with the same seeds, round by round, and its scatter over the last ``--last`` rounds.

``python benchmarks/papers/splits.py --output splits`` also writes ``splits.svg``; killed loops go on where
they were, and processes with another ``--first`` seed or ``--splits`` may work in one folder, which a last
call then puts together.

Source: Jung, Choi, Lee, Digital Discovery 3, 514 (2024), figure 5.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.figure import Figure

from gnnpot.commands.progress import TrainingDisplay
from gnnpot.config.base import shipped_config
from gnnpot.learning.config import LearnConfig
from gnnpot.learning.run import learn
from gnnpot.learning.story import STORY
from gnnpot.report.figures import COLORS, FIGURE_STYLE, GREY

SPLITS = ("inherited", "random")
LOOP = (
    "sampler.velocity=4", "sampler.steps=1750", "sampler.interval=2", "labeling.max_force=20",
    "sampler.stop_when={spread: 0.5, of: energy}",  # eV; behind it lie fragments
    "potential.model={kind: schnet, cutoff: 5.0, channels: 64, num_filters: 64, num_interactions: 3}",
    "potential.training.max_steps=2000", "later={start: scratch}", "stop={}",
    "converge={kind: work, seeds: 2, tolerance: 0.001, rounds: 20, reference: true}",
)  # fmt: skip


def works(folder: Path) -> list[float]:
    """Learned less reference in the mean over seeds, of each round (eV)."""
    story = json.loads((folder / STORY).read_text())
    found = {
        name: [one["values"] for one in story if one["phase"] == name] for name in ("reference", "property")
    }
    return [float(np.mean(np.subtract(one, found["reference"][0]))) for one in found["property"]]


def drawn(found: dict[str, list[list[float]]], path: Path) -> None:
    """Work by the number of rounds, a line for each loop."""
    with mpl.rc_context(FIGURE_STYLE):
        figure = Figure(figsize=(9, 3.6), layout="constrained")
        columns = figure.subplots(1, len(found), sharey=True, squeeze=False)[0]
        for axes, color, (split, loops) in zip(columns, COLORS, found.items(), strict=False):
            axes.axhline(0.0, color=GREY, linewidth=1)
            for one in loops:
                axes.plot(one, "o-", color=color)
            axes.set(title=f"{split} splits".capitalize(), xlabel="Round")
        columns[0].set_ylabel("Largest work less reference (eV)")
        figure.savefig(path)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="e.g. rounds=2")
    parser.add_argument("--output", type=Path, default=Path("splits"))
    parser.add_argument("--splits", nargs="+", choices=SPLITS, default=SPLITS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=0, help="seed to begin with")
    parser.add_argument("--last", type=int, default=4, help="rounds over which the work scatters")
    given = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[str, list[list[float]]] = {split: [] for split in given.splits}
    for seed in range(given.first, given.first + given.seeds):
        for split in given.splits:
            words = [*LOOP, "rounds=6", f"members.split={split}", f"seed={seed}", *given.overrides]
            folder = given.output / f"{split}-{seed}"
            with TrainingDisplay() as display:
                config = LearnConfig.from_yaml(shipped_config("learn/hexane"), words)
                learn(config, folder, resume=True, observer=display)
            loop = works(folder)
            found[split].append(loop)
            print(f"{split}, seed {seed}: {' '.join(f'{one:+.2f}' for one in loop)} eV", flush=True)
    drawn(found, given.output / "splits.svg")
    for split, loops in found.items():
        values = [float(np.std(one[-given.last :], ddof=1)) for one in loops]
        told = ", ".join(f"{one:.3f}" for one in values)
        print(f"{split}: scatter over the last {given.last} rounds {told} eV, mean {np.mean(values):.3f}")


if __name__ == "__main__":
    main()
