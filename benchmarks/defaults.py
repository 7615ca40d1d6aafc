"""Compare a bare ``model: ani`` with tuned configurations on several elements, in equal time.

Each set is a file to train on, with one to test on behind a colon, or the name of a metal (Cu, Zr, Fe) whose
cells are made here and labeled by an embedded-atom potential that comes with LAMMPS.  All train for the same
time, one after another on one thread, or on a busy machine for the same ``--epochs``.  With ``--tries`` the
candidates of the tuned configuration are trained in its place; what their validation showed stands in TUNED.

    python benchmarks/defaults.py mlearn_Si_train.xyz:mlearn_Si_test.xyz Cu Zr Fe --minutes 1
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from ase import Atoms
from options import Parser, count, quantity

from gnnpot import label, train
from gnnpot.config.base import with_overrides
from gnnpot.data.reading import read_frames
from gnnpot.data.scales import LengthScales
from gnnpot.sampling.crystals import crystal
from gnnpot.units import ERROR_UNITS

METALS = {  # potential, crystal, lattice constant (Å), repeats
    "Cu": ("Cu_mishin1.eam.alloy", "Cu:fcc", 3.615, (2, 2, 2)),
    "Zr": ("Zr_mm.eam.fs", "Zr:hcp", 3.23, (3, 3, 2)),
    "Fe": ("Fe_mm.eam.fs", "Fe:bcc", 2.855, (3, 3, 3)),
}
TRAINED, TESTED = 120, 60  # structures of a metal

SILICON = Path(__file__).with_name("silicon-ani.yaml")
BOND = 2.35  # Å between neighbors in silicon
LENGTHS = ("cutoff", "angular_cutoff", "radial_shifts", "angular_shifts")
INVERSE_SQUARES = ("radial_eta", "angular_eta")

TRIES: dict[str, tuple[str, ...]] = {
    "short": ("model.cutoff=1.6 nn", "model.angular_cutoff=1.3 nn"),
    "fast": ("training.optimizer.learning_rate=0.005",),
    "small": ("training.batch_size=2",),
    "forces": ("training.loss={energy: 1.0, forces: 1.0, stress: 25.0}",),
}
TUNED: dict[str, tuple[str, ...]] = {  # names of TRIES by element; of others, the file of silicon
    "Cu": ("fast",),
    "Zr": ("fast",),
    "Fe": (),  # no try was better than the bare configuration
    "Ni": (),
}


def silicon(bond: float) -> dict[str, Any]:
    """The file that was tuned for silicon, for another nearest-neighbor distance (Å)."""
    config = yaml.safe_load(SILICON.read_text())
    model, ratio = config["model"], bond / BOND
    for name in LENGTHS:
        value = model[name]
        model[name] = [round(one * ratio, 4) for one in value] if isinstance(value, list) else value * ratio
    for name in INVERSE_SQUARES:
        model[name] /= ratio**2
    return {"model": model, "training": {**config["training"], "max_epochs": 10_000}}


def tried(names: tuple[str, ...]) -> dict[str, Any]:
    """The bare configuration with the values of some tries."""
    words = [word for name in names for word in TRIES[name]]
    return with_overrides({"model": {"kind": "ani"}}, words)


def metal_cells(symbol: str, size: int, seed: int) -> list[Atoms]:
    """Cells strained by up to 5 % and shaken by 0.03 to 0.2 Å, a quarter of them with a vacancy."""
    _, name, length, repeats = METALS[symbol]
    rng, cells = np.random.default_rng(seed), []
    for number in range(size):
        atoms = crystal(name, lattice_constant=length) * repeats
        if number % 4 == 0:
            del atoms[int(rng.integers(len(atoms)))]
        strain = rng.uniform(-0.05, 0.05, (3, 3))
        atoms.set_cell(atoms.cell @ (np.eye(3) + (strain + strain.T) / 2), scale_atoms=True)
        atoms.positions += rng.normal(scale=rng.choice([0.03, 0.1, 0.2]), size=atoms.positions.shape)
        atoms.info["group"] = "vacancy" if number % 4 == 0 else "bulk"
        cells.append(atoms)
    return cells


def metal_files(symbol: str, folder: Path) -> list[str]:
    """Make and label the structures of a metal, unless that was done before."""
    method, files = {"kind": "eam", "file": METALS[symbol][0]}, []
    for name, size, seed in (("train", TRAINED, 0), ("test", TESTED, 1)):
        file = folder / f"{symbol}-{name}.xyz"
        if not file.exists():
            folder.mkdir(parents=True, exist_ok=True)
            labels = label(
                method=method, structures=metal_cells(symbol, size, seed), output=folder / f"{symbol}-{name}"
            )
            file.write_bytes(labels.path.read_bytes())
        files.append(str(file))
    return files


def run(config: dict[str, Any], data: list[str], folder: Path, budget: Mapping[str, Any]) -> dict[str, Any]:
    """Train in ``folder`` unless that was done before; gives the errors on the test structures."""
    metrics = folder / "metrics.json"
    if not metrics.exists():
        training = {**config.get("training", {}), **budget}
        test = data[1] if len(data) > 1 else {"fraction": 0.1}
        train({**config, "training": training}, folder, train=data[0], test=test, resume=True)
    return json.loads(metrics.read_text())


def validation(folder: Path) -> dict[str, float]:
    """Errors on the validation structures of the model that was kept, RMSE in eV and Å."""
    history = json.loads((folder / "history.json").read_text())
    best = min(history, key=lambda row: row["validation_loss"])
    return {name: best[f"validation_{name}_rmse"] for name in ERROR_UNITS}


def against(errors: Mapping[str, float], bare: Mapping[str, float]) -> float:
    """Geometric mean of the ratios of the errors of energy and forces."""
    return math.sqrt(math.prod(errors[name] / bare[name] for name in ("energy", "forces")))


def configurations(element: str, scales: LengthScales, *, tries: bool) -> dict[str, dict[str, Any]]:
    """What is trained on a set, by name."""
    if tries:
        return {"bare": {"model": "ani"}, **{name: tried((name,)) for name in TRIES}}
    tuned = tried(TUNED[element]) if element in TUNED else silicon(scales.nearest)
    return {"bare": {"model": "ani"}, "tuned": tuned}


def main() -> None:
    """Train all, and print a table of RMSE on the test structures."""
    parser = Parser(__doc__)
    parser.add_argument("sets", nargs="+", metavar="TRAIN[:TEST]|METAL")
    parser.add_argument("--minutes", type=quantity, default=1.0, help="time of each training")
    parser.add_argument("--epochs", type=count, help="budget of each training in place of the time")
    parser.add_argument("--tries", action="store_true", help="train the candidates of what is tuned")
    parser.add_argument("--output", type=Path, default=Path("defaults"))
    given = parser.parse_args()
    in_time = {"max_time": f"{60 * given.minutes:.0f}s"}
    budget = {"max_epochs": given.epochs} if given.epochs else in_time
    header = "".join(f"{f'{name} ({unit})':>20s}" for name, unit in ERROR_UNITS.items())
    print(f"{'set':20s}{'configuration':16s}{header}{'validation/bare':>18s}")
    for one in given.sets:
        data = metal_files(one, given.output / "sets") if one in METALS else one.split(":")
        scales = LengthScales.of(list(read_frames(data[:1])))
        assert scales is not None, f"no atom of {data[0]} has a neighbor within 9 Å"
        element = str(next(iter(read_frames(data[:1]))).symbols[0])
        home = given.output / Path(data[0]).stem
        for name, config in configurations(element, scales, tries=given.tries).items():
            errors = run(config, data, home / name, budget)
            ratio = against(validation(home / name), validation(home / "bare"))
            cells = [f"{errors[n]['rmse']:20.4g}" if errors.get(n) else f"{'-':>20s}" for n in ERROR_UNITS]
            print(f"{home.name:20s}{name:16s}{''.join(cells)}{ratio:18.2f}", flush=True)


if __name__ == "__main__":
    main()
