"""Kill an active-learning loop in each of its phases, go on with it, and compare with one left alone.

The loop (copper, EMT labels, tiny networks) runs once undisturbed.  Then another is started, killed with
SIGKILL while its first phase is at work, resumed, killed in the second, and so on, and at last ends well.
Structures and labels must be the same, and the store must hold each label once.

    python benchmarks/learning_kills.py --times 2 --json learning_kills.json
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml
from ase.io import read
from kills import GNNPOT, descendants, survivors
from limits import environment
from options import Parser, count

from gnnpot.labeling.store.store import LabelStore

LOOP = {
    "structures": {"element": "Cu", "crystal": "fcc", "lattice_constant": 3.7, "repeats": 1},
    "sampler": {"kind": "md", "temperatures": 600, "steps": 200, "interval": 10},
    "labeling": {
        "method": {"kind": "ase", "calculator_class": "ase.calculators.emt.EMT"},
        "running": {"kind": "local", "workers": 1},
    },
    "initial": {"sampler": {"kind": "rattle", "deviation": 0.1, "copies": 12}},
    "potential": {
        "model": {"kind": "schnet", "cutoff": 4.0, "channels": 8, "num_filters": 8, "num_interactions": 1},
        "training": {"max_epochs": 3, "batch_size": 4, "dtype": "float64"},
        "validation": {"fraction": 0.25},
    },
    "members": {"count": 2, "split": "inherited"},
    "select": [{"kind": "highest", "size": 4}],
    "rounds": 1,
}
_LIMIT = 900.0  # seconds of one start


def started(config: Path, output: Path) -> subprocess.Popen[bytes]:
    """The loop in a process that leads a session of its own."""
    log = output.with_suffix(".log").open("ab")
    words = [*GNNPOT, "learn", str(config), "--output", str(output), "--resume"]
    with log:
        return subprocess.Popen(words, env=environment(1), stdout=log, stderr=log, start_new_session=True)


def phases(output: Path) -> list[dict[str, Any]]:
    """What has been done so far."""
    path = output / "story.json"
    return json.loads(path.read_text()) if path.exists() else []


def killed_in(process: subprocess.Popen[bytes], output: Path, place: int, seconds: float) -> bool:
    """Kill the loop while the phase at this place of the story is at work; whether it was."""
    deadline = time.monotonic() + _LIMIT
    while process.poll() is None and time.monotonic() < deadline:
        begun = (output / "config.yaml").exists()
        if begun and len(phases(output)) == place:
            time.sleep(seconds)
            break
        time.sleep(0.02)
    family = descendants(process.pid)
    process.send_signal(signal.SIGKILL)
    process.wait()
    if left := survivors(process.pid, family):
        sys.exit(f"expected no process to outlive the loop, got {len(left)}")
    return len(phases(output)) == place


def data_of(output: Path) -> dict[str, Any]:
    """Structures and labels of all rounds, and the number of labels that were computed."""
    labels = {
        f"{path.parent.parent.name}": [
            (atoms.positions.tolist(), atoms.get_potential_energy(), atoms.get_forces().tolist())
            for atoms in read(path, ":")
        ]
        for path in sorted(output.glob("round-*/labels/labels.xyz"))
    }
    return {"labels": labels, "computed": LabelStore(output / "labels.db").last}


def main() -> None:
    """Run, kill, compare; print a line for each kill and end with 1 if anything differs."""
    parser = Parser(__doc__)
    parser.add_argument("--times", type=count, default=1, help="disturbed loops")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--json", type=Path, help="file for the counts")
    asked = parser.parse_args()
    if asked.json is not None:
        parser.make_room(asked.json)
    rng, same, rows = random.Random(asked.seed), 0, []
    with tempfile.TemporaryDirectory() as name:
        config, whole = Path(name) / "loop.yaml", Path(name) / "whole"
        config.write_text(yaml.safe_dump(LOOP))
        if started(config, whole).wait(_LIMIT):
            sys.exit(
                "expected the loop to run undisturbed, got " + whole.with_suffix(".log").read_text()[-500:]
            )
        story, expected = phases(whole), data_of(whole)
        for number in range(asked.times):
            output = Path(name) / f"loop-{number}"
            for place, phase in enumerate(story):
                moment = rng.uniform(0.0, float(phase["seconds"]))
                hit = killed_in(started(config, output), output, place, moment)
                rows.append({"loop": number, "round": phase["round"], "phase": phase["phase"], "hit": hit})
                where = "" if hit else ", which had just ended"
                print(f"killed in round {phase['round']}, {phase['phase']}{where}", flush=True)
            code = started(config, output).wait(_LIMIT)
            found = data_of(output)
            same += code == 0 and found == expected
            print(f"loop {number}: {'the same data' if found == expected else 'OTHER DATA'}", flush=True)
            print(f"{found['computed']} labels computed, {expected['computed']} undisturbed", flush=True)
    if asked.json is not None:
        asked.json.write_text(
            json.dumps({"same": same, "loops": asked.times, "kills": rows}, indent=1) + "\n"
        )
    sys.exit(0 if same == asked.times else 1)


if __name__ == "__main__":
    main()
