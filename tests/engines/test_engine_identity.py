"""What makes two labels of the same method."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from engine_examples import ESPRESSO
from reference_programs import (
    PSEUDOPOTENTIALS,
    needs_pw,
)

from gnnpot.engines import engine_of


def test_the_identity_follows_contents_and_not_paths(tmp_path):
    for name, text in (("a", "1"), ("b", "1"), ("c", "2")):
        (tmp_path / f"{name}.eam.fs").write_text(text)
    first, same, other = (
        engine_of({"kind": "eam", "file": tmp_path / f"{name}.eam.fs", "program": "matscipy"}).identity()
        for name in "abc"
    )
    assert first == same
    assert first != other


NAMING = {
    "argument": {"kind": "ase", "calculator_class": "x.Y", "arguments": {"potential": "potfile"}},
    "nested argument": {"kind": "ase", "calculator_class": "x.Y", "arguments": {"a": ["b 'potfile'"]}},
    "path with spaces": {"kind": "ase", "calculator_class": "x.Y", "arguments": {"a": "my files/potfile"}},
    "command": {
        "kind": "lammps", "pair_style": "zero 5", "pair_coeff": "* *", "types": ["Si"],
        "commands": ["include potfile"],
    },
    "coefficients": {"kind": "lammps", "pair_style": "sw", "pair_coeff": "* * potfile Si", "types": ["Si"]},
    "style": {"kind": "lammps", "pair_style": "reaxff potfile", "pair_coeff": "* *", "types": ["Si"]},
}  # fmt: skip


@pytest.mark.parametrize("name", NAMING)
def test_the_identity_follows_the_contents_of_every_file_that_is_named(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("my files").mkdir()
    identities = []
    for text in (None, "one", "two", "one"):
        if text is not None:
            Path("potfile").write_text(text)
            Path("my files/potfile").write_text(text)
        identities.append(json.dumps(engine_of(NAMING[name]).identity()))
    assert "potfile" in identities[0]
    assert len(set(identities)) == 3
    assert identities[1] == identities[3]


def test_what_a_calculator_writes_is_no_part_of_its_identity(tmp_path):
    section = {"kind": "ase", "calculator_class": "x.Y", "arguments": {"txt": str(tmp_path / "log.txt")}}
    before = engine_of(section).identity()
    (tmp_path / "log.txt").write_text("done")
    assert engine_of(section).identity() == before


def test_settings_that_change_no_result_are_not_part_of_the_identity():
    if not PSEUDOPOTENTIALS.is_dir():
        pytest.skip("needs the pseudopotentials of Debian's quantum-espresso-data")
    identities = [
        engine_of(ESPRESSO | change).identity()
        for change in ({}, {"command": "mpirun -n 4 pw.x"}, {"ecutwfc": 13.0})
    ]
    assert identities[0] == identities[1]
    assert identities[0] != identities[2]


@needs_pw
def test_labels_of_meshes_with_another_meaning_of_the_spacing_are_not_found():
    spaced, counted = (
        engine_of(ESPRESSO | mesh).identity() for mesh in ({"kpoints": None, "spacing": 0.3}, {})
    )
    assert spaced["spacing_unit"] == "1/Å with 2π"
    assert set(counted) == set(spaced) - {"spacing", "spacing_unit"} | {"kpoints"}
