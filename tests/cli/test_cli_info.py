"""``gnnpot info`` tells what a file holds."""

from __future__ import annotations

import json

import pytest
import torch
import typer
from gnnpot.cli.info import info
from potentials import small_potential
from typer.testing import CliRunner

from gnnpot.errors import ModelFileError
from gnnpot.potential.model_file import save_potential


@pytest.fixture
def path(tmp_path):
    potential = small_potential(elements=("Si", "Ge"), dtype=torch.float32)
    provenance = {
        "reference_energies_source": "isolated atoms",
        "num_train": 214,
        "config": {"seed": 7},
        "metrics": {"epoch": 12.0, "validation_forces_rmse": 98.7},
    }
    save_potential(potential, tmp_path / "model.safetensors", provenance=provenance)
    return tmp_path / "model.safetensors"


def run(*arguments):
    app = typer.Typer()
    app.command()(info)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_info_as_json_is_one_object_with_all_of_the_header(path):
    result = run(path, "--json")
    assert result.exit_code == 0
    told = json.loads(result.stdout)
    model = small_potential(elements=("Si", "Ge")).model
    assert told["parameters"] == sum(parameter.numel() for parameter in model.parameters())
    assert told["model"]["elements"] == ["Si", "Ge"]
    assert told["reference_energies"] == {"Si": -100.0, "Ge": -100.1}
    assert told["units"]["energy"] == "eV"
    assert told["provenance"]["config"] == {"seed": 7}


def test_info_shows_what_a_user_asks_first(path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    text = run(path).stdout
    for expected in (
        "schnet",
        "Si, Ge",
        "4 Å",
        "Si -100.000000, Ge -100.100000 eV (isolated atoms)",
        "forces 98.7 meV/Å",
        "214",
        "float32",
        "stress in eV/Å³",
    ):
        assert expected in text


def test_info_checks_that_the_file_is_whole(path):
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    result = run(path, "--json")
    assert isinstance(result.exception, ModelFileError)
    assert result.stdout == ""
