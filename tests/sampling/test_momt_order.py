"""Order parameters of crystals, and their derivatives."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import iread
from momt_examples import FCC, copper

from gnnpot.sampling.momt.order import OrderConfig


@pytest.mark.parametrize("repeats", [1, 2, 3])
@pytest.mark.parametrize("crystal", ["fcc", "bcc", "sc"])
def test_a_perfect_crystal_has_order_n(crystal, repeats):
    atoms = bulk("Ni", crystal, a=3.5, cubic=True) * repeats
    order = OrderConfig(crystal=crystal, repeats=repeats).parameter()(atoms)
    assert order.value == pytest.approx(len(atoms))


def test_diamond_and_zinc_blende_have_half():
    order = OrderConfig(crystal="diamond", repeats=2).parameter()
    for atoms in (bulk("Si", cubic=True) * 2, bulk("ZnS", "zincblende", a=5.4, cubic=True) * 2):
        assert order(atoms).value == pytest.approx(len(atoms) / 2)


def test_one_crystal_is_no_order_of_another():
    atoms = bulk("Ni", "fcc", a=3.5, cubic=True) * 2
    for other in ("bcc", "sc"):
        assert OrderConfig(crystal=other, repeats=2).parameter()(atoms).value == pytest.approx(0, abs=1e-9)


def test_random_atoms_have_order_one():
    rng = np.random.default_rng(0)
    values = [
        FCC(Atoms("Ni32", scaled_positions=rng.random((32, 3)), cell=[7, 7, 7], pbc=True)).value
        for _ in range(400)
    ]
    assert np.mean(values) == pytest.approx(1, abs=0.1)


def test_order_knows_neither_origin_nor_strain():
    atoms = copper(0.2)
    moved, strained, imaged = atoms.copy(), atoms.copy(), atoms.copy()
    moved.positions += [0.3, -1.2, 0.7]
    strained.set_cell(atoms.cell.array @ (np.eye(3) * 1.07 + [[0, 0.1, 0], [0, 0, 0], [0.05, 0, 0]]), True)
    imaged.positions[3] += atoms.cell[0] - atoms.cell[2]
    for other in (moved, strained, imaged):
        assert FCC(other).value == pytest.approx(FCC(atoms).value, rel=1e-10)


@pytest.mark.parametrize("crystal", ["fcc", "bcc", "sc", "diamond"])
def test_the_gradient_of_order_is_its_derivative(crystal):
    order = OrderConfig(crystal=crystal, repeats=(2, 1, 3)).parameter()
    atoms = copper(0.2)
    atoms.set_cell(atoms.cell.array + [[0, 0, 0], [0.4, 0, 0], [0.1, -0.3, 0]], scale_atoms=True)
    gradient = order(atoms).gradient
    for index, axis in ((0, 0), (7, 1), (30, 2)):
        atoms.positions[index, axis] += 1e-5
        above = order(atoms).value
        atoms.positions[index, axis] -= 2e-5
        below = order(atoms).value
        atoms.positions[index, axis] += 1e-5
        assert gradient[index, axis] == pytest.approx((above - below) / 2e-5, abs=1e-6)


def test_the_published_nickel_frames_are_spread_over_order(shared):
    frames = [atoms for atoms in iread(shared / "ni_eam_train.xyz") if atoms.info["group"] == "MOMT"]
    values = np.array([FCC(atoms).value for atoms in frames])
    counts, _ = np.histogram(values, bins=np.arange(0, 26, 2))
    assert len(values) == 1600
    assert 0.05 < values.min() < 0.1
    assert 28 < values.max() < 30
    assert counts[0] == 260
    assert (counts[1:].min(), counts[1:].max()) == (90, 143)
