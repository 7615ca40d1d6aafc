"""Machine code that is kept on disk."""

from __future__ import annotations

import os
import stat
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


READER = """
from gnnpot.kernels.compiled import compiled

@compiled
def read_beyond(begin, end, x):
    x[0] = x[len(x)]
"""
READ = """
import torch
from gnnpot.kernels.caller import read_beyond
from gnnpot.kernels.calls import Call
try:
    Call(read_beyond, 1, (torch.zeros(3),))()
except RuntimeError as error:
    print(error)
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Runs a program in a copy of the package with one more file of loops."""
    copytree(CHECKOUT / "gnnpot", tmp_path / "gnnpot", ignore=ignore_patterns("__pycache__"))
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")

    def run(program: str, loops: str) -> str:
        (tmp_path / "gnnpot" / "kernels" / "caller.py").write_text(loops)
        return subprocess.check_output([sys.executable, "-c", program], cwd=tmp_path, text=True).strip()

    return run


@pytest.fixture
def nowhere(tmp_path, monkeypatch, package):
    """There neither the package nor the home of the user can be written to, but a temporary folder."""
    (tmp_path / "gnnpot" / "kernels" / "__pycache__").touch()
    monkeypatch.setenv("HOME", "/dev/null")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    return tmp_path / "temporary" / f"gnnpot-{os.getuid()}"


def test_where_package_and_home_are_read_only_code_is_kept_in_a_temporary_folder(nowhere, package):
    assert [package(CALL, CALLER), package(CALL, CALLER)] == ["14.0 0", "14.0 1"]
    assert stat.S_IMODE(nowhere.stat().st_mode) == 0o700


def test_code_is_kept_in_no_folder_that_others_may_write_to(nowhere, package):
    nowhere.mkdir()
    nowhere.chmod(0o777)
    assert [package(CALL, CALLER), package(CALL, CALLER)] == ["14.0 0", "14.0 0"]
    assert not list(nowhere.iterdir())


def test_loops_run_where_nothing_can_be_kept(nowhere, package):
    nowhere.touch()
    assert package(CALL, CALLER) == "14.0 0"


def test_code_with_bounds_checked_is_told_from_code_without(package, monkeypatch):
    assert package(READ, READER) == ""
    monkeypatch.setenv("NUMBA_BOUNDSCHECK", "1")
    refused = "expected read_beyond to end, got an index outside an array, or no memory left"
    assert package(READ, READER) == refused
    monkeypatch.delenv("NUMBA_BOUNDSCHECK")
    assert package(READ, READER) == ""


def test_a_loop_is_compiled_anew_when_another_file_that_it_calls_changes(tmp_path, package):
    assert [package(CALL, CALLER), package(CALL, CALLER)] == ["14.0 0", "14.0 1"]
    called = tmp_path / "gnnpot" / "kernels" / "compiled.py"
    called.write_text(called.read_text().replace("x[0] * y[0]", "3 * x[0] * y[0]"))
    assert package(CALL, CALLER) == "16.0 0"


def test_two_processes_never_write_machine_code_to_the_same_file():
    name = "from gnnpot.kernels.compiled import dot; print(dot._cache._cache_file._data_name(1))"
    names = [subprocess.check_output([sys.executable, "-c", name], text=True) for _ in range(2)]
    assert names[0] != names[1]
    assert all(name.strip().endswith("-1.nbc") for name in names)
