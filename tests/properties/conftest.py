"""Calculators that tests of properties share, and crystals at rest."""

from __future__ import annotations

from pathlib import Path

import pytest
from ase.calculators.lj import LennardJones
from reference_programs import ZHANG, dynamo_file

from gnnpot.engines import calculator_from, engine_of
from gnnpot.properties.relaxation import relax_crystal
from gnnpot.sampling.crystals import crystal

ARGON = {"sigma": 3.4, "epsilon": 0.0104}


@pytest.fixture(scope="session")
def zhang(tmp_path_factory: pytest.TempPathFactory):
    """The embedded-atom nickel of Zhang, Ashcraft and Mendelev."""
    path = dynamo_file(ZHANG, tmp_path_factory.mktemp("eam") / "NiNb.eam.fs")
    return calculator_from(engine_of({"kind": "eam", "file": path}))


@pytest.fixture(scope="session")
def nickel(zhang):
    return relax_crystal(zhang, crystal("Ni"))


@pytest.fixture(scope="session")
def stillinger_weber():
    return calculator_from(engine_of({"kind": "stillinger-weber", "preset": "Si-1985"}), Path())


@pytest.fixture(scope="session")
def silicon(stillinger_weber):
    return relax_crystal(stillinger_weber, crystal("Si"))


@pytest.fixture(scope="session")
def argon():
    """Lennard-Jones argon with a cutoff that is nearly none."""
    return LennardJones(**ARGON, rc=7 * ARGON["sigma"])


@pytest.fixture(scope="session")
def short_argon():
    return LennardJones(**ARGON, rc=2.2 * ARGON["sigma"], ro=2.0 * ARGON["sigma"], smooth=True)
