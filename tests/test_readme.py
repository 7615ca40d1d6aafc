"""What the README says works."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gnnpot.training.run import train
from gnnpot.training.run_config import RunConfig, shipped_configs

README = Path(__file__).resolve().parents[1] / "README.md"
TRANSFERS = {"low2high", "transfer-ge"}  # read in test_cli_transfer.py


def test_the_python_example_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    overrides = ["training.max_epochs=2", "model.hidden=[16]", "repulsion.reach=0.7"]
    train(RunConfig.from_yaml(shipped_configs()["demo"], overrides), Path("run"))
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    exec(compile(code, "README.md", "exec"), {})
    assert "(8, 3)" in capsys.readouterr().out


def test_the_example_of_dynamics_runs(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    (words,) = re.findall(r"^\$ gnnpot (md .*)$", README.read_text(), flags=re.MULTILINE)
    code, out, _ = command(*words.split())
    assert code == 0
    assert "0.2 ps, 200 steps" in out
    assert (tmp_path / "md" / "dynamics.svg").exists()


def test_the_example_of_properties_prints_what_it_says(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    ((words, table),) = re.findall(
        r"^\$ gnnpot (properties stillinger.*)\n((?:.+\n)+?)```", README.read_text(), flags=re.MULTILINE
    )
    code, out, _ = command(*words.split())
    assert code == 0
    printed = [line.split() for line in out.splitlines()]
    assert all(line.split() in printed for line in table.splitlines() if "…" not in line)


def test_the_commands_exist():
    from gnnpot.cli import app
    from typer.main import get_command

    commands = set(get_command(app).commands)
    assert set(re.findall(r"\$ gnnpot (\w+)", README.read_text())) <= commands


@pytest.mark.parametrize(
    "name", [name for name in shipped_configs() if "/" not in name and name not in TRANSFERS]
)
def test_every_shipped_configuration_is_valid(name):
    assert RunConfig.from_yaml(shipped_configs()[name]).train
