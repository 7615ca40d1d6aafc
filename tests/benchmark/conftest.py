"""Fixtures that tests share."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from model_comparisons import DEMO, TINY, Study, run


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Study:
    """Two models on six and twelve frames for a second each."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    data = Path(shutil.copy(DEMO, folder))
    words = (
        data, "--models", "ani", folder / "tiny.yaml", "--sizes", 12, 6, "--time", 0.02,
        "--md-steps", 20, "--output", folder / "out",
    )  # fmt: skip
    return Study(folder / "out", words, run(*words, "--json"))
