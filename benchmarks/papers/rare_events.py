"""Rare events: the work of pulling hexane apart, round by round of active learning.

``python benchmarks/papers/rare_events.py`` runs the shipped loop ``learn/hexane`` (the reference is GFN2-xTB;
the paper's is DFTB3, whose program few have) and prints for each round the labels so far, the errors, and
the largest work by the committee, beside the work by the reference and the paper's figures.  ``KEY=VALUE``
changes the loop, such as ``rounds=2``.  Killed loops go on where they were.

Source: Jung, Choi, Lee, Digital Discovery 3, 514 (2024).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

from gnnpot.commands.progress import TrainingDisplay
from gnnpot.config.base import shipped_config
from gnnpot.learning.config import LearnConfig
from gnnpot.learning.run import learn
from gnnpot.learning.story import STORY

# eV, for the barrier of DFTB3
PAPER = (
    "6.34 by the reference, 1.0 by the first potential, 5.5 from 6500 frames of pulling, 6.33 after the loop"
)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="e.g. rounds=2")
    parser.add_argument("--output", type=Path, default=Path("rare-events"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    overrides = ["converge.reference=true", *given.overrides]
    config = LearnConfig.from_yaml(shipped_config("learn/hexane"), overrides)
    with TrainingDisplay() as display:
        result = learn(config, given.output, resume=True, observer=display)
    print(f"{'round':>5s} {'labels':>7s} {'meV/atom':>9s} {'meV/Å':>8s} {'work (eV)':>10s}")
    rounds: dict[int, dict[str, dict[str, float]]] = {}
    for phase in json.loads((given.output / STORY).read_text()):
        rounds.setdefault(phase["round"], {})[phase["phase"]] = phase
    labels = 0
    for number, done in sorted(rounds.items()):
        labels += int(done.get("label", {}).get("structures", 0))
        errors = done.get("train", {}).get("errors", {})
        work = done.get("property", {}).get("mean", float("nan"))
        cells = [errors.get(name, float("nan")) for name in ("energy", "forces")]
        print(f"{number:5d} {labels:7d} {cells[0]:9.2f} {cells[1]:8.1f} {work:10.3f}")
    print(f"reference {result['reference']:.3f} eV; {result['stopped']}")
    print(f"paper (DFTB3, eV): {PAPER}")


if __name__ == "__main__":
    main()
