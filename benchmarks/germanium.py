"""Germanium from a potential of silicon, label by label of density-functional theory.

Runs the shipped loop ``learn/germanium`` from the training in ``SOURCE`` (such as that of
``silicon-dimenet.yaml``), beside committees that begin from scratch on the same labels.  Errors are those on
structures from elsewhere, dynamics and strains of a Stillinger-Weber potential of germanium, with labels of
the same method; with ``--also FILE`` also those of forces of another code on structures of its own.

    python benchmarks/germanium.py silicon rounds=5 --output germanium

Killed runs go on where they were.  ``KEY=VALUE`` changes the loop; ``germanium.json`` and ``germanium.svg``
are written to the output.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import torch
from ase import Atoms
from ase.io import read, write
from matplotlib.figure import Figure
from options import Parser, count

from gnnpot.benchmark.subsets import write_frames
from gnnpot.commands.progress import TrainingDisplay
from gnnpot.config.base import shipped_config
from gnnpot.data.reading import read_frames
from gnnpot.data.structure import bare_structure
from gnnpot.evaluation.evaluation import evaluate
from gnnpot.learning.config import LearnConfig
from gnnpot.learning.labeling import label_chosen
from gnnpot.learning.phases import labels_file
from gnnpot.learning.run import learn
from gnnpot.learning.story import STORY, Round
from gnnpot.potential.committee import load_model
from gnnpot.report.figures import COLORS, FIGURE_STYLE
from gnnpot.sampling.config import SampleConfig
from gnnpot.sampling.run import sample
from gnnpot.sampling.trajectory import FRAMES
from gnnpot.training.run import train
from gnnpot.training.run_config import RunConfig

LATTICE = 5.76  # Å
MELTING = 1211  # K
FEW = 6  # structures of each kind
STARTS = ("silicon", "scratch")


def sampled(folder: Path, structures: Any, sampler: dict[str, Any]) -> list[Atoms]:
    """Frames of a Stillinger-Weber potential of germanium."""
    values = {"structures": structures, "sampler": sampler, "seed": 7}
    if sampler["kind"] != "strain":
        values["calculator"] = {"kind": "stillinger-weber", "preset": "Ge-Ding-Andersen"}
    sample(SampleConfig.from_dict(values, source="germanium"), folder, resume=True)
    return [bare_structure(frame) for frame in read(folder / FRAMES, ":")]


def dynamics(temperature: int, frames: int, between: int = 500) -> dict[str, Any]:
    """Frames that are 1 ps apart."""
    return {
        "kind": "md", "temperatures": temperature, "timestep": 2.0, "equilibration": 1000,
        "steps": between * frames, "interval": between,
    }  # fmt: skip


def elsewhere(output: Path) -> Iterator[Atoms]:
    """Structures that no potential of ours has chosen: crystal, vacancy, strains, liquid."""
    crystal = {"element": "Ge", "crystal": "diamond", "lattice_constant": LATTICE}
    kinds = {"solid at 300 K": sampled(output / "solid", crystal, dynamics(300, FEW))}
    vacant = kinds["solid at 300 K"][0][1:]
    (output / "vacant").mkdir(exist_ok=True)
    write(output / "vacant" / "start.xyz", bare_structure(vacant))
    start = {"files": [str(output / "vacant" / "start.xyz")]}
    kinds["vacancy"] = sampled(output / "vacant" / "runs", start, dynamics(300, FEW))
    strains = {"volume": [-0.1, -0.05, 0.06], "xx": [0.04], "xy": [0.03, 0.06]}
    kinds["strained"] = sampled(
        output / "strained", crystal, {"kind": "strain", "strains": strains, "rattle": 0.05}
    )
    sampled(output / "melt", crystal, dynamics(6 * MELTING, FEW, 2500))
    melts = {"files": [str(output / "melt" / FRAMES)]}
    kinds["liquid at 2422 K"] = sampled(output / "liquid", melts, dynamics(2 * MELTING, 1))
    for kind, frames in kinds.items():
        for frame in frames:
            frame.info = {"group": kind}
            yield frame


def tested(config: LearnConfig, output: Path) -> Path:
    """The structures from elsewhere with labels of the loop's method."""
    path = output / "structures.traj"
    if not path.exists():
        output.mkdir(parents=True, exist_ok=True)
        write_frames(list(elsewhere(output)), path)
    label_chosen(config.labeling, path, store=str(output / "labels.db"), folder=output / "labels")
    return output / "labels" / "labels.xyz"


def from_scratch(config: LearnConfig, number: int, known: list[Atoms], folder: Path, jobs: int) -> Path:
    """The same committee without silicon, at its own learning rate."""
    potential = config.potential.written()
    training = potential["training"] | {"optimizer": {"kind": "adamw", "learning_rate": 3e-3}}
    path = folder / f"labels-{number:02d}.traj"
    folder.mkdir(parents=True, exist_ok=True)
    write_frames(known, path)
    values = potential | {
        "training": training,
        "train": str(path),
        "members": {"count": config.members.count, "vary": ["weights", "split"]},
        "seed": config.seed,
    }
    run = folder / f"round-{number:02d}"
    with TrainingDisplay() as display:
        train(RunConfig.from_dict(values, source="scratch"), run, resume=True, jobs=jobs, observer=display)
    return run


def errors_of(model: Path, files: dict[str, Path]) -> dict[str, Any]:
    """Mean absolute errors by set and kind of structure."""
    found = {}
    for name, path in files.items():
        metrics = evaluate(load_model(model), read_frames([str(path)])).metrics()
        found[name] = {
            kind: {quantity: errors[quantity]["mae"] for quantity in ("energy", "forces")}
            for kind, errors in {"all": metrics, **metrics["groups"]}.items()
        }
    return found


def drawn(rows: list[dict[str, Any]], path: Path) -> None:
    """Errors on structures from elsewhere against the number of labels."""
    with mpl.rc_context(FIGURE_STYLE):
        figure = Figure(figsize=(9, 3.6), layout="constrained")
        titles = {"forces": "Forces (meV/Å)", "energy": "Energy (meV/atom)"}
        for axes, (quantity, title) in zip(figure.subplots(1, 2), titles.items(), strict=True):
            for start, color in zip(STARTS, COLORS, strict=False):
                own = [row for row in rows if row["start"] == start]
                values = [row["errors"]["test"]["all"][quantity] for row in own]
                name = "from silicon" if start == "silicon" else "from scratch"
                axes.plot([row["labels"] for row in own], values, "o-", color=color, label=name)
            axes.set(title=title, xlabel="Labels by Quantum ESPRESSO", ylim=(0, None))
            axes.legend(frameon=False)
        figure.suptitle("Germanium: mean absolute error on structures from elsewhere")
        figure.savefig(path)


def main() -> None:
    """Label the test, run the loop, train from scratch, and print errors by the number of labels."""
    parser = Parser(__doc__)
    parser.add_argument("source", type=Path, help="folder of a training of silicon")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="e.g. rounds=2")
    parser.add_argument("--output", type=Path, default=Path("germanium"))
    parser.add_argument("--also", type=Path, help="structures with forces of another code")
    parser.add_argument("--every", type=count, default=1, help="rounds between two trainings from scratch")
    parser.add_argument("--jobs", type=count, default=2, help="trainings, and labels, at a time")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    words = [f"source={asked.source}", f"labeling.running.workers={asked.jobs}", *asked.overrides]
    config = LearnConfig.from_yaml(shipped_config("learn/germanium"), words)
    files = {"test": tested(config, asked.output / "test")}
    if asked.also is not None:
        files["also"] = asked.also
    loop = asked.output / "loop"
    with TrainingDisplay() as display:
        result = learn(config, loop, resume=True, jobs=asked.jobs, observer=display)
    print(result["stopped"])
    last = max(one["round"] for one in json.loads((loop / STORY).read_text()) if one["phase"] == "train")
    rows, known = [], list[Atoms]()
    for number in range(last + 1):
        current = Round(loop, number)
        known += list(read_frames([labels_file(current)]))
        models = {"silicon": current.path}
        if number % asked.every == 0 or number == last:
            models["scratch"] = from_scratch(config, number, known, asked.output / "scratch", asked.jobs)
        for start, model in models.items():
            row = {"start": start, "labels": len(known), "errors": errors_of(model, files)}
            rows.append(row)
            print(f"{start}, {len(known)} labels:", flush=True)
            for name, kinds in row["errors"].items():
                for kind, errors in kinds.items():
                    energy = f"{errors['energy']:.1f} meV/atom, " if name == "test" else ""
                    print(f"  {name} {kind}: {energy}{errors['forces']:.0f} meV/Å")
    (asked.output / "germanium.json").write_text(json.dumps(rows, indent=1) + "\n")
    drawn(rows, asked.output / "germanium.svg")


if __name__ == "__main__":
    main()
