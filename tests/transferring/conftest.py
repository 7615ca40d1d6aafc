"""Fixtures that tests share."""

from __future__ import annotations

from pathlib import Path

import pytest
from potentials import small_potential

from gnnpot.potential.model_file import save_potential


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("source") / "silicon.safetensors"
    save_potential(small_potential("schnet"), path)
    return path
