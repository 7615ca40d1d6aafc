"""The first things that somebody types, and how a command ends when it is stopped."""

from __future__ import annotations

import os
import signal
from importlib.resources import files
from pathlib import Path

import pytest
import yaml

from gnnpot.version import __version__

DEMO = Path(str(files("gnnpot.configs"))) / "silicon-demo.xyz"


def test_version_prints_the_version_and_nothing_else(command):
    assert command("--version") == (0, f"{__version__}\n", "")


@pytest.mark.parametrize("words", [[], ["benchmark"]])
def test_a_bare_command_prints_help_and_nothing_else(command, words):
    code, out, err = command(*words)
    assert (code, err) == (0, "")
    assert "Usage: " in out


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_training_ends_with_one_line_that_says_what_is_kept(
    monkeypatch, command, tmp_path, number, code
):
    from gnnpot.commands.progress import TrainingDisplay

    monkeypatch.setattr(TrainingDisplay, "epoch", lambda *rows: os.kill(os.getpid(), number))
    before = signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job begins with SIGINT ignored
    path, output = tmp_path / "config.yaml", tmp_path / "run"
    model = {"kind": "schnet", "cutoff": 4.0, "channels": 4, "num_filters": 4, "num_interactions": 1}
    training = {"max_epochs": 100, "loss": {"stress": 1.0}}
    path.write_text(yaml.safe_dump({"model": model, "training": training, "train": str(DEMO)}))
    left, out, err = command("train", path, "--output", output)
    signal.signal(signal.SIGTERM, before)
    assert (left, out) == (code, "")
    assert "Traceback" not in err
    assert err.splitlines()[-1] == (
        f"gnnpot: stopped; {output} keeps the best model so far and the state of the training: "
        "the same command with --resume goes on"
    )
    assert (output / "last.ckpt").exists()


def test_a_command_that_is_stopped_before_it_wrote_says_so(monkeypatch, command, tmp_path):
    import gnnpot.commands.functions

    def stop(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(gnnpot.commands.functions, "run_training", stop)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"model": {"kind": "schnet"}, "train": str(DEMO)}))
    code, out, err = command("train", tmp_path / "config.yaml", "--output", tmp_path / "run")
    assert (code, out) == (130, "")
    assert err.lstrip("\n") == "gnnpot: stopped; nothing was written\n"  # rich 14 first ends its own line
