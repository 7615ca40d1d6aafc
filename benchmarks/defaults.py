"""Compare a bare ``model: ani`` with a tuned file on several sets of data.

Each set is a file to train on, and one to test on if there is one; the tuned file is that of silicon with
all its distances in units of the nearest-neighbor distance.  All train for the same time, one after another
on one thread.

    python benchmarks/defaults.py mlearn_Si_train.xyz:mlearn_Si_test.xyz copper.xyz --minutes 4
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml
from options import Parser, quantity

from gnnpot.data.reading import read_frames
from gnnpot.data.scales import LengthScales
from gnnpot.units import ERROR_UNITS

TUNED = Path(__file__).with_name("silicon-ani.yaml")
BOND = 2.35  # Å between neighbors in silicon
LENGTHS = ("cutoff", "angular_cutoff", "radial_shifts", "angular_shifts")
INVERSE_SQUARES = ("radial_eta", "angular_eta")


def tuned(bond: float) -> dict[str, Any]:
    """The file that was tuned for silicon, for another nearest-neighbor distance (Å)."""
    config = yaml.safe_load(TUNED.read_text())
    model, ratio = config["model"], bond / BOND
    for name in LENGTHS:
        value = model[name]
        model[name] = [round(one * ratio, 4) for one in value] if isinstance(value, list) else value * ratio
    for name in INVERSE_SQUARES:
        model[name] /= ratio**2
    return {
        "model": model,
        "training": {**config["training"], "max_epochs": 10_000},
    }  # the time is the budget


def run(config: dict[str, Any], data: list[str], folder: Path, minutes: float) -> dict[str, Any]:
    """Train in ``folder`` unless that was done before; gives the errors on the test structures."""
    metrics = folder / "metrics.json"
    if not metrics.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        file = folder.with_suffix(".yaml")
        test = data[1] if len(data) > 1 else {"fraction": 0.1}
        file.write_text(yaml.safe_dump({**config, "train": data[0], "test": test}))
        gnnpot("train", file, f"training.max_time={minutes}m", "--output", folder)
    return json.loads(metrics.read_text())


def gnnpot(*words: object) -> str:
    """Run a command on one thread; gives what it prints."""
    call = [Path(sys.executable).with_name("gnnpot"), *map(str, words)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(call, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout


def main() -> None:
    """Train all, and print a table of RMSE on the test structures."""
    parser = Parser(__doc__)
    parser.add_argument("sets", nargs="+", metavar="TRAIN[:TEST]")
    parser.add_argument("--minutes", type=quantity, default=4.0, help="time of each training")
    parser.add_argument("--output", type=Path, default=Path("defaults"))
    given = parser.parse_args()
    print(
        f"{'set':24s}{'configuration':16s}" + "".join(f"{f'{n} ({u})':>20s}" for n, u in ERROR_UNITS.items())
    )
    for one in given.sets:
        data = [str(Path(name).resolve()) for name in one.split(":")]
        home = given.output / Path(data[0]).stem
        scales = LengthScales.of(list(read_frames(data[:1])))
        assert scales is not None, f"no atom of {data[0]} has a neighbor within 9 Å"
        configs = {"bare": {"model": "ani"}, "tuned": tuned(scales.nearest)}
        for name, config in configs.items():
            errors = run(config, data, home / name, given.minutes)
            cells = [f"{errors[n]['rmse']:20.4g}" if errors.get(n) else f"{'-':>20s}" for n in ERROR_UNITS]
            print(f"{home.name:24s}{name:16s}{''.join(cells)}", flush=True)


if __name__ == "__main__":
    main()
