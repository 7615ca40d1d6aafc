"""The folder of a run: new or begun, for one process at a time, and for one run alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gnnpot.errors import ConfigError, OutputError
from gnnpot.system.files import write_text
from gnnpot.system.run_folder import RunFolder, changed_values, differences, in_words

HOLD = (
    "import sys, time; from gnnpot.system.run_folder import RunFolder\n"
    "with RunFolder(sys.argv[1]).held(resume=True): print('held', flush=True); {then}; time.sleep(20)"
)


def begun(path: Path, **values: object) -> RunFolder:
    folder = RunFolder(path, "training", files=("model.safetensors",))
    with folder.held(resume=False):
        folder.begin("a: 1\n", {"source": "one"})
        for name, text in values.items():
            write_text(path / name, str(text))
    return folder


@contextmanager
def killed_holder(path: Path, then: str = "pass") -> Iterator[str]:
    """A process that held the folder and was killed; gives the second line that it printed."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD.format(then=then), str(path)], stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(OutputError, match="for one run alone"), RunFolder(path).held(resume=True):
            pass
        said = process.stdout.readline() if then != "pass" else ""
        process.kill()
        process.wait()
        yield said


def test_results_are_not_written_over_and_a_run_goes_on_when_asked(tmp_path):
    folder = begun(tmp_path / "run")
    with pytest.raises(OutputError, match=r"expected a new folder, got .*run with config.yaml; use --resume"):
        folder.check_new()
    with pytest.raises(OutputError, match="use --resume"), folder.held(resume=False):
        pass
    with folder.held(resume=True):
        assert folder.is_begun


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("name", ["model.safetensors", "metrics.json"])
def test_files_of_the_user_are_not_written_over(tmp_path, name, resume):
    (tmp_path / name).write_text("mine")
    folder = RunFolder(tmp_path, files=("model.safetensors",))
    with pytest.raises(OutputError, match=f"with {name}"), folder.held(resume=resume):
        pass
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("resume", [False, True])
def test_a_folder_with_a_lock_alone_is_new(tmp_path, resume):
    (tmp_path / ".lock").touch()
    with RunFolder(tmp_path).held(resume=resume) as folder:
        assert not folder.is_begun
    assert not list(tmp_path.iterdir())  # the lock goes with the run


def test_a_run_that_wrote_nothing_leaves_no_folder(tmp_path):
    with pytest.raises(ValueError, match="stopped"), RunFolder(tmp_path / "a" / "run").held(resume=False):
        raise ValueError("stopped")
    assert not (tmp_path / "a" / "run").exists()


def test_a_second_process_is_refused_until_the_first_is_killed(tmp_path):
    with killed_holder(tmp_path), RunFolder(tmp_path).held(resume=True):
        pass


def test_a_forked_process_does_not_keep_the_lock(tmp_path):
    fork = "import os; os.fork() or print(os.getpid(), flush=True)"
    with killed_holder(tmp_path, fork) as child:
        try:
            with RunFolder(tmp_path).held(resume=True):
                os.kill(int(child), 0)  # it lives
        finally:
            os.kill(int(child), signal.SIGKILL)


def test_what_a_killed_process_left_half_written_is_removed(tmp_path):
    partial = tmp_path / ".labels.xyz.123.partial"
    partial.write_text("half")
    (tmp_path / "labels.xyz").write_text("whole")
    with RunFolder(tmp_path).held(resume=True):
        assert not partial.exists()
    assert (tmp_path / "labels.xyz").read_text() == "whole"


def test_other_values_are_named(tmp_path):
    folder = begun(tmp_path / "run")
    old = {"training": {"rate": 1.0, "max_epochs": 3}, "train": ["a", "b"], "stages": [{"freeze": []}]}
    new = {"training": {"rate": 2.0, "max_epochs": 9}, "train": ["c"], "stages": [{"freeze": ["x"]}]}
    with pytest.raises(ConfigError, match=r"expected the training in .*run, got other values of stages.0.f"):
        folder.check_same(old, new, free=["train"])
    assert in_words(changed_values(old, new, free=["train", "stages"])) == (
        "training.max_epochs (3 → 9), training.rate (1.0 → 2.0)"
    )
    assert differences(old, new, free=["train", "training.max_epochs"]) == [
        "stages.0.freeze", "stages.0.freeze.0", "training.rate",
    ]  # fmt: skip
    assert differences(old, new, free=["train", "training", "stages.*.freeze"]) == []


def test_other_contents_are_named(tmp_path):
    folder = begun(tmp_path / "run")
    folder.check_inputs({"source": "one", "structures": "of a later version"})
    with pytest.raises(ConfigError, match=r"expected the source that the training in .*run began with"):
        folder.check_inputs({"source": "two"})


DAMAGED = {
    "empty": b"",
    "a list": b"- 1\n",
    "nested": b"a: " + 3000 * b"[",
    "binary": bytes(range(256)),
    "a date": b"a: 2020-13-45\n",
    "cut off": b"a: {b: 1",
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_configuration_is_one_line(tmp_path, name):
    folder = begun(tmp_path / "run")
    folder.config.write_bytes(DAMAGED[name])
    with pytest.raises(OutputError, match=r"got a damaged config.yaml \(.+\); mend the file") as refused:
        folder.written()
    assert len(str(refused.value)) < 600
    (folder.path / "inputs.json").write_bytes(DAMAGED[name])
    with pytest.raises(OutputError, match=r"got a damaged inputs.json"):
        folder.check_inputs({})
