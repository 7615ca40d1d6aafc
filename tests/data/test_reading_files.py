"""Files as people have them are read, or refused in one line."""

from __future__ import annotations

import gzip

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms
from ase.db import connect
from hypothesis import given, settings
from hypothesis import strategies as st
from reading_examples import read_one, write

from gnnpot.data.keys import LabelKeys, label_keys
from gnnpot.data.reading import (
    check_finite,
    content_hash,
    nonfinite,
    read_as_found,
    read_frames,
)
from gnnpot.errors import ConfigError, DataError


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


def test_a_label_of_junk_is_told_in_part(tmp_path):
    with pytest.raises(DataError, match="numbers as 'stress', got ") as caught:
        read_one(write(tmp_path / "a.xyz", f'stress="1 2 {"x" * 5000}"'))
    assert len(str(caught.value).removeprefix(str(tmp_path))) < 400


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
