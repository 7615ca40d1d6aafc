"""Machine code that is kept on disk."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from shutil import copytree, ignore_patterns

import pytest

pytest.importorskip("numba")
CHECKOUT = Path(__file__).resolve().parents[2]
CALLER = """
from gnnpot.kernels.compiled import compiled, dot

@compiled
def square(x):
    return dot(x, x)
"""
CALL = """
import numpy as np
from gnnpot.kernels.caller import square
print(square(np.array([1.0, 2.0, 3.0])), sum(square.stats.cache_hits.values()))
"""


def test_a_loop_is_compiled_anew_when_another_file_that_it_calls_changes(tmp_path, monkeypatch):
    copytree(CHECKOUT / "gnnpot", tmp_path / "gnnpot", ignore=ignore_patterns("__pycache__"))
    loops = tmp_path / "gnnpot" / "kernels"
    (loops / "caller.py").write_text(CALLER)
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)

    def called() -> list[str]:
        command = [sys.executable, "-c", CALL]
        return subprocess.check_output(command, cwd=tmp_path, text=True).split()

    assert [called(), called()] == [["14.0", "0"], ["14.0", "1"]]
    helper = loops / "compiled.py"
    helper.write_text(helper.read_text().replace("x[0] * y[0]", "3 * x[0] * y[0]"))
    assert called() == ["16.0", "0"]
