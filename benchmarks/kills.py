"""Kill commands at random moments, go on with them, and compare with what was never disturbed.

Each command (train, transfer, sample, label, benchmark) runs once undisturbed.  Then it is started again in a
new folder, killed with SIGKILL after a random time, started again with ``--resume``, and so on a few times,
until it is let come to its end.  Results must be the same to the last bit, no process may outlive the killed
one, and no half-written file may stay.

    python benchmarks/kills.py --runs 6 --kills 3 --json kills.json
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
import yaml
from ase.io import read, write
from limits import environment
from options import Parser, count

from gnnpot.errors import GnnpotError
from gnnpot.potential.model_file import load_potential

GNNPOT = [sys.executable, "-c", "import sys; from gnnpot.cli import main; sys.argv[0] = 'gnnpot'; main()"]
COMPARE = """import sys; from gnnpot.benchmark.models.config import ComparisonConfig as Config
from gnnpot.benchmark.models.run import compare
from pathlib import Path
compare(Config.from_yaml(Path(sys.argv[1])), sys.argv[3], resume='--resume' in sys.argv)"""
_LIMIT = 600.0  # seconds of one command
_LINGER = 10.0  # seconds in which processes of a killed command must end
_TINY = {
    "kind": "schnet",
    "cutoff": 3.5,
    "channels": 8,
    "num_filters": 8,
    "num_basis": 8,
    "num_interactions": 1,
}


@dataclass(frozen=True)
class Command:
    """One command to kill.

    Attributes:
        name: As users call it.
        words: The command line without the output.
        resume: Option with which it goes on.
        results: Reads what must be the same.
    """

    name: str
    words: list[str]
    resume: list[str]
    results: Callable[[Path], Any]


def commands(folder: Path) -> list[Command]:
    """The commands with small inputs in ``folder``."""
    frames = read(Path(str(files("gnnpot.configs"))) / "silicon-demo.xyz", "::5")
    write(folder / "silicon.xyz", frames)
    training = {"max_epochs": 12, "batch_size": 4, "device": "cpu", "num_workers": 1}
    run = {
        "model": _TINY,
        "training": training,
        "train": str(folder / "silicon.xyz"),
        "validation": {"frames": 6},
    }
    md = {
        "structures": {"element": "Cu", "crystal": "fcc", "lattice_constant": 3.6, "repeats": 2},
        "calculator": {"kind": "ase", "calculator_class": "ase.calculators.emt.EMT"},
        "sampler": {"kind": "md", "temperatures": [300, 900], "steps": 1500, "interval": 50},
    }
    label = {
        "method": {"kind": "stillinger-weber", "preset": "Si-1985"},
        "structures": str(folder / "many.xyz"),
        "running": {"workers": 2},
    }
    write(folder / "many.xyz", [_rattled(atoms, seed) for seed in range(40) for atoms in frames])
    model = folder / "source" / "model.safetensors"
    transfer = {**run, "source": str(model), "training": {**training, "max_epochs": 6},
                "stages": [{"freeze": ["first"]}, {}]}  # fmt: skip
    del transfer["model"]
    for name, section in (("train", run), ("transfer", transfer), ("sample", md), ("label", label)):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(section))
    (folder / "tiny.yaml").write_text(yaml.safe_dump({**run, "training": {**training, "num_workers": 0}}))
    study = {"data": [str(folder / "silicon.xyz")], "models": [str(folder / "tiny.yaml")], "sizes": [10, 20],
             "max_epochs": 12, "time": 36000, "steps": 20, "device": "cpu"}  # fmt: skip
    (folder / "benchmark.yaml").write_text(yaml.safe_dump(study))
    return [
        Command("train", [*GNNPOT, "train", str(folder / "train.yaml")], ["--resume"], _weights),
        Command("transfer", [*GNNPOT, "transfer", str(folder / "transfer.yaml")], ["--resume"], _weights),
        Command("sample", [*GNNPOT, "sample", str(folder / "sample.yaml")], ["--resume"], _frames),
        Command("label", [*GNNPOT, "label", str(folder / "label.yaml")], [], _labels),
        Command(
            "benchmark",
            [sys.executable, "-c", COMPARE, str(folder / "benchmark.yaml")],
            ["--resume"],
            _metrics,
        ),
    ]


def _rattled(atoms: Any, seed: int) -> Any:
    moved = atoms.copy()
    moved.rattle(0.02, seed=seed)
    return moved


def _weights(output: Path) -> dict[str, list[float]]:
    model = load_potential(output / "model.safetensors").model
    saved = torch.load(next(output.rglob("last.ckpt")), weights_only=True)["gnnpot"]
    rows = [{k: v for k, v in row.items() if k != "seconds"} for row in saved["history"]]
    return {"weights": {k: v.tolist() for k, v in model.state_dict().items()}, "history": rows}


def _frames(output: Path) -> str:
    return (output / "frames.xyz").read_text() + (output / "log.csv").read_text()


def _labels(output: Path) -> list[Any]:
    return [
        (atoms.get_potential_energy(), atoms.get_forces().tolist())
        for atoms in read(output / "labels.xyz", ":")
    ]


def _metrics(output: Path) -> Any:
    found = json.loads((output / "metrics.json").read_text())
    return [{k: row[k] for k in ("model", "frames", "seed", "energy", "forces", "stress", "failure")}
            for row in found["trainings"]]  # fmt: skip


def begun(command: Command, output: Path, *, again: bool) -> subprocess.Popen[bytes]:
    """The command in a process that leads a session of its own."""
    words = [*command.words, "--output", str(output), *(command.resume if again else [])]
    log = (output.parent / f"{output.name}.log").open("ab")
    with log:
        return subprocess.Popen(words, env=environment(1), stdout=log, stderr=log, start_new_session=True)


def survivors(number: int, family: set[int]) -> list[int]:
    """Processes of a killed command that still live after a while."""
    deadline = time.monotonic() + _LINGER
    while time.monotonic() < deadline:
        alive = [child for child in family if child != number and _is_alive(child)]
        if not alive:
            return []
        time.sleep(0.05)
    return alive


def descendants(number: int) -> set[int]:
    """A process and all that it has started."""
    parents: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(path.parent.name)] = int(fields[1])
    found = {number}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def _is_alive(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def disturbed(command: Command, output: Path, seconds: float, kills: int, rng: random.Random) -> list[str]:
    """Kill the command a few times, and let it end; gives what went wrong."""
    faults = []
    for number in range(kills):
        process = begun(command, output, again=number > 0)
        deadline, family = time.monotonic() + rng.uniform(0.0, seconds), set[int]()
        while time.monotonic() < deadline and process.poll() is None:
            family |= descendants(process.pid)
            time.sleep(0.02)
        family |= descendants(process.pid)
        process.send_signal(signal.SIGKILL)
        process.wait()
        if left := survivors(process.pid, family):
            faults.append(f"{len(left)} processes outlived the command")
            for one in left:
                os.kill(one, signal.SIGKILL)
    code = begun(command, output, again=True).wait(_LIMIT)
    if code != 0:
        said = (output.parent / f"{output.name}.log").read_text(errors="replace").strip().splitlines()
        faults.append(f"ended with {code}: {said[-1] if said else 'nothing said'}")
    if partial := list(output.rglob(".*.partial")):
        faults.append(f"left {partial[0].name}")
    return faults


def main() -> None:
    """Kill, go on, compare; print a table and end with 1 if anything was not the same."""
    parser = Parser(__doc__)
    parser.add_argument("--runs", type=count, default=2, help="disturbed runs of each command")
    parser.add_argument("--kills", type=count, default=3, help="kills of each run")
    parser.add_argument("--commands", nargs="+", help="some of train transfer sample label benchmark")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--json", type=Path, help="file for the counts")
    asked = parser.parse_args()
    if asked.json is not None:
        parser.make_room(asked.json)
    rng, rows = random.Random(asked.seed), []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for command in commands(folder):
            if command.name == "transfer":
                _make_source(folder)
            if asked.commands and command.name not in asked.commands:
                continue
            rows.append(_row(command, folder, asked.runs, asked.kills, rng))
            print(_words(rows[-1]), flush=True)
    if asked.json is not None:
        asked.json.write_text(json.dumps({"seed": asked.seed, "commands": rows}, indent=1) + "\n")
    sys.exit(1 if any(row["faults"] for row in rows) else 0)


def _make_source(folder: Path) -> None:
    words = ["train", str(folder / "train.yaml"), "training.max_epochs=1", "seed=5", "--output"]
    subprocess.run(
        [*GNNPOT, *words, str(folder / "source")], env=environment(1), check=True, capture_output=True
    )


def _row(command: Command, folder: Path, runs: int, kills: int, rng: random.Random) -> dict[str, Any]:
    whole, clock = folder / command.name, time.monotonic()
    if code := begun(command, whole, again=False).wait(_LIMIT):
        sys.exit(f"expected {command.name} to run undisturbed, got code {code}: "
                 + (folder / f"{command.name}.log").read_text()[-500:])  # fmt: skip
    seconds = time.monotonic() - clock
    expected, same, faults = command.results(whole), 0, []
    for number in range(runs):
        output = folder / f"{command.name}-{number}"
        found = disturbed(command, output, seconds, kills, rng)
        try:
            result = command.results(output)
        except (GnnpotError, OSError, ValueError, StopIteration) as error:
            found.append(f"{type(error).__name__}: {error}")
        else:
            same += _equal(result, expected)
            found += [] if _equal(result, expected) else ["other results"]
        faults += [f"run {number}: {fault}" for fault in found]
    return {"command": command.name, "seconds": round(seconds, 1), "runs": runs, "kills": runs * kills,
            "same": same, "faults": faults}  # fmt: skip


def _equal(one: Any, other: Any) -> bool:
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _words(row: dict[str, Any]) -> str:
    told = f"{row['command']:10} {row['seconds']:6.1f} s  {row['kills']:3} kills  "
    told += f"{row['same']} of {row['runs']} the same"
    return "\n".join([told, *(f"    {fault}" for fault in row["faults"])])


if __name__ == "__main__":
    main()
