"""Vacancies, interstitials, surfaces and jumps: by hand, by known sites, by another way."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.constraints import FixScaled
from ase.optimize import BFGS
from reference_programs import needs_lammps, needs_zhang

from gnnpot.engines import calculator_from, engine_of
from gnnpot.errors import PropertyError
from gnnpot.properties.calculation import supercell
from gnnpot.properties.defects import DefectConfig, interstitials, vacancy, voids
from gnnpot.properties.migration import MigrationConfig, vacancy_migration
from gnnpot.properties.relaxation import relax_crystal
from gnnpot.properties.surfaces import SurfaceConfig, slabs, surface_energies
from gnnpot.sampling.crystals import crystal

SMALL = DefectConfig(size=7.0, force=0.02)


@pytest.fixture(scope="module")
def copper():
    return relax_crystal(EMT(), crystal("Cu")).atoms


def test_the_unrelaxed_vacancy_of_pairs_costs_the_cohesive_energy(short_argon):
    relaxed = relax_crystal(short_argon, crystal("Ar:fcc", bond=3.7))
    found = vacancy(short_argon, relaxed.atoms, config=DefectConfig(size=10.0, force=1e-3))
    assert found.unrelaxed == pytest.approx(-relaxed.energy, rel=1e-6)
    assert 0.9 * found.unrelaxed < found.relaxed < found.unrelaxed


@needs_lammps
def test_the_vacancy_of_silicon_finds_the_state_below_the_symmetric_one():
    words = {"kind": "lammps", "pair_style": "sw", "pair_coeff": "* * Si.sw Si", "types": ["Si"]}
    calculator = calculator_from(engine_of(words))
    found = vacancy(calculator, relax_crystal(calculator, crystal("Si")).atoms)
    assert found.unrelaxed == pytest.approx(4.3366, abs=1e-3)
    assert found.relaxed == pytest.approx(2.82, abs=0.03)  # of Stillinger and Weber's potential


def test_voids_of_fcc_are_octahedral_and_tetrahedral_and_those_of_diamond_the_known_two():
    assert list(voids(crystal("Cu"))) == ["6 at 1.80 Å", "4 at 1.56 Å"]
    assert list(voids(crystal("Si"))) == ["4 at 2.35 Å", "6 at 2.25 Å"]


@needs_zhang
def test_the_dumbbell_along_100_is_the_lowest_interstitial_of_nickel(zhang, nickel):
    found = interstitials(zhang, nickel.atoms, config=SMALL)
    assert found.lowest == "dumbbell 100"
    assert found.energies["dumbbell 100"] < found.energies["6 at 1.76 Å"]
    assert found.not_relaxed == {}


def test_the_barrier_of_a_jump_is_the_energy_of_the_atom_held_half_way(copper):
    config = MigrationConfig(size=7.0, force=1e-3, band_force=5e-3)
    found = vacancy_migration(EMT(), copper, config=config)
    halfway = supercell(copper, config.size)
    site = halfway.positions[0].copy()
    del halfway[0]
    ways = halfway.get_distances(0, range(len(halfway)), mic=True, vector=True) + halfway.positions[0] - site
    lengths = np.linalg.norm(halfway.cell.scaled_positions(ways) % 1, axis=1)
    assert len(lengths) == found.num_atoms
    jumping = next(
        number
        for number, atom in enumerate(halfway)
        if np.linalg.norm(atom.position - site) == pytest.approx(copper.cell[0, 0] / np.sqrt(2), rel=1e-3)
    )
    halfway.positions[jumping] = (halfway.positions[jumping] + site) / 2
    start = halfway.copy()
    start.positions[jumping] = 2 * halfway.positions[jumping] - site
    halfway.set_constraint(FixScaled(jumping))
    energies = []
    for atoms in (start, halfway):
        atoms.calc = EMT()
        BFGS(atoms, logfile=None).run(fmax=1e-3, steps=200)
        energies.append(atoms.get_potential_energy())
    assert found.barrier == pytest.approx(energies[1] - energies[0], abs=5e-3)
    assert found.energies[-1] == pytest.approx(0.0, abs=1e-4)
    assert found.energies.argmax() == len(found.energies) // 2


@pytest.mark.parametrize("indices", [(1, 0, 0), (1, 1, 0), (1, 1, 1), (2, 1, 0), (-1, 1, 2)])
@pytest.mark.parametrize("word", ["Si", "Cu", "Mg"])
def test_slabs_are_whole_crystals_with_vacuum_above(word, indices):
    from gnnpot.properties.correlations import coordination_numbers
    from gnnpot.sampling.crystals import bond_length

    atoms = crystal(word)
    bond = bond_length(atoms)
    usual = coordination_numbers([atoms], reach=1.02 * bond).max()
    for cut in slabs(atoms, indices, SurfaceConfig(thickness=18.0)):
        assert len(cut) % len(atoms) == 0 or len(cut) > len(atoms)
        assert bond_length(cut) == pytest.approx(bond, abs=1e-3)
        heights = cut.get_scaled_positions()[:, 2] * np.linalg.norm(cut.cell[2])
        middle = int(np.abs(heights - heights.mean()).argmin())
        numbers = coordination_numbers([cut], reach=1.02 * bond)[0]
        assert numbers[middle] == usual
        assert numbers.min() < usual
        assert np.ptp(heights) == pytest.approx(np.linalg.norm(cut.cell[2]) - 12.0, abs=1e-6)


def test_unrelaxed_surfaces_of_stillinger_weber_cost_their_broken_bonds(stillinger_weber, silicon):
    length = silicon.as_dict()["a"]
    found = surface_energies(stillinger_weber, silicon.atoms)
    bond_energy = -silicon.energy / 2 * 16.02176634  # J/m² times Å²; two bonds an atom
    broken = {"100": 4 / length**2, "110": 4 / (np.sqrt(2) * length**2), "111": 4 / (np.sqrt(3) * length**2)}
    for name, bonds_per_area in broken.items():
        assert found.unrelaxed[name] == pytest.approx(bonds_per_area * bond_energy / 2, rel=1e-3)


@needs_zhang
def test_closest_packed_surfaces_of_nickel_cost_least_and_relaxation_lowers_all(zhang, nickel):
    found = surface_energies(zhang, nickel.atoms)
    assert found.relaxed["111"] < found.relaxed["100"] < found.relaxed["110"]
    assert all(found.relaxed[name] < found.unrelaxed[name] for name in found.relaxed)


def test_low_indices_of_hexagonal_crystals_have_the_basal_plane():
    from gnnpot.properties.surfaces import _low_indices

    assert _low_indices(crystal("Mg"))[0] == (0, 0, 1)
    assert _low_indices(crystal("Cu")) == ((1, 0, 0), (1, 1, 0), (1, 1, 1))


def test_defects_of_compounds_and_of_slabs_are_refused():
    compound = crystal("NiAl:B2")
    with pytest.raises(PropertyError, match="expected one element for a vacancy, got Al, Ni"):
        vacancy(EMT(), compound)
    with pytest.raises(PropertyError, match="expected one element for an interstitial"):
        interstitials(EMT(), compound)
    slab = bulk("Cu", cubic=True) * (1, 1, 3)
    slab.center(vacuum=10, axis=2)
    with pytest.raises(PropertyError, match="expected a crystal for a vacancy"):
        vacancy(EMT(), slab)
    with pytest.raises(PropertyError, match="expected a crystal for surface energies"):
        surface_energies(EMT(), slab)
