"""A file is whole or not there."""

from __future__ import annotations

import subprocess
import sys

import pytest

from gnnpot.errors import OutputError
from gnnpot.system.files import atomic_write, write_bytes, write_text


def run(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_file_is_written_whole_and_nothing_is_left_beside_it(tmp_path):
    write_text(tmp_path / "a.txt", "first")
    write_text(tmp_path / "a.txt", "Å")
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "Å"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


FULL_DISK = """
import resource, sys
from pathlib import Path
from gnnpot.system.files import write_bytes
from gnnpot.errors import OutputError
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    write_bytes(Path(sys.argv[1]), b"1" * 10_000)
except OutputError as error:
    print(error)
"""


def test_when_the_disk_is_full_the_previous_file_survives(tmp_path):
    path = tmp_path / "model"
    write_bytes(path, b"0" * 1000)
    told = run(FULL_DISK, path)
    assert told.stdout.startswith(f"expected to write {path}, got an error (File too large)"), told.stderr
    assert told.stdout.count("\n") == 1
    assert path.read_bytes() == b"0" * 1000
    assert list(tmp_path.iterdir()) == [path]


KILLED = """
import os, signal, sys
from pathlib import Path
from gnnpot.system.files import atomic_write
with atomic_write(Path(sys.argv[1])) as aside:
    with aside.open("wb") as file:
        file.write(b"1" * 500)
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_when_the_writer_is_killed_the_previous_file_survives(tmp_path):
    path = tmp_path / "model"
    write_bytes(path, b"0" * 1000)
    assert run(KILLED, path).returncode == -9
    assert path.read_bytes() == b"0" * 1000


def test_a_writer_that_fails_leaves_the_previous_file_and_its_own_error(tmp_path):
    path = tmp_path / "model"
    write_bytes(path, b"0")

    def fail():
        with atomic_write(path) as aside:
            aside.write_bytes(b"1")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert path.read_bytes() == b"0"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_a_file_is_told_in_one_line(tmp_path):
    (tmp_path / "folder").write_text("")
    with pytest.raises(OutputError, match=r"^expected to write .*; free space, or choose another folder$"):
        write_text(tmp_path / "folder" / "a.txt", "")
