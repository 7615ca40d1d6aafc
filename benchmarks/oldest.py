"""Run the tests with the oldest versions that ``setup.py`` allows.

Makes a virtual environment with exactly the lower bounds of ``install_requires``, installs this checkout
into it, and runs what follows ``--`` with pytest, the whole suite by default.

    python benchmarks/oldest.py ~/.cache/gnnpot-oldest -- tests/cli tests/graph
"""

from __future__ import annotations

import re
import subprocess
import sys
import venv
from argparse import ArgumentParser
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
BUILD = ("setuptools", "wheel")
_WARNINGS = ("-W", "default")  # old versions beside new ones have some


def oldest() -> list[str]:
    """Requirements of ``setup.py`` with each lower bound as the version."""
    text = (CHECKOUT / "setup.py").read_text()
    (listed,) = re.findall(r"install_requires=\[(.*?)\n    \]", text, flags=re.DOTALL)
    return [f"{name}=={version}" for name, version in re.findall(r'"([\w-]+)>=([\d.]+)"', listed)]


def needed_by_tests() -> list[str]:
    """What the tests need besides, in any version."""
    text = (CHECKOUT / "setup.py").read_text()
    lists = re.findall(r"^(?:PROPERTIES|TEST) = \[(.*?)\]", text, flags=re.DOTALL | re.MULTILINE)
    return [name for listed in lists for name in re.findall(r'"([\w-]+)"', listed)]


def main() -> None:
    """Make the environment if it is not there, and run the tests in it."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="virtual environment to make or to use")
    parser.add_argument("tests", nargs="*", default=["tests"], help="arguments of pytest")
    given = parser.parse_args()
    python = given.folder / "bin" / "python"
    if not python.exists():
        venv.create(given.folder, with_pip=True)
    install = [python, "-m", "pip", "install", "--quiet"]
    torch = [one for one in oldest() if one.startswith("torch==")]
    subprocess.run([*install, *torch], check=True)
    subprocess.run([*install, *oldest(), *needed_by_tests(), *BUILD], check=True)
    subprocess.run([*install, "--no-deps", "--no-build-isolation", "-e", CHECKOUT], check=True)
    sys.exit(
        subprocess.run(
            [python, "-m", "pytest", "-q", *_WARNINGS, *given.tests], cwd=CHECKOUT, check=False
        ).returncode
    )


if __name__ == "__main__":
    main()
