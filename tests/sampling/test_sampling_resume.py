"""A sampling run goes on with the calculator and the structures that it began with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ase.build import bulk
from ase.io import write
from potentials import small_potential

from gnnpot.errors import ConfigError
from gnnpot.potential.model_file import save_potential
from gnnpot.sampling import SampleConfig, sample


def config_of(**values: Any) -> SampleConfig:
    return SampleConfig.model_validate(values)


def test_another_model_at_the_same_path_is_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    save_potential(small_potential("schnet", seed=1), path)
    config = config_of(
        structures={"element": "Si", "crystal": "diamond", "lattice_constant": 5.43},
        sampler={"kind": "md", "temperatures": 10, "steps": 2, "interval": 1, "timestep": 0.01},
        calculator={"kind": "gnnpot", "model": str(path)},
    )
    sample(config, tmp_path / "run")
    assert sample(config, tmp_path / "run", resume=True)["frames"] == 2
    save_potential(small_potential("schnet", seed=2), path)
    with pytest.raises(
        ConfigError, match=r"expected the calculator that the sampling run in .*run began with"
    ):
        sample(config, tmp_path / "run", resume=True)


def test_other_structures_at_the_same_path_are_refused(tmp_path):
    path = tmp_path / "structures.xyz"
    write(path, bulk("Cu", cubic=True))
    config = config_of(structures=str(path), sampler={"kind": "noise", "copies": 2})
    frames = sample(config, tmp_path / "run", resume=True)["frames"]  # begins where there is nothing
    assert sample(config, tmp_path / "run", resume=True)["frames"] == frames
    write(path, bulk("Ni", cubic=True))
    with pytest.raises(ConfigError, match="expected the structures that the sampling run"):
        sample(config, tmp_path / "run", resume=True)
    assert Path(tmp_path / "run" / "frames.xyz").read_text().count("Cu") > 0
