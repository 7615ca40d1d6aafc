"""Labels that do not count: weights of zero, dropped keys, masks, and values that are none."""

from __future__ import annotations

from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms, FixCartesian

from gnnpot.data.checks.inspection import inspect
from gnnpot.data.keys import LabelKeys
from gnnpot.data.reading import read_as_found, read_frames
from gnnpot.data.store import GraphStore
from gnnpot.errors import DataError
from gnnpot.graph.graph import label_arrays

FORCES = np.array([[0.0, 0, 0], [0, 0, 0], [1, 2, 3], [-1, 0, 2]])


def slab(*, forces: np.ndarray = FORCES, **info: object) -> Atoms:
    """Four atoms of copper, of which the first two have no force."""
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.05, seed=1)
    atoms.info = info
    atoms.calc = SinglePointCalculator(atoms, energy=-3.0, forces=forces, stress=np.full(6, 0.01))
    return atoms


def read(path: Path, *frames: Atoms, **keys: str) -> Atoms:
    ase.io.write(path, frames)
    (atoms,) = read_frames([path], LabelKeys.model_validate(keys))
    return atoms


@pytest.mark.parametrize(
    ("weight", "left"),
    [
        ("config_energy_weight", {"forces", "stress"}),
        ("config_forces_weight", {"energy", "stress"}),
        ("config_stress_weight", {"energy", "forces"}),
        ("config_virials_weight", {"energy", "forces"}),
        ("config_weight", set()),
    ],
)
def test_a_label_of_weight_zero_is_not_there(tmp_path, weight, left):
    atoms = read(tmp_path / "a.xyz", slab(**{weight: 0.0}))
    assert set(label_arrays(atoms)) == set(atoms.info["label_keys"]) == left


def test_a_worthless_label_of_weight_zero_is_not_even_looked_at(tmp_path):
    path = tmp_path / "a.xyz"
    path.write_text('1\nenergy=broken stress="inf 0 0 0 0 0" config_weight=0\nSi 0 0 0\n')
    (atoms,) = read_frames([path])
    assert atoms.calc is None
    assert inspect([atoms]).faults == ()


@pytest.mark.parametrize(
    ("keys", "left"),
    [
        ({"energy": "none"}, {"forces", "stress"}),
        ({"forces": "none"}, {"energy", "stress"}),
        ({"stress": "none"}, {"energy", "forces"}),
        ({"virial": "none"}, {"energy", "forces", "stress"}),
    ],
)
def test_none_in_place_of_a_key_drops_the_label(tmp_path, keys, left):
    assert set(label_arrays(read(tmp_path / "a.xyz", slab(), **keys))) == left


def test_no_virial_leaves_the_stress_and_no_stress_leaves_a_named_virial(tmp_path):
    atoms = slab(virial=-np.eye(3), REF_virial=-2 * np.eye(3))
    volume = atoms.get_volume()
    pressure = {
        words: read(tmp_path / "a.xyz", atoms, **keys).get_stress()[0] * volume
        for words, keys in {
            "the REF_virial": {},
            "the stress": {"virial": "none"},
            "the virial": {"stress": "none", "virial": "virial"},
        }.items()
    }
    assert pressure == pytest.approx({"the REF_virial": 2, "the stress": 0.01 * volume, "the virial": 1})


def test_a_label_that_cannot_be_used_stops_only_who_needs_it(shared):
    path = shared.parent / "cases" / "unusable_stress_cannot_be_ignored" / "inf_stress.xyz"
    with pytest.raises(DataError, match=r"inf_stress.xyz:1: NaN or infinity in stress; .*keys.stress=none"):
        next(read_frames([path]))
    first = next(read_frames([path], needed=("energy", "forces")))
    assert set(label_arrays(first)) == {"energy", "forces"}
    assert len(list(read_frames([path], LabelKeys(stress="none")))) == 10
    trained_on_all = inspect(read_as_found([path]))
    assert "inf_stress.xyz:1: NaN or infinity in stress" in trained_on_all.faults[0]
    trained_on_forces = inspect(read_as_found([path]), trained=("energy", "forces"))
    assert trained_on_forces.faults == ()
    assert "it is left out, as stress is not trained" in trained_on_forces.warnings[0]


@pytest.mark.parametrize(
    ("mask", "keys", "counted"),
    [
        ([False, True, True, True], {}, [0, 3, 3, 3]),  # by its default name
        ([False, True, True, True], {"forces_mask": "mine"}, [0, 3, 3, 3]),
        ([1, 0, 0, 0], {"forces_mask": "not mine"}, [0, 3, 3, 3]),
        ([[1, 1, 0]] * 4, {"forces_mask": "mine"}, [2, 2, 2, 2]),
        ([False, True, True, True], {"forces_mask": "none"}, [3, 3, 3, 3]),
    ],
)
def test_a_mask_says_which_forces_count(tmp_path, mask, keys, counted):
    atoms = slab()
    atoms.set_array("mine" if keys else "forces_mask", np.array(mask))
    forces = read(tmp_path / "a.xyz", atoms, **keys).get_forces()
    assert (~np.isnan(forces)).sum(axis=1).tolist() == counted
    np.testing.assert_array_equal(forces[~np.isnan(forces)], FORCES[~np.isnan(forces)])


def test_a_mask_of_a_frame_takes_or_leaves_all_forces(tmp_path):
    kept = read(tmp_path / "a.xyz", slab(good=True), forces_mask="good")
    np.testing.assert_array_equal(kept.get_forces(), FORCES)
    left = read(tmp_path / "a.xyz", slab(good=False), forces_mask="good")
    assert set(label_arrays(left)) == {"energy", "stress"}
    assert left.info["forces_weight"] == 0


def test_a_mask_that_is_none_is_refused(tmp_path):
    with pytest.raises(
        DataError, match=r"expected T or F as 'mine' in .*a.xyz:1, once or for each atom, got 7"
    ):
        read(tmp_path / "a.xyz", slab(mine=7), forces_mask="mine")
    with pytest.raises(DataError, match=r"keys.forces_mask = 'fixd' in some frame"):
        read(tmp_path / "a.xyz", slab(fixed=True), forces_mask="not fixd")


@pytest.mark.parametrize("name", ["a.xyz", "a.traj"])
def test_zeros_on_atoms_that_a_constraint_holds_do_not_count(tmp_path, name):
    atoms = slab()
    atoms.set_constraint(FixAtoms([0, 1]))
    forces = read(tmp_path / name, atoms).get_forces()
    assert np.isnan(forces[:2]).all()
    np.testing.assert_array_equal(forces[2:], FORCES[2:])
    report = inspect(read_as_found([tmp_path / name]))
    assert any("forces of exactly zero on atoms that" in text for text in report.warnings)
    assert read(tmp_path / name, atoms, forces_mask="none").get_forces().any(axis=1).sum() == 2


def test_true_forces_on_held_atoms_count_and_so_do_those_of_a_perfect_crystal(tmp_path):
    atoms = slab(forces=FORCES + 0.1)
    atoms.set_constraint(FixAtoms([0, 1]))
    np.testing.assert_allclose(read(tmp_path / "a.xyz", atoms).get_forces(), FORCES + 0.1)
    atoms = slab(forces=np.zeros((4, 3)))
    atoms.set_constraint(FixAtoms([0]))
    assert not read(tmp_path / "a.xyz", atoms).get_forces().any()


def test_a_component_that_is_held_is_one_component(tmp_path):
    atoms = slab()
    atoms.set_constraint(FixCartesian(0, mask=(True, False, True)))
    forces = read(tmp_path / "a.traj", atoms).get_forces()
    assert np.isnan(forces[0]).tolist() == [True, False, True]
    assert not np.isnan(forces[1:]).any()


def test_a_mask_is_kept_in_graphs_and_when_frames_are_written_again(tmp_path):
    atoms = slab()
    atoms.set_constraint(FixAtoms([0, 1]))
    first = read(tmp_path / "a.xyz", atoms)
    again = read(tmp_path / "b.xyz", first)
    np.testing.assert_array_equal(again.get_forces(), first.get_forces())
    store = GraphStore.in_memory([again], 3.0)
    np.testing.assert_array_equal(store.forces, first.get_forces())


def test_masses_and_initial_charges_stay_with_the_atoms(tmp_path):
    atoms = slab()
    atoms.set_masses([2.0, 63.0, 64.0, 65.0])
    atoms.set_initial_charges([1.0, 0, 0, -1.0])
    for name in ("a.xyz", "a.traj", "a.db"):
        found = read(tmp_path / name, atoms)
        assert found.get_masses().tolist() == [2, 63, 64, 65]
        assert found.get_initial_charges().tolist() == [1, 0, 0, -1]
    atoms.arrays["masses"] = np.zeros(4)
    with pytest.raises(DataError, match=r"expected masses of the atoms as 'masses' in .*a.xyz:1, got \[0.0"):
        read(tmp_path / "a.xyz", atoms)
