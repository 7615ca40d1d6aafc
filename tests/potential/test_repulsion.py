"""The short-range repulsion."""

from __future__ import annotations

import math

import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule
from potentials import small_potential

from gnnpot import GNNPotCalculator
from gnnpot.graph.graph import AtomicGraph
from gnnpot.potential.repulsion import ZBLRepulsion, screened_repulsion


def energy(atoms: Atoms) -> float:
    graph = AtomicGraph.from_ase(atoms, 5.0, torch.float64)
    return ZBLRepulsion().atomic_energies(graph, 5.0).sum().item()


def test_the_energy_of_two_nuclei_is_that_worked_out_by_hand():
    r, x = 0.5, 0.5 * 2 * 14**0.23 / 0.46850
    terms = ((0.18175, 3.1998), (0.50986, 0.94229), (0.28022, 0.4029), (0.02817, 0.20162))
    expected = 14.399645 * 14 * 14 / r * sum(c * math.exp(-d * x) for c, d in terms)
    value = screened_repulsion(torch.tensor([r]).double(), torch.tensor([14]), torch.tensor([14]))
    assert value.item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("atoms", [bulk("Si"), bulk("Ni"), molecule("CH3CH2OH"), molecule("H2")], ids=str)
def test_it_is_zero_at_bond_lengths(atoms):
    assert energy(atoms) == 0.0


def test_it_ends_smoothly():
    reach = 0.8 * 2 * 1.11
    near, at = (
        energy(Atoms("Si2", [[0, 0, 0], [0, 0, reach - 1e-3]])),
        energy(Atoms("Si2", [[0, 0, 0], [0, 0, reach]])),
    )
    assert at == 0.0
    assert 0 < near < 1e-5


@pytest.mark.parametrize("distance", [3.4, 3.45, 3.55, 3.6])
def test_it_ends_with_the_cutoff_of_the_model_whatever_the_skin(distance):
    potential = small_potential(elements=("Cs",), cutoff=3.5)
    atoms = Atoms("Cs2", [[0, 0, 0], [0, 0, distance]])
    assert 0.8 * 2 * 2.44 > 3.6  # where it would end beside a model that sees farther
    energies = []
    for skin in (0.0, 0.3, 1.0):
        atoms.calc = GNNPotCalculator(potential, skin=skin)
        energies.append(atoms.get_potential_energy())
    assert energies == pytest.approx(energies[:1] * 3, abs=1e-9)
    graph = AtomicGraph.from_ase(atoms, 5.0, torch.float64)
    assert (potential.repulsion.atomic_energies(graph, 3.5).sum().item() > 0) == (distance < 3.5)


def test_it_holds_atoms_apart():
    assert energy(Atoms("Si2", [[0, 0, 0], [0, 0, 0.8]])) > 50
