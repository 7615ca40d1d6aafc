"""Which files are meant: selections of frames, keys of a file, databases with units, runs of VASP."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from ase import Atoms
from ase.db import connect
from pydantic import TypeAdapter

from gnnpot import units
from gnnpot.data.checks.inspection import inspect
from gnnpot.data.database import unit_factor
from gnnpot.data.files import DataFile, DataFiles, sources
from gnnpot.data.keys import LabelKeys
from gnnpot.data.reading import read_as_found, read_frames
from gnnpot.errors import DataError
from gnnpot.training.run_config import RunConfig


def numbered(path: Path, count: int = 10, key: str = "energy") -> Path:
    """Frames whose energies are their numbers from 1."""
    path.write_text("".join(f"2\n{key}={n}\nSi 0 0 0\nSi 0 0 {2 + n / 100}\n" for n in range(1, count + 1)))
    return path


@pytest.mark.parametrize(
    "selection", ["::4", ":3", "7:", "2:8:3", "-1", "-3:", ":-8", "::-4", "5", "0", "-10", ":", "1:9:2"]
)
def test_a_selection_takes_the_frames_that_python_would(tmp_path, selection):
    path = numbered(tmp_path / "a.xyz")
    place = [int(word) if word else None for word in selection.split(":")]
    every = list(range(1, 11))
    expected = every[slice(*place)] if len(place) > 1 else [every[place[0]]]
    found = list(read_frames([f"{path}@{selection}"]))
    assert [atoms.get_potential_energy() for atoms in found] == expected
    assert [atoms.info["origin"] for atoms in found] == [f"{path}:{number}" for number in expected]


@pytest.mark.parametrize("selection", ["10", "-11", "20:", ":0"])
def test_a_selection_of_nothing_is_refused(tmp_path, selection):
    path = numbered(tmp_path / "a.xyz")
    with pytest.raises(DataError, match=r"expected frames .* of .*a.xyz, got none"):
        list(read_frames([f"{path}@{selection}"]))


@pytest.mark.parametrize("selection", ["1:2:3:4", "::0", "--1", "-"])
def test_a_selection_that_is_none_is_refused(selection):
    with pytest.raises(DataError, match=r"expected frames as in train.xyz@::4"):
        sources([f"a.xyz@{selection}"])


def test_a_file_whose_name_has_an_at_is_read_whole(tmp_path):
    path = numbered(tmp_path / "run@300.xyz")
    assert len(list(read_frames([path]))) == 10
    assert len(list(read_frames([f"{path}@:3"]))) == 3
    numbered(tmp_path / "a.xyz", 4)
    assert len(sources([tmp_path / "a.xyz@2"])) == 1
    (tmp_path / "a.xyz@2").touch()
    assert sources([tmp_path / "a.xyz@2"])[0].frames is None


def test_a_file_may_have_keys_of_its_own(tmp_path):
    files = [
        numbered(tmp_path / "a.xyz", 2, "dft"),
        DataFile(path=f"{numbered(tmp_path / 'b.xyz', 3, 'eam')}@1:", keys=LabelKeys(energy="eam")),
    ]
    frames = read_frames(files, LabelKeys(energy="dft", energy_unit="Hartree"))
    energies = [atoms.get_potential_energy() / units.Hartree for atoms in frames]
    assert energies == pytest.approx([1, 2, 2, 3])  # the unit is that of all files
    with pytest.raises(DataError, match=r"keys.energy = 'eamm' in some frame of .*b.xyz, got none"):
        list(read_frames([files[0], DataFile(path=str(tmp_path / "b.xyz"), keys=LabelKeys(energy="eamm"))]))


def test_files_with_keys_stand_in_a_configuration_and_come_back():
    text = """
    model: {kind: schnet}
    train: [a.xyz, {path: b.xyz@::2, keys: {energy: dft, stress_unit: GPa}}]
    validation: {path: c.xyz, keys: {forces: none}}
    test: d.xyz
    keys: {energy: mine}
    """
    config = RunConfig.from_dict(yaml.safe_load(text), source="run.yaml")
    keys = [source.keys for source in sources(config.train, config.keys)]
    assert [(one.energy, one.stress_unit) for one in keys] == [("mine", "eV/A^3"), ("dft", "GPa")]
    assert [str(file) for file in config.validation_files] == ["c.xyz"]
    written = config.written()
    assert written["train"] == [
        "a.xyz",
        {"path": "b.xyz@::2", "keys": {"energy": "dft", "stress_unit": "GPa"}},
    ]
    assert written["test"] == ["d.xyz"]
    assert RunConfig.from_dict(written, source="again") == config
    assert TypeAdapter(DataFiles).validate_python("a.xyz") == (DataFile(path="a.xyz"),)


def test_a_database_with_units_in_its_metadata_is_read_in_ours(tmp_path):
    atoms = Atoms("OH", [[0, 0, 0], [0, 0, 1.8]], cell=[8, 8, 8], pbc=True)
    forces = np.array([[0, 0, 1.0], [0, 0, -1.0]])
    with connect(tmp_path / "a.db") as database:
        data = {"energy": np.array([-75.0]), "forces": forces, "stress": np.full((1, 3, 3), 0.5)}
        database.write(atoms, data=data)
        database.metadata = {
            "_distance_unit": "Bohr",
            "_property_unit_dict": {"energy": "Hartree", "forces": "kcal/mol/Ang", "stress": "GPa"},
            "atomrefs": {},
        }
    (found,) = read_frames([tmp_path / "a.db"])
    assert found.get_potential_energy() == pytest.approx(-75 * units.Hartree)
    np.testing.assert_allclose(found.get_forces(), forces * units.kcal_per_mol)
    np.testing.assert_allclose(found.get_stress(), np.full(6, 0.5 * units.GPa))
    assert found.positions[1, 2] == pytest.approx(1.8 * units.Bohr)
    assert found.cell.lengths() == pytest.approx([8 * units.Bohr] * 3)
    with pytest.raises(
        DataError, match=r"no keys.energy_unit for 'energy' in .*a.db:1, as its file says .* Har"
    ):
        list(read_frames([tmp_path / "a.db"], LabelKeys(energy_unit="kcal/mol")))


@pytest.mark.parametrize(
    ("text", "factor"),
    [
        ("eV", 1.0),
        ("kcal/mol/Ang", units.kcal_per_mol),
        ("kJ/mol/nm", units.kcal_per_mol / 41.84),
        ("Hartree/Bohr", units.Hartree / units.Bohr),
        ("eV/Ang^3", 1.0),
        ("Ha/a0**3", units.Hartree / units.Bohr**3),
        ("GPa", units.GPa),
        ("1", 1.0),
    ],
)
def test_units_are_products_of_those_that_we_know(text, factor):
    assert unit_factor(text) == pytest.approx(factor)


@pytest.mark.parametrize("text", ["furlong", "eV//Ang", "", "eV/fortnight"])
def test_a_unit_that_nobody_knows_is_refused(tmp_path, text):
    with connect(tmp_path / "a.db") as database:
        database.write(Atoms("H"), data={"energy": np.array([1.0])})
        database.metadata = {"_property_unit_dict": {"energy": text}}
    with pytest.raises(DataError, match=r"a.db:1, got a unit '.*' in its metadata"):
        list(read_frames([tmp_path / "a.db"]))


STEP = """<calculation>{electronic}
 <structure><crystal><varray name="basis"><v>5 0 0</v><v>0 5 0</v><v>0 0 {c}</v></varray></crystal>
 <varray name="positions"><v>0 0 0</v><v>0.25 0.25 0.25</v></varray></structure>
 <varray name="forces"><v>0.1 0 0</v><v>-0.1 0 0</v></varray>
 <varray name="stress"><v>1 0 0</v><v>0 1 0</v><v>0 0 1</v></varray>{energy}</calculation>"""
ENERGY = (
    '<energy><i name="e_fr_energy">{0}</i><i name="e_wo_entrp">{0}</i><i name="e_0_energy">{0}</i></energy>'
)


def vasprun(path: Path, *steps: list[float]) -> Path:
    """A run of NELM = 4 and EDIFF = 1e-4 whose electronic steps have these energies."""
    structure = STEP.partition("<structure>")[2].partition("</structure>")[0].format(c=5)
    blocks = [
        STEP.format(
            electronic="".join(f"<scstep>{ENERGY.format(one)}</scstep>" for one in energies),
            energy=ENERGY.format(energies[-1]),
            c=5 + number / 100,
        )
        for number, energies in enumerate(steps)
    ]
    path.write_text(
        '<?xml version="1.0"?>\n<modeling><generator/>'
        '<kpoints><varray name="kpointlist"><v>0 0 0</v></varray>'
        '<varray name="weights"><v>1</v></varray></kpoints>'
        '<parameters><separator name="electronic"><i type="int" name="NELM">4</i>'
        '<i name="EDIFF">0.0001</i></separator></parameters>'
        '<atominfo><atoms>2</atoms><types>1</types><array name="atoms"><set><rc><c>Si</c><c>1</c></rc>'
        "<rc><c>Si</c><c>1</c></rc></set></array></atominfo>"
        f'<structure name="initialpos">{structure}</structure>{"".join(blocks)}</modeling>'
    )
    return path


def test_steps_of_vasp_that_did_not_converge_are_named(tmp_path):
    good, at_the_end, bad = [-9.0, -10.0, -10.00001], [-9, -9.5, -10.0, -10.00002], [-7, -8, -9, -10.0]
    path = vasprun(tmp_path / "vasprun.xml", good, at_the_end, bad, good)
    frames = list(read_as_found([path]))
    assert [atoms.info.get("unconverged", False) for atoms in frames] == [False, False, True, False]
    (sentence,) = (text for text in inspect(frames).warnings if "did not converge" in text)
    assert sentence.startswith(f"{path}:3: labels that did not converge")
