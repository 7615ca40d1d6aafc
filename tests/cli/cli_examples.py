"""What tests of the command line share."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

DEMO = Path(str(files("gnnpot.configs"))) / "silicon-demo.xyz"
