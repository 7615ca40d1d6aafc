"""Rare events: the work of pulling hexane apart, round by round of active learning.

``python benchmarks/papers/rare_events.py`` runs the shipped loop ``learn/hexane`` (the reference is GFN2-xTB;
the paper's is DFTB3, whose program few have).  Then the committee of each of the last ``--rounds`` rounds and
the reference pull at the paper's 1 Å/ps with ``--seeds`` seeds each, and it prints for each round, as the
mean over pairs of the same seed with its standard error, by how much the largest work, the largest force and
the work at 8.6 Å of the spring differ, and how often the same kind of bond breaks; ``pulls.svg`` shows it.
``--chains 5 7 8`` also pulls pentane, heptane and octane, which the committee has not seen.
``KEY=VALUE`` changes the loop, such as ``rounds=2``; ``--loop`` takes another configuration of the loop, and
``--reference`` another engine for the method's pulls, such as ``{kind: dftb3, forces: gradient}``.  Where the
method comes to no result any more, as DFTB3 shortly before the rupture, pulls are compared up to there.
Killed runs go on where they were; processes with other ``--first`` seeds may work in one folder, which a last
call then puts together.

Source: Jung, Choi, Lee, Digital Discovery 3, 514 (2024).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
import torch
import yaml
from ase import Atoms
from ase.io import read, write
from ase.optimize import BFGS
from matplotlib.figure import Figure

from gnnpot.commands.progress import TrainingDisplay
from gnnpot.config.base import shipped_config
from gnnpot.engines import EngineConfig, calculator_from
from gnnpot.engines.base import engine_of
from gnnpot.engines.imported import TeacherConfig
from gnnpot.learning.config import LearnConfig
from gnnpot.learning.run import learn
from gnnpot.learning.story import STORY
from gnnpot.report.figures import COLORS, FIGURE_STYLE, GREY
from gnnpot.sampling.config import SampleConfig
from gnnpot.sampling.run import sample
from gnnpot.sampling.steered import SteeredConfig, WorkCurve, read_work_curves
from gnnpot.sampling.structures import FilesConfig, StructuresSection
from gnnpot.sampling.trajectory import FRAMES, LOG

# eV, for the barrier of DFTB3
PAPER = (
    "6.34 by the reference, 1.0 by the first potential, 5.5 from 6500 frames of pulling, 6.33 after the loop"
)
PULL = {"velocity": 1.0, "interval": 20}
STEPS = 7000  # for hexane
LENGTH = 8.6  # Å of the spring at which the work is compared, short of the rupture
CARBON_BOND, BROKEN = 1.8, 2.2  # Å
TOLERANCE = 0.043  # eV, 1 kcal/mol
FIGURE_EVERY = 10  # steps between two points of the figure


class Pulled(NamedTuple):
    """What one pull says."""

    broken: tuple[int, ...]  # places of broken bonds along the chain, counted from its nearer end
    curve: WorkCurve

    @property
    def work(self) -> float:
        """The largest (eV)."""
        return self.curve.activation_energy

    @property
    def force(self) -> float:
        """The largest (eV/Å)."""
        return float(self.curve.forces.max())

    @property
    def work_before(self) -> float:
        """At LENGTH (eV)."""
        return float(np.interp(LENGTH, self.curve.targets, self.curve.work) - self.curve.work[0])

    def up_to(self, other: Pulled) -> Pulled:
        """As far as another pull goes."""
        steps = np.searchsorted(self.curve.targets, other.curve.targets[-1], side="right")
        return self._replace(curve=WorkCurve(*(values[:steps] for values in self.curve)))


def pulled(
    engine: EngineConfig, folder: Path, seed: int, structures: StructuresSection, sampler: SteeredConfig
) -> Pulled:
    """One pull, or the one that is there."""
    settings = SampleConfig(structures=structures, sampler=sampler, calculator=engine, seed=seed)
    path = folder / f"seed-{seed}"
    sample(settings, path, resume=True)
    (curve,) = read_work_curves(path / LOG).values()
    first, last = read(path / FRAMES, 0), read(path / FRAMES, -1)
    chain = [atom.index for atom in first if atom.symbol == "C"]
    bonds = [
        (one, other)
        for place, one in enumerate(chain)
        for other in chain[place + 1 :]
        if first.get_distance(one, other) < CARBON_BOND
    ]
    broken = [number for number, bond in enumerate(bonds) if last.get_distance(*bond) > BROKEN]
    return Pulled(tuple(sorted(min(number, len(bonds) - 1 - number) for number in broken)), curve)


def chain(size: int, engine: EngineConfig, path: Path) -> FilesConfig:
    """An all-trans alkane with its carbon atoms first, relaxed by the reference."""
    carbons = [np.array([1.27 * place, 0.0, 0.43 * (-1) ** place]) for place in range(size)]
    hydrogens = [
        carbon + np.array([0.0, side, 0.64 * (-1) ** place])
        for place, carbon in enumerate(carbons)
        for side in (-0.88, 0.88)
    ]
    hydrogens += [carbons[0] + [-0.91, 0.0, -0.6], carbons[-1] + [0.91, 0.0, -0.6 * (-1) ** (size - 1)]]
    atoms = Atoms(f"C{size}H{2 * size + 2}", [*carbons, *hydrogens])
    atoms.calc = calculator_from(engine)
    BFGS(atoms, logfile=None).run(fmax=0.01, steps=200)
    write(path, atoms, format="extxyz", columns=["symbols", "positions"], write_results=False)
    return FilesConfig(files=(str(path),))


def chains(
    sizes: Sequence[int],
    engines: dict[str, EngineConfig],
    folder: Path,
    seeds: Sequence[int],
    sampler: SteeredConfig,
) -> None:
    """Pull chains that the committee has not learned from, by it and by the reference."""
    print(f"{'carbons':>7s}" + "".join(f"{title:>28s}" for title in ("largest work (eV)", "force (eV/Å)")))
    for size in sizes:
        place = folder / f"chain-{size}"
        place.mkdir(parents=True, exist_ok=True)
        path = place / "chain.xyz"
        there = FilesConfig(files=(str(path),))
        structures = there if path.exists() else chain(size, engines["reference"], path)
        longer = sampler.model_copy(
            update={"between": (0, size - 1), "steps": sampler.steps * (size - 1) // 5}
        )
        pulls = {
            name: [pulled(engine, place / name, seed, structures, longer) for seed in seeds]
            for name, engine in engines.items()
        }
        cells = [
            f"{np.mean([getattr(one, name) for one in pulls['learned']]):.2f}"
            f" ({np.mean([getattr(one, name) for one in pulls['reference']]):.2f})"
            for name in ("work", "force")
        ]
        broken = [sorted({one.broken for one in found}) for found in pulls.values()]
        print(f"{size:7d}" + "".join(f"{cell:>28s}" for cell in cells), *broken, flush=True)


def differences(
    name: str, learned: list[Pulled], reference: list[Pulled]
) -> tuple[list[float], float, float]:
    """Of all pairs, their mean, and its standard error."""
    pairs = zip(learned, reference, strict=True)
    found = [getattr(one.up_to(other), name) - getattr(other, name) for one, other in pairs]
    error = np.std(found, ddof=1) / np.sqrt(len(found)) if len(found) > 1 else np.nan
    return found, float(np.mean(found)), float(error)


def compared(learned: list[Pulled], reference: list[Pulled]) -> str:
    """Differences of pairs: means and their standard errors."""
    cells = []
    for name in ("work", "force", "work_before"):
        _, mean, error = differences(name, learned, reference)
        cells.append(f"{mean:+.3f} ± {error:.3f}")
    same = sum(one.broken == other.broken for one, other in zip(learned, reference, strict=True))
    return "".join(f"{cell:>20s}" for cell in (*cells, f"{same} of {len(learned)}"))


def drawn(rounds: dict[int, list[Pulled]], reference: list[Pulled], path: Path) -> None:
    """Forces of the last committee over those of the reference, and the differences of the largest work."""
    with mpl.rc_context(FIGURE_STYLE):
        figure = Figure(figsize=(9, 3.6), layout="constrained")
        force, work = figure.subplots(1, 2)
        named = {"reference": (reference, GREY, 2.0), "learned": (rounds[max(rounds)], COLORS[0], 0.5)}
        for name, (pulls, color, width) in named.items():
            for number, one in enumerate(pulls):
                label = None if number else name
                every = slice(None, None, FIGURE_EVERY)
                force.plot(
                    one.curve.targets[every], one.curve.forces[every], color=color, lw=width, label=label
                )
        force.set(title="Force of the spring", xlabel="Length of the spring (Å)", ylabel="Force (eV/Å)")
        force.legend(frameon=False)
        for number, learned in rounds.items():
            found, mean, error = differences("work", learned, reference)
            work.plot([number] * len(found), found, "o", color=COLORS[0], ms=3, alpha=0.5)
            work.errorbar(number, mean, error, fmt="o", color=COLORS[1], capsize=3)
        work.axhspan(-TOLERANCE, TOLERANCE, color=GREY, alpha=0.2, lw=0)
        work.set(title="Largest work, learned − reference", xlabel="Round", ylabel="eV", xticks=list(rounds))
        figure.savefig(path)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="e.g. rounds=2")
    parser.add_argument("--output", type=Path, default=Path("rare-events"))
    parser.add_argument("--loop", type=Path, help="configuration; by default learn/hexane")
    parser.add_argument("--rounds", type=int, default=4, help="the last ones whose committees pull")
    parser.add_argument("--seeds", type=int, default=8, help="of pulls")
    parser.add_argument(
        "--chains", type=int, nargs="*", default=[], help="numbers of carbon atoms, e.g. 5 7 8"
    )
    parser.add_argument("--first", type=int, default=0, help="seed to begin with")
    parser.add_argument("--reference", type=yaml.safe_load, help="engine of the method's pulls")
    given = parser.parse_args()
    torch.set_num_threads(1)
    config = LearnConfig.from_yaml(given.loop or shipped_config("learn/hexane"), given.overrides)
    with TrainingDisplay() as display:
        result = learn(config, given.output / "loop", resume=True, observer=display)
    story = json.loads((given.output / "loop" / STORY).read_text())
    total, labels, errors = 0, dict[int, int](), dict[int, dict[str, float]]()
    for phase in story:
        if phase["phase"] == "label":
            labels[phase["round"]] = total = total + int(phase["structures"])
        if phase["phase"] == "train":
            errors[phase["round"]] = phase.get("errors", {})
    seeds = range(given.first, given.first + given.seeds)
    assert config.work_sampler is not None
    method = config.labeling.method if given.reference is None else engine_of(given.reference)
    sampler = config.work_sampler.model_copy(update={**PULL, "steps": STEPS})

    def hexane(engine: EngineConfig, folder: Path) -> list[Pulled]:
        return [pulled(engine, folder, seed, config.structures, sampler) for seed in seeds]

    reference = hexane(method, given.output / "reference")
    works = [one.work for one in reference]
    print(f"{result['stopped']}; reference {np.mean(works):.3f} eV ({min(works):.3f} to {max(works):.3f})")
    print(f"paper (DFTB3, eV): {PAPER}")
    titles = ("labels", "meV/atom", "meV/Å", "largest work (eV)", "force (eV/Å)", f"work at {LENGTH} Å (eV)")
    print(f"{'round':>5s}{titles[0]:>7s}{titles[1]:>9s}{titles[2]:>7s}", end="")
    print("".join(f"{title:>20s}" for title in (*titles[3:], "same bond")))
    rounds = dict[int, list[Pulled]]()
    for number in sorted(errors)[-given.rounds :]:
        engine = TeacherConfig(model=(given.output / "loop" / f"round-{number:02d}",))
        learned = hexane(engine, given.output / "pulls" / f"round-{number:02d}")
        known = [errors[number].get(name, np.nan) for name in ("energy", "forces")]
        print(f"{number:5d}{labels[number]:7d}{known[0]:9.2f}{known[1]:7.1f}", end="")
        print(compared(learned, reference), flush=True)
        rounds[number] = learned
    drawn(rounds, reference, given.output / "pulls.svg")
    if given.chains:
        print("other chains by the last committee (by the reference), and which bonds break")
        engines = {"learned": engine, "reference": method}
        chains(given.chains, engines, given.output / "chains", seeds[:2], sampler)


if __name__ == "__main__":
    main()
