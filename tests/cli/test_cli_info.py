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
from gnnpot.potential.model_file import add_provenance, save_potential


@pytest.fixture
def path(tmp_path):
    potential = small_potential(elements=("Si", "Ge"), dtype=torch.float32)
    provenance = {
        "reference_energies_source": "isolated atoms",
        "num_train": 214,
        "config": {"seed": 7},
        "num_validation": 23,
        "metrics": {"epoch": 12.0, "seconds": 252.4, "validation_forces_rmse": 98.7},
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


def test_info_tells_time_and_errors_in_plain_words(path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    error = {"mae": 66.25, "rmse": 98.0}
    test = {"num_structures": 25, "energy": {"mae": 3.21, "rmse": 4.0}, "forces": error, "stress": None}
    add_provenance(path, {"errors": {"test": test}, "date": "2026-11-29T09:20+00:00"})
    text = run(path).stdout
    told = "on 214 structures; 23 more chose the epoch; the best was 12 after 0:04:12; finished 2026-11-29"
    assert told in " ".join(text.replace("│", "").split())
    assert "energy 3.21 meV/atom, forces 66.25 meV/Å (MAE of 25 structures)" in text
    assert "98.7" not in text


def test_info_checks_that_the_file_is_whole(path):
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    result = run(path, "--json")
    assert isinstance(result.exception, ModelFileError)
    assert result.stdout == ""
