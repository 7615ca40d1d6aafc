"""What CONTRIBUTING says of a new model works."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from structures import rattled_crystal

from gnnpot.graph.graph import AtomicGraph
from gnnpot.models import MODEL_CONFIGS, MODELS, build_model
from gnnpot.potential.model_file import load_potential
from gnnpot.potential.potential import Potential
from gnnpot.training.run import train
from gnnpot.training.run_config import RunConfig, shipped_configs

TEXT = (Path(__file__).resolve().parents[1] / "CONTRIBUTING.md").read_text()


@pytest.fixture
def density():
    """The model of the text, known to the library for one test."""
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
    assert len(code.splitlines()) <= 60
    exec(compile(code, "density.py", "exec", dont_inherit=True), {"__name__": "density"})
    yield MODELS["density"]
    for registry in (MODELS, MODEL_CONFIGS):
        del registry._entries["density"]


def test_the_model_obeys_forces_as_derivatives(density):
    torch.manual_seed(0)
    model = build_model(density.Config(channels=4, cutoff=4.0), ("Si",)).double()
    potential = Potential(model, {"Si": -1.0})
    atoms, energies = rattled_crystal(), []
    for shift in (1e-4, -1e-4):
        moved = atoms.copy()
        moved.positions[0, 0] += shift
        energies.append(potential(AtomicGraph.from_ase(moved, 4.0, torch.float64)).energy.item())
    forces = potential(AtomicGraph.from_ase(atoms, 4.0, torch.float64)).forces
    assert forces[0, 0].item() == pytest.approx((energies[1] - energies[0]) / 2e-4, rel=1e-5)


def test_the_model_is_trained_and_loaded_as_any_other(density, tmp_path):
    settings = ["model={kind: density, channels: 4}", "training.max_epochs=2"]
    train(RunConfig.from_yaml(shipped_configs()["demo"], settings), tmp_path / "run")
    assert isinstance(load_potential(tmp_path / "run" / "model.safetensors").model, density)
