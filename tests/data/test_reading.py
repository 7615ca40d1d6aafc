"""Files in, labels out: keys, units, signs, and what is refused."""

from __future__ import annotations

import gzip
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms
from ase.db import connect
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gnnpot import units
from gnnpot.data.keys import LabelKeys, label_keys
from gnnpot.data.reading import (
    check_finite,
    content_hash,
    is_isolated_atom,
    nonfinite,
    read_as_found,
    read_frames,
)
from gnnpot.errors import ConfigError, DataError

numbers = st.floats(-1e3, 1e3).filter(lambda x: x == 0 or abs(x) > 1e-6)
voigt = arrays(float, 6, elements=numbers)
VOLUME = 4.0 * 5.0 * 6.0


def write(path: Path, *comments: str, forces: str = "", columns: str = "") -> Path:
    """Frames of two atoms in a box of 120 Å³ with these comment lines."""
    rows = [f"{symbol} {x} 0 0 {forces}" for symbol, x in (("Si", 0.0), ("O", 1.6))]
    head = f'Lattice="4 0 0 0 5 0 0 0 6" Properties=species:S:1:pos:R:3{columns}'
    path.write_text("".join(f"2\n{head} {comment}\n" + "\n".join(rows) + "\n" for comment in comments))
    return path


def read_one(path: Path, **keys: str) -> Atoms:
    (atoms,) = read_frames([path], LabelKeys.model_validate(keys))
    return atoms


def full(v: np.ndarray) -> np.ndarray:
    return np.array([[v[0], v[5], v[4]], [v[5], v[1], v[3]], [v[4], v[3], v[2]]])


def words(values: np.ndarray) -> str:
    return " ".join(repr(float(value)) for value in np.ravel(values))


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


def test_constraints_do_not_zero_forces(tmp_path):
    atoms = Atoms("SiO", [[0, 0, 0], [1.6, 0, 0]], constraint=FixAtoms([0]))
    atoms.calc = SinglePointCalculator(atoms, forces=np.ones((2, 3)))
    ase.io.write(tmp_path / "a.traj", atoms)
    np.testing.assert_array_equal(read_one(tmp_path / "a.traj").get_forces(), np.ones((2, 3)))


def test_a_database_is_read_with_its_keys_and_data(tmp_path):
    atoms = Atoms("SiO", [[0, 0, 0], [1.6, 0, 0]], cell=[4, 5, 6], pbc=True)
    with connect(tmp_path / "a.db") as database:
        for energy in (1.0, 2.0):
            database.write(atoms, dft=energy, group="x", data={"f": np.full((2, 3), energy)})
    frames = list(read_frames([tmp_path / "a.db"], LabelKeys(energy="dft", forces="f")))
    assert [frame.get_potential_energy() for frame in frames] == [1, 2]
    assert frames[1].get_forces()[1, 2] == 2
    assert [(frame.info["group"], frame.info["origin"]) for frame in frames] == [
        ("x", f"{tmp_path}/a.db:1"),
        ("x", f"{tmp_path}/a.db:2"),
    ]


def test_compressed_files_blank_lines_and_other_columns_are_read(tmp_path):
    text = "1\nenergy=1 Properties=id:I:1:species:S:1:pos:R:3:fixed:L:1\n7 Si 0 0 1 T\n"
    text += "\n1\nenergy=2\nsi 0 0 2\n\n\n"
    (tmp_path / "a.xyz.gz").write_bytes(gzip.compress(text.encode()))
    frames = list(read_frames([tmp_path / "a.xyz.gz"]))
    assert [frame.get_potential_energy() for frame in frames] == [1, 2]
    assert [frame.positions[0, 2] for frame in frames] == [1, 2]
    assert frames[0].pbc.tolist() == [False] * 3


def test_frames_come_before_the_rest_of_the_file_is_read(tmp_path):
    path = write(tmp_path / "a.xyz", "energy=1")
    path.write_text(path.read_text() + "2\nenergy=2\nSi 0 0\n")
    frames = read_frames([path])
    assert next(frames).get_potential_energy() == 1
    with pytest.raises(DataError, match=r"a.xyz:2"):
        next(frames)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("empty.xyz", "", "empty"),
        ("blank.xyz", "\n\n", "got none"),
        ("text.xyz", "Dear all,\n", "'Dear all,' where the number of atoms belongs"),
        ("cut.xyz", "3\nenergy=1\nSi 0 0 0\n", r"cut.xyz:1"),
        ("element.xyz", "1\nenergy=1\nXy 0 0 0\n", "'Xy' where an element belongs"),
        ("word.xyz", "1\nenergy=1\nSi 0 zero 0\n", "zero"),
        ("short.xyz", "1\nProperties=species:S:1:pos:R:3:forces:R:3\nSi 0 0 0\n", "fewer columns"),
        ("none.xyz", "0\nenergy=1\n", r"none.xyz:1"),
        ("foreign.dat", "certainly no structure\n", "foreign.dat"),
        ("broken.traj", "no trajectory", "broken.traj"),
        ("broken.db", "no database at all", "broken.db"),
    ],
)
def test_a_file_that_holds_no_structures_is_one_line(tmp_path, name, content, words):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(DataError, match=words) as caught:
        list(read_frames([path]))
    assert "\n" not in str(caught.value)


def test_a_path_without_a_file_is_one_line(tmp_path):
    with pytest.raises(DataError, match=r"got nothing at .*missing.xyz"):
        list(read_frames([tmp_path / "missing.xyz"]))
    with pytest.raises(DataError, match="got a folder"):
        list(read_frames([tmp_path]))


@pytest.mark.parametrize(
    ("comment", "words"),
    [
        ('stress="1 2 3 4 5 6 7 8 9"', "a.xyz:1: expected a symmetric 'stress'.*keys.stress=none"),
        ('virial="1 2 3 4"', "expected 6 or 9 or 3×3 numbers as 'virial', got 4"),
        ("energy=low", "expected a number as 'energy'"),
        ('energy="1 2"', "'energy'"),
    ],
)
def test_a_label_of_the_wrong_shape_is_refused(tmp_path, comment, words):
    with pytest.raises(DataError, match=words):
        read_one(write(tmp_path / "a.xyz", comment))


def test_a_virial_without_a_volume_is_refused(tmp_path):
    (tmp_path / "a.xyz").write_text('2\nvirial="1 0 0 0 1 0 0 0 1"\nSi 0 0 0\nSi 0 0 2\n')
    with pytest.raises(DataError, match=r"a.xyz:1: expected a cell with a volume for 'virial'"):
        read_one(tmp_path / "a.xyz")


def test_a_number_that_is_not_finite_is_found_and_refused(tmp_path):
    path = write(tmp_path / "a.xyz", "energy=nan", forces="0 inf 0", columns=":forces:R:3")
    (atoms,) = read_as_found([path])
    assert atoms.info["unusable"] == {
        "energy": "NaN or infinity in energy",
        "forces": "NaN or infinity in forces",
    }
    assert atoms.calc is None
    with pytest.raises(DataError, match=r"a.xyz:1: NaN or infinity in energy"):
        read_one(path)
    atoms = read_one(write(path, "energy=1"))
    check_finite(atoms)
    atoms.positions[1, 2] = np.nan
    assert nonfinite(atoms) == ["positions"]
    with pytest.raises(DataError, match=r"expected finite positions in .*a.xyz:1"):
        check_finite(atoms)


@settings(deadline=None)
@given(st.integers(0, 2), st.sampled_from(["position", "cell", "pbc", "number", "labels", "tiny"]))
def test_the_content_hash_tells_structures_not_labels(axis, change):
    atoms = Atoms("SiO", [[0, 0, 0], [1.6, 0, 0]], cell=[4, 5, 6], pbc=True)
    other = atoms.copy()
    if change == "position":
        other.positions[1, axis] += 1e-4
    elif change == "cell":
        other.cell[axis, axis] += 1e-4
    elif change == "pbc":
        other.pbc[axis] = False
    elif change == "number":
        other.numbers[1] = 16
    elif change == "labels":
        other.calc = SinglePointCalculator(other, energy=1.0)
        other.info["group"] = "x"
    else:
        other.positions[0, axis] = -1e-9
    assert (content_hash(atoms) == content_hash(other)) == (change in ("labels", "tiny"))


def test_keys_are_read_from_words():
    assert label_keys(["energy=mine", "keys.stress_unit=kBar"]) == LabelKeys(
        energy="mine", stress_unit="kBar"
    )
    for words, message in (
        ("energy", "name=value"),
        ("enrgy=x", "did you mean 'energy'"),
        ("stress_unit=Pa", "GPa"),
    ):
        with pytest.raises(ConfigError, match=message):
            label_keys([words])


VASPRUN = """<?xml version="1.0"?>
<modeling><generator/><parameters/>
 <kpoints><varray name="kpointlist"><v>0 0 0</v></varray><varray name="weights"><v>1</v></varray></kpoints>
 <atominfo><atoms>2</atoms><types>1</types>
  <array name="atoms"><set><rc><c>Si</c><c>1</c></rc><rc><c>Si</c><c>1</c></rc></set></array>
  <array name="atomtypes"><set><rc><c>2</c><c>Si</c><c>28.085</c><c>4</c><c>Si</c></rc></set></array>
 </atominfo>
 <structure name="initialpos">{structure}</structure>
 <calculation><structure>{structure}</structure>
  <varray name="forces"><v>0.1 0 0</v><v>-0.1 0 0</v></varray>
  <varray name="stress"><v>1602.2 0 0</v><v>0 1602.2 0</v><v>0 0 1602.2</v></varray>
  <scstep>{energy}</scstep>{energy}
 </calculation>
</modeling>
"""
VASP_STRUCTURE = """<crystal><varray name="basis"><v>5 0 0</v><v>0 5 0</v><v>0 0 5</v></varray></crystal>
<varray name="positions"><v>0 0 0</v><v>0.25 0.25 0.25</v></varray>"""
VASP_ENERGY = """<energy><i name="e_fr_energy">-10.5</i><i name="e_wo_entrp">-10.4</i>
<i name="e_0_energy">-10.45</i></energy>"""


def test_an_output_of_vasp_is_read_in_our_units_and_signs(tmp_path):
    path = tmp_path / "vasprun.xml"
    path.write_text(VASPRUN.format(structure=VASP_STRUCTURE, energy=VASP_ENERGY))
    atoms = read_one(path)
    assert atoms.get_potential_energy() == -10.5  # the free energy, whose derivatives the forces are
    np.testing.assert_array_equal(atoms.get_forces(), [[0.1, 0, 0], [-0.1, 0, 0]])
    np.testing.assert_allclose(atoms.get_stress(), [-1, -1, -1, 0, 0, 0], rtol=1e-4)
