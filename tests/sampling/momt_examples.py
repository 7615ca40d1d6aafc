"""What tests of multiorder-multithermal sampling share."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT

from gnnpot.sampling import (
    Bias,
    MeshConfig,
    MOMTConfig,
)
from gnnpot.sampling.momt.order import OrderConfig

FCC = OrderConfig(crystal="fcc", repeats=2).parameter()


PRESSURE = 0.01  # eV/Å³


NO_ORDER = {"order": {"first": -1, "last": 1, "nodes": 4}}


def copper(rattle: float = 0.15) -> Atoms:
    atoms = bulk("Cu", cubic=True) * (2, 2, 2)
    atoms.rattle(rattle, seed=0)
    return atoms


def rough_bias(atoms: Atoms, temperature: float = 1000.0) -> Bias:
    """A bias with slopes in both directions where ``atoms`` are, and clamped ones."""
    atoms.calc = EMT()
    middle = atoms.get_potential_energy() + PRESSURE * atoms.get_volume()
    mesh = MeshConfig.model_validate(
        {
            "enthalpy": {"first": middle - 5, "last": middle + 10, "nodes": 20},
            "order": {"first": -5, "last": 35, "nodes": 30},
            "coldest": 300,
            "hottest": 4000,
        }
    )
    bias = Bias(mesh, temperature)
    bias.deposited = np.random.default_rng(0).normal(scale=0.5, size=bias.deposited.shape)
    return bias


def momt_config(**settings) -> MOMTConfig:
    mesh = {"enthalpy": {"first": -1, "last": 6, "nodes": 30}, "coldest": 50, "hottest": 4000}
    mesh["order"] = {"first": -1, "last": 6, "nodes": 30}
    return MOMTConfig.model_validate(
        {
            "temperature": 300,
            "order": {"crystal": "fcc", "repeats": 1},
            "mesh": mesh,
            "steps": 60,
            "interval": 20,
            **settings,
        }
    )
