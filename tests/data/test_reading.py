"""Files in, labels out: keys, units, signs, and what is refused."""

from __future__ import annotations

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from reading_examples import read_one, words, write

from gnnpot import units
from gnnpot.data.keys import LabelKeys
from gnnpot.data.reading import (
    content_hash,
    is_isolated_atom,
    read_frames,
)
from gnnpot.errors import DataError

numbers = st.floats(-1e3, 1e3).filter(lambda x: x == 0 or abs(x) > 1e-6)


voigt = arrays(float, 6, elements=numbers)


VOLUME = 4.0 * 5.0 * 6.0


def full(v: np.ndarray) -> np.ndarray:
    return np.array([[v[0], v[5], v[4]], [v[5], v[1], v[3]], [v[4], v[3], v[2]]])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    stress=voigt,
    form=st.sampled_from([full, lambda v: v]),
    name=st.sampled_from(["stress", "REF_stress", "mine"]),
)
def test_stress_is_the_same_in_every_form_and_under_every_key(tmp_path, stress, form, name):
    path = write(tmp_path / "a.xyz", f'{name}="{words(form(stress))}"')
    atoms = read_one(path, **({"stress": "mine"} if name == "mine" else {}))
    np.testing.assert_allclose(atoms.get_stress(), stress, rtol=1e-14)
    assert atoms.info["label_keys"] == {"stress": name}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    stress=voigt,
    form=st.sampled_from([full, lambda v: v]),
    name=st.sampled_from(["virial", "virials", "REF_virial"]),
)
def test_a_virial_is_minus_volume_times_stress(tmp_path, stress, form, name):
    path = write(tmp_path / "a.xyz", f'{name}="{words(form(-VOLUME * stress))}"')
    np.testing.assert_allclose(read_one(path).get_stress(), stress, rtol=1e-12)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=20)
@given(energy=numbers, stress=voigt, forces=arrays(float, (2, 3), elements=numbers))
def test_what_ase_writes_is_read_back(tmp_path, energy, stress, forces):
    atoms = Atoms("SiO", [[0, 0, 0], [1.6, 0, 0]], cell=[4, 5, 6], pbc=True)
    atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces, stress=stress)
    for name in ("a.extxyz", "a.traj", "a.json"):
        ase.io.write(tmp_path / name, atoms)
        again = read_one(tmp_path / name)
        assert again.get_potential_energy() == pytest.approx(energy, rel=1e-7, abs=1e-7)
        np.testing.assert_allclose(again.get_forces(), forces, atol=1e-7)
        np.testing.assert_allclose(again.get_stress(), stress, rtol=1e-7, atol=1e-12)


def test_the_shared_sets_are_read_as_ase_reads_them(shared):
    paths = [shared / "mlearn_Si_test.xyz", shared / "mlearn_Ni_test.xyz"]
    frames = list(read_frames(paths))
    expected = [atoms for path in paths for atoms in ase.io.iread(path)]
    assert len(frames) == len(expected) == 56
    for atoms, other in zip(frames, expected, strict=True):
        assert content_hash(atoms) == content_hash(other)
        assert atoms.info["group"] == other.info["group"]
        for name, value in other.calc.results.items():
            np.testing.assert_array_equal(atoms.calc.results[name], value)


def test_a_named_key_comes_before_ref_and_ref_before_the_rest(tmp_path):
    path = write(tmp_path / "a.xyz", "energy=1 REF_energy=2 mine=3")
    assert read_one(path, energy="mine").get_potential_energy() == 3
    assert read_one(path).get_potential_energy() == 2
    assert read_one(path).info["label_keys"] == {"energy": "REF_energy"}
    assert read_one(write(path, "energy=1")).get_potential_energy() == 1


def test_forces_are_read_from_any_column(tmp_path):
    path = write(tmp_path / "a.xyz", "energy=1", forces="1 2 3 4 5 6", columns=":REF_forces:R:3:mine:R:3")
    np.testing.assert_array_equal(read_one(path).get_forces(), [[1, 2, 3]] * 2)
    np.testing.assert_array_equal(read_one(path, forces="mine").get_forces(), [[4, 5, 6]] * 2)


def test_the_energy_is_the_one_whose_derivatives_are_the_forces(tmp_path):
    path = write(tmp_path / "a.xyz", "energy=1 free_energy=2", forces="1 2 3", columns=":forces:R:3")
    assert read_one(path).get_potential_energy() == 2
    assert read_one(path).info["label_keys"]["energy"] == "free_energy"
    assert read_one(path, energy="energy").get_potential_energy() == 1
    assert read_one(write(path, "energy=1 free_energy=2")).get_potential_energy() == 1  # no forces


@pytest.mark.parametrize(
    ("energies", "forces", "expected"),
    [
        ("energy free_energy", "force", "free_energy"),
        ("Energy free_energy", "forces", "free_energy"),
        ("REF_energy energy free_energy", "forces", "REF_energy"),
        ("energy free_energy", "REF_forces", "energy"),
        ("energy free_energy", "none", "energy"),
        ("free_energy", "none", "free_energy"),
        ("free_energy", "REF_forces", "free_energy"),
    ],
)
def test_the_free_energy_comes_before_the_energy_beside_forces_and_after_it_without(
    tmp_path, energies, forces, expected
):
    comment = " ".join(f"{name}={number}" for number, name in enumerate(energies.split()))
    atoms = read_one(write(tmp_path / "a.xyz", comment, forces="1 2 3", columns=f":{forces}:R:3"))
    assert atoms.info["label_keys"]["energy"] == expected
    assert atoms.get_potential_energy() == energies.split().index(expected)
    assert "free_energy" not in atoms.info


def test_a_named_key_that_no_frame_has_is_an_error_that_suggests_one(tmp_path):
    path = write(tmp_path / "a.xyz", "dft_energy=1", "dft_energy=2")
    with pytest.raises(
        DataError, match=r"keys.energy = 'dft_enrgy' in some frame.*did you mean 'dft_energy'"
    ):
        list(read_frames([path], LabelKeys(energy="dft_enrgy")))


def test_a_named_key_may_be_in_some_frames_only(tmp_path):
    path = write(tmp_path / "a.xyz", "mine=1", "temperature=300")
    first, second = read_frames([path], LabelKeys(energy="mine"))
    assert first.calc.results == {"energy": 1.0}
    assert second.calc is None
    assert second.info["temperature"] == 300


@pytest.mark.parametrize(
    ("keys", "factor"),
    [
        ({"stress_unit": "GPa"}, units.GPa),
        ({"stress_unit": "kBar", "stress_sign": "pressure"}, -units.kBar),
        ({"stress_unit": "eV/Å^3"}, 1.0),
    ],
)
def test_stress_is_converted_by_unit_and_sign(tmp_path, keys, factor):
    path = write(tmp_path / "a.xyz", 'stress="1 2 3 4 5 6"')
    np.testing.assert_allclose(read_one(path, **keys).get_stress(), factor * np.arange(1, 7))


def test_energy_and_forces_are_converted_by_their_units(tmp_path):
    path = write(tmp_path / "a.xyz", "energy=2", forces="1 0 0", columns=":forces:R:3")
    atoms = read_one(path, energy_unit="Hartree", forces_unit="Hartree/Bohr")
    assert atoms.get_potential_energy() == pytest.approx(54.422772)
    assert atoms.get_forces()[0, 0] == pytest.approx(51.422067)


def test_a_virial_of_the_other_sign_is_read_with_its_unit(tmp_path):
    path = write(tmp_path / "a.xyz", 'w="1 0 0 0 0 0"')
    atoms = read_one(path, virial="w", virial_sign="tension", energy_unit="Hartree")
    assert atoms.get_stress()[0] == pytest.approx(units.Hartree / VOLUME)


def test_weights_multiply_and_survive_a_second_reading(tmp_path):
    path = write(
        tmp_path / "a.xyz", "config_weight=2 config_forces_weight=3 config_virials_weight=0 energy=1"
    )
    weights = {"energy_weight": 2.0, "forces_weight": 6.0, "stress_weight": 0.0}
    atoms = read_one(path)
    assert weights.items() <= atoms.info.items()
    ase.io.write(tmp_path / "b.extxyz", atoms)
    assert weights.items() <= read_one(tmp_path / "b.extxyz").info.items()


@pytest.mark.parametrize("weight", ["-1", "nan", "inf", "much", "[1,2]"])
def test_a_weight_that_is_none_is_refused(tmp_path, weight):
    path = write(tmp_path / "a.xyz", f"config_weight={weight}")
    with pytest.raises(DataError, match=r"config_weight.*a.xyz:1"):
        read_one(path)


def test_the_group_is_the_named_key_or_group_or_config_type(tmp_path):
    path = write(tmp_path / "a.xyz", "group=g config_type=c mine=7")
    assert read_one(path).info["group"] == "g"
    assert read_one(path, group="mine").info["group"] == "7"
    assert read_one(write(path, "config_type=c")).info["group"] == "c"
    assert read_one(write(path, "energy=1")).info["group"] == ""


def test_only_a_single_atom_so_called_is_an_isolated_atom():
    assert is_isolated_atom(Atoms("Si", info={"config_type": "IsolatedAtom"}))
    assert not is_isolated_atom(Atoms("Si2", info={"config_type": "IsolatedAtom"}))
    assert not is_isolated_atom(Atoms("Si"))


def test_an_isolated_atom_is_known_under_any_key_of_the_group(tmp_path):
    path = tmp_path / "a.xyz"
    path.write_text("1\nconfig_type=isolated_atom group=g mine=IsolatedAtom energy=1\nSi 0 0 0\n")
    for keys in ({}, {"group": "config_type"}, {"group": "mine"}):
        assert is_isolated_atom(read_one(path, **keys))
    path.write_text("1\nmine=IsolatedAtom energy=1\nSi 0 0 0\n")
    assert is_isolated_atom(read_one(path, group="mine"))
    assert not is_isolated_atom(read_one(path))
