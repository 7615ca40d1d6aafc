"""The folder of labels: one run at a time, no half-written files, nothing of other commands."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest
import yaml
from ase.io import read, write

from gnnpot.system.run_folder import RunFolder

DEMO = Path(str(files("gnnpot.configs"))) / "silicon-demo.xyz"


@pytest.fixture
def label(command, monkeypatch, tmp_path):
    """Run ``gnnpot label`` on two structures into ``out``; gives exit code and stderr."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "frames.xyz", read(DEMO, "30:32"))
    section = {
        "method": {"kind": "stillinger-weber", "preset": "Si-1985"},
        "structures": "frames.xyz",
        "running": {"workers": 1},
    }
    (tmp_path / "label.yaml").write_text(yaml.safe_dump(section))

    def run() -> tuple[int, str]:
        code, _, err = command("label", "label.yaml", "--output", "out")
        return code, err

    return run


def test_what_a_killed_run_left_half_written_is_gone_after_the_next(label, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".labels.xyz.99.partial").write_text("half")
    (tmp_path / "out" / ".lock").touch()
    code, err = label()
    assert code == 0, err
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "config.yaml", "failures.json", "labels.db", "labels.xyz",
    ]  # fmt: skip


def test_a_second_run_in_the_folder_is_refused(label, tmp_path):
    with RunFolder(tmp_path / "out").held(resume=True):
        code, err = label()
    assert code == 2
    assert "for one run alone, got another that writes there" in err


def test_the_folder_of_another_command_is_refused(label, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "config.yaml").write_text("model: {kind: ani}\n")
    assert label() == (
        2,
        "gnnpot: expected a folder of labels, got the run in out; choose another --output\n",
    )


def test_labels_that_no_run_wrote_are_not_written_over(label, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "labels.xyz").write_text("mine")
    assert label() == (2, "gnnpot: expected a new folder, got out with labels.xyz; choose another --output\n")
    assert (tmp_path / "out" / "labels.xyz").read_text() == "mine"


@pytest.mark.parametrize("junk", [b"", b"[1]", b"a: " + b"[" * 3000, bytes(range(256)), b"a: 2020-13-45"])
def test_a_damaged_configuration_in_the_folder_is_one_line(label, tmp_path, junk):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "config.yaml").write_bytes(junk)
    code, err = label()
    assert code == 2
    assert "got a damaged config.yaml" in err
    assert len(err.splitlines()) == 1
