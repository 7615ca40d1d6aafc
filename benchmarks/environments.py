"""Make an environment of its own for each library that `peers.py` measures.

    python benchmarks/environments.py torchani schnetpack graph-pes

Each is a virtual environment under ``--folder`` with the same torch as the others, so that the libraries
differ and not what they stand on.  PyG needs none: it is measured in the environment of gnnpot.  What
follows ``--pip`` goes to every ``pip install``, a wheel index for CPUs for example.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

TORCH = "torch==2.13.0"
DEFAULT_FOLDER = Path.home() / ".cache" / "gnnpot-peers"
PACKAGES = {
    "torchani": ("torchani", "ase", "vesin"),
    "schnetpack": ("schnetpack", "tensorboardX"),
    "graph-pes": ("graph-pes",),
    "nequip": ("nequip",),
    "mace": ("mace-torch",),
    "matgl": ("matgl",),
}
# What pip would not choose: SchNetPack since 2.1 asks for an older sympy than torch does, yet runs with it.
AGAINST_THEIR_PINS = {"schnetpack": "schnetpack==2.1.1"}


def interpreter(name: str, folder: Path) -> Path:
    """The Python of an environment, whether it is there or not."""
    return folder / name / "bin" / "python"


def is_installed(name: str, folder: Path) -> bool:
    """Whether the environment was made, to its end."""
    return (folder / name / "installed").exists() and interpreter(name, folder).exists()


def install(name: str, folder: Path, pip_options: list[str]) -> str | None:
    """Make the environment of ``name``; the last line of what went wrong, or None."""
    home = folder / name
    constraints = folder / "constraints.txt"
    folder.mkdir(parents=True, exist_ok=True)
    constraints.write_text(f"{TORCH}\n")
    pip = [str(interpreter(name, folder)), "-m", "pip", "install", "--quiet", *pip_options]
    commands = [
        [sys.executable, "-m", "venv", str(home)],
        [*pip, TORCH],
        [*pip, "--constraint", str(constraints), *PACKAGES[name]],
    ]
    if name in AGAINST_THEIR_PINS:
        commands.append([*pip, "--no-deps", AGAINST_THEIR_PINS[name]])
    for command in commands:
        finished = subprocess.run(command, capture_output=True, text=True, check=False)
        if finished.returncode:
            return _reason(finished.stderr)
    (home / "installed").touch()
    return None


def _reason(messages: str) -> str:
    """The last error that pip told, else its last line."""
    lines = [line.strip() for line in messages.splitlines() if line.strip()] or ["no message"]
    return next((line for line in reversed(lines) if line.startswith("ERROR:")), lines[-1])


def main() -> int:
    """Install what was asked for, one after another; 1 if any failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="+", choices=PACKAGES, metavar="NAME", help=", ".join(PACKAGES))
    parser.add_argument("--folder", type=Path, default=DEFAULT_FOLDER, help="default: %(default)s")
    parser.add_argument("--pip", nargs=argparse.REMAINDER, default=[], help="options of pip, last of all")
    given = parser.parse_args()
    failures = 0
    for number, name in enumerate(given.names, start=1):
        print(f"[{number}/{len(given.names)}] {name}: ", end="", flush=True)
        if is_installed(name, given.folder):
            print("is there already", flush=True)
            continue
        start = time.monotonic()
        reason = install(name, given.folder, given.pip)
        failures += reason is not None
        took = f"{time.monotonic() - start:.0f} s"
        print(f"installed in {took}" if reason is None else f"failed after {took}: {reason}", flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
