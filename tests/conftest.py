"""Settings of the whole suite."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

import gnnpot

CHECKOUT = Path(__file__).resolve().parents[1]
SHARED = CHECKOUT.parent / "shared" / "data"

if Path(gnnpot.__file__).resolve().parents[1] == CHECKOUT and find_spec("gnnpot.cli") is None:
    gnnpot.__path__.append(str(CHECKOUT))  # installed elsewhere, run from the checkout

torch.set_num_threads(1)  # many small tensors: more threads only wait for each other


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of the team's labeled sets."""
    if not SHARED.is_dir():
        pytest.skip(f"needs the labeled sets in {SHARED}")
    return SHARED
