"""Distances, angles and displacements of systems whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule

from gnnpot.errors import PropertyError
from gnnpot.properties.correlations import (
    angular_distribution,
    coordination_numbers,
    mean_square_displacement,
    radial_distribution,
)
from gnnpot.sampling.crystals import crystal


def gas(rng: np.random.Generator) -> Atoms:
    return Atoms("Ar400He200", rng.random((600, 3)) * 20, cell=[20] * 3, pbc=True)


def test_the_radial_distribution_of_an_ideal_gas_is_one():
    rng = np.random.default_rng(0)
    found = radial_distribution([gas(rng) for _ in range(20)], reach=9.5, num_bins=19)
    np.testing.assert_allclose(found.total[4:], 1.0, atol=0.02)
    assert found.total[4:].mean() == pytest.approx(1.0, abs=0.005)
    assert set(found.partial) == {"Ar-Ar", "Ar-He", "He-He"}
    for values in found.partial.values():
        assert values[4:].mean() == pytest.approx(1.0, abs=0.02)


def test_peaks_of_a_crystal_count_its_neighbors():
    atoms = crystal("Cu")
    found = radial_distribution([atoms], reach=4.0, num_bins=400)
    density = len(atoms) / atoms.get_volume()
    shells = 4 / 3 * np.pi * np.diff(np.linspace(0, 4.0, 401) ** 3)
    first = found.distances < 3.0
    assert (found.total * shells * density)[first].sum() == pytest.approx(12)
    assert (found.total * shells * density)[~first].sum() == pytest.approx(6)
    assert found.first_peak == pytest.approx(3.61 / np.sqrt(2), abs=0.01)
    assert coordination_numbers([atoms], reach=3.0).tolist() == [[12] * 4]


def test_angles_of_diamond_are_tetrahedral_and_those_of_a_square_lattice_right():
    found = angular_distribution([crystal("Si")], reach=2.5, num_bins=180)
    assert found.mean == pytest.approx(109.47, abs=0.5)
    assert found.density.sum() == pytest.approx(1.0)
    simple = angular_distribution([crystal("Cu:sc", bond=2.5)], reach=2.6, num_bins=18)
    middles = simple.angles[simple.density > 0]
    np.testing.assert_allclose(middles, [95, 175])  # 12 right angles, 3 straight ones
    np.testing.assert_allclose(simple.density[simple.density > 0] * 10, [12 / 15, 3 / 15])


def test_a_random_walk_diffuses_as_it_steps():
    rng = np.random.default_rng(1)
    walk = np.cumsum(rng.normal(size=(600, 200, 3)), axis=0) * 0.1
    frames = [Atoms("Ar200", positions) for positions in walk]
    found = mean_square_displacement(frames, interval=10.0)
    assert found.squares[1] == pytest.approx(0.03, rel=0.02)
    assert found.diffusion == pytest.approx(0.03 / 6 / 0.01, rel=0.1)
    assert found.times[1] == pytest.approx(0.01)


def test_a_drift_of_all_atoms_is_no_displacement():
    frames = [Atoms("Ar2", [[step, 0, 0], [step + 4, 0, 0]]) for step in range(10)]
    assert mean_square_displacement(frames, interval=1.0).squares.max() == pytest.approx(0.0)


def test_what_has_no_cell_or_no_bonds_is_refused():
    with pytest.raises(PropertyError, match="three periodic directions for a radial distribution"):
        radial_distribution([molecule("H2O")], reach=4)
    with pytest.raises(PropertyError, match="two neighbors within 1 Å"):
        angular_distribution([crystal("Cu")], reach=1.0)
    with pytest.raises(PropertyError, match="expected frames of one run"):
        mean_square_displacement([crystal("Cu")], interval=1)
