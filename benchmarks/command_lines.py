"""Run hundreds of command lines that somebody might mistype: each must do its work or be refused in one line.

Every line begins as one that works, on small data; then words are dropped, doubled, swapped, replaced by
other paths, and settings of the configuration by values of other kinds.

    python benchmarks/command_lines.py --count 300 --seed 0 --output command-lines.json
"""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import signal
import sys
import time
import traceback
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml
from ase.io import read, write
from gnnpot.cli import main as gnnpot

from gnnpot.config.base import json_schema, shipped_configs
from gnnpot.labeling.config import LabelConfig
from gnnpot.sampling.config import SampleConfig
from gnnpot.training.run_config import RunConfig
from gnnpot.transferring.config import TransferConfig

LONGEST = 1500  # characters of a refusal
PATIENCE = 120  # seconds
MODEL = {"kind": "schnet", "cutoff": 4.0, "channels": 4, "num_filters": 4, "num_interactions": 1}
SILICON = {"kind": "stillinger-weber", "preset": "Si-1985"}
CONFIGS = {
    "train.yaml": {"model": MODEL, "training": {"max_epochs": 1}, "train": "data.xyz"},
    "transfer.yaml": {"source": "model.safetensors", "training": {"max_epochs": 1}, "train": "data.xyz"},
    "label.yaml": {"method": SILICON, "structures": "data.xyz", "running": {"kind": "local", "workers": 1}},
    "sample.yaml": {
        "structures": {"element": "Si", "crystal": "diamond", "lattice_constant": 5.43},
        "sampler": {"kind": "md", "ensemble": {"kind": "langevin"}, "temperatures": 300, "steps": 20},
        "calculator": SILICON,
    },
}
LINES = [
    "train train.yaml --output OUT",
    "train train.yaml --output OUT --json training.max_epochs=1",
    "train train.yaml --output run --resume",
    "transfer transfer.yaml --output OUT",
    "transfer transfer.yaml --from model.safetensors --map Ge=Si --output OUT",
    "evaluate model.safetensors data.xyz",
    "evaluate model.safetensors data.xyz --json --output OUT",
    "evaluate model.safetensors data.xyz --keys energy=energy --device cpu",
    "validate data.xyz",
    "validate data.xyz --json",
    "info model.safetensors --json",
    "label label.yaml --output OUT",
    "label label.yaml --output OUT --dry-run --json",
    "label label.yaml --store store.db --output OUT",
    "sample sample.yaml --output OUT",
    "sample sample.yaml --output OUT --resume",
    "transfer-structures data.xyz new.xyz --map Si=Ge --scale 5.66/5.43",
    "benchmark data.xyz --models schnet --sizes 4 --seeds 1 --time 0.02 --output OUT",
    "benchmark transfer transfer.yaml --sizes 1 2 --splits 1 --output OUT",
    "template demo",
    "schema train",
    "models --json",
]
PATHS = [
    "", ".", "nothing.xyz", "folder", "empty.xyz", "binary.xyz", "text.yaml", "data.xyz", "train.yaml",
    "model.safetensors", "/dev/null", "/proc/self/mem", "a" * 300, "né à.xyz", "-", "--", "~",
]  # fmt: skip
VALUES = [
    "", "0", "-1", "1e999", "nan", "null", "true", "[]", "{}", "[[1], 2]", "{a: {b: c}}", "2020-13-45",
    "1:30:00", "9" * 5000, "&a [*a]", "!!python/object/apply:os.getcwd []", "💥", "'", "\\", "{kind: none}",
    "auto", "1e-320", "[1, 2, 3, 4]", "-.inf", "0x10", "1_000", "schnet", "data.xyz", "[" * 200,
]  # fmt: skip
OPTIONS = [
    "--help", "--json", "--output", "--resume", "--from", "--map", "--seed", "--nothing", "-o", "-x",
    "--keys", "--device", "--store", "--sizes", "--models", "--version",
]  # fmt: skip


def keys_of(schema: dict, prefix: str = "") -> Iterator[str]:
    """Dotted names of the settings in a JSON schema."""
    named = schema.get("$defs", {})
    waiting = [(schema, "")]
    for part, above in waiting:
        for name, inner in part.get("properties", {}).items():
            yield f"{above}{name}"
            reference = next((one["$ref"] for one in [inner, *inner.get("anyOf", [])] if "$ref" in one), "")
            if reference and above.count(".") < 3:
                waiting.append((named[reference.rpartition("/")[2]], f"{above}{name}."))


def prepare(folder: Path) -> None:
    """Write data, configurations and a model that lines name, and files that are none of these."""
    frames = read(str(shipped_configs()["demo"].with_name("silicon-demo.xyz")), ":12")
    write(folder / "data.xyz", frames)
    (folder / "folder").mkdir()
    (folder / "empty.xyz").touch()
    (folder / "binary.xyz").write_bytes(bytes(range(256)) * 20)
    (folder / "text.yaml").write_text("just words\n")
    for name, values in CONFIGS.items():
        (folder / name).write_text(yaml.safe_dump(values))
    os.chdir(folder)
    run(["train", "train.yaml", "--output", "run"])
    shutil.copyfile(folder / "run" / "model.safetensors", folder / "model.safetensors")


def mutated(line: str, keys: dict[str, list[str]], rng: random.Random) -> list[str]:
    """The words of a line after one to three mistakes."""
    words = [word.replace("OUT", f"out-{rng.randrange(40)}") for word in line.split()]
    for _ in range(rng.choice([0, 1, 1, 1, 2, 3])):
        place = rng.randrange(1, len(words)) if len(words) > 1 else 0
        kind = rng.randrange(7)
        if kind == 0 and place:
            del words[place]
        elif kind == 1:
            words.insert(place, words[place])
        elif kind == 2 and place:
            other = rng.randrange(1, len(words))
            words[place], words[other] = words[other], words[place]
        elif kind == 3 and place:
            words[place] = rng.choice(PATHS)
        elif kind == 4:
            words.append(rng.choice(OPTIONS))
        else:
            known = keys.get(words[0], ["nothing"])
            words.append(f"{rng.choice(known)}={rng.choice(VALUES)}")
    return words


@contextmanager
def limited(seconds: int) -> Iterator[None]:
    """Raise TimeoutError where the block takes longer."""

    def ring(*_: object) -> None:
        raise TimeoutError(f"longer than {seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def run(words: list[str]) -> tuple[str, str]:
    """Run a line in this process; gives what became of it and what it printed on stderr."""
    out, err, sys.argv = io.StringIO(), io.StringIO(), ["gnnpot", *words]
    try:
        with limited(PATIENCE), redirect_stdout(out), redirect_stderr(err):
            gnnpot()
    except SystemExit as stop:
        code, said = int(stop.code or 0), err.getvalue()
        if code == 0:
            return "done", said
        lines = said.strip().splitlines()
        last = lines[-1] if lines else ""
        tidy = code in (1, 2) and last.startswith("gnnpot: ") and len(last) <= LONGEST
        return ("refused" if tidy and "Traceback" not in said else "untidy"), said
    except TimeoutError as error:
        return "too long", str(error)
    except BaseException:
        return "traceback", traceback.format_exc()
    return "untidy", "ended without an exit status"


def main() -> None:
    """Run the lines, print counts and what went wrong, write all as JSON."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=300, help="lines to run")
    parser.add_argument("--seed", type=int, default=0, help="seed of the mistakes")
    parser.add_argument("--output", type=Path, default=None, help="JSON file of all that went wrong")
    given = parser.parse_args()
    rng, counts, wrong, begun = random.Random(given.seed), Counter[str](), [], time.monotonic()
    classes = {"train": RunConfig, "transfer": TransferConfig, "label": LabelConfig, "sample": SampleConfig}
    keys = {name: list(keys_of(json_schema(section))) for name, section in classes.items()}
    target = None if given.output is None else given.output.resolve()
    with TemporaryDirectory() as folder:
        prepare(Path(folder))
        for number in range(given.count):
            words = mutated(rng.choice(LINES), keys, rng)
            kind, said = run(words)
            counts[kind] += 1
            if kind not in ("done", "refused"):
                wrong.append({"line": words, "kind": kind, "said": said[-3000:]})
                print(kind, " ".join(words)[:200], "|", said.strip().splitlines()[-1][:200] if said else "")
            if number % 50 == 49:
                print(f"{number + 1} lines in {time.monotonic() - begun:.0f} s", dict(counts), flush=True)
        os.chdir("/")
    print(dict(counts))
    if target is not None:
        target.write_text(json.dumps({"counts": counts, "wrong": wrong}, indent=1))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
