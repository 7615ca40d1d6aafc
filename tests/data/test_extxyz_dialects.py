"""Extended XYZ as people write it: every spelling gives the same frames, or one line that says why not."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gnnpot.data.checks.inspection import inspect
from gnnpot.data.reading import content_hash, is_isolated_atom, read_as_found, read_frames
from gnnpot.errors import DataError

numbers = st.floats(-50, 50).map(lambda x: round(x, 6))
NAMES = {
    "Lattice": ("Lattice", "lattice", "LATTICE"),
    "Properties": ("Properties", "properties", "PROPERTIES"),
    "pbc": ("pbc", "PBC", "Pbc"),
}
TRUTHS = ('"T T T"', "[T, T, T]", '"True True True"', '"1 1 1"', "T", "TTT")


@st.composite
def crystals(draw):
    """Lattice, symbols, positions, forces, energy and stress of one frame."""
    size = draw(st.integers(1, 4))
    lattice = np.diag(draw(arrays(float, 3, elements=st.integers(3, 9)))) + draw(
        arrays(float, (3, 3), elements=st.integers(-4, 4).map(lambda x: x / 8))
    )
    symbols = draw(st.lists(st.sampled_from(["Si", "O", "Cu"]), min_size=size, max_size=size))
    positions, forces = (draw(arrays(float, (size, 3), elements=numbers)) for _ in range(2))
    stress = draw(arrays(float, 6, elements=st.integers(-8, 8).map(lambda x: x / 64)))
    return lattice, symbols, positions, forces, draw(numbers), stress


@st.composite
def dialects(draw):
    """How a file spells what it holds."""
    return {
        **{name: draw(st.sampled_from(spellings)) for name, spellings in NAMES.items()},
        "equals": draw(st.sampled_from(["=", " = ", "= ", " ="])),
        "truths": draw(st.sampled_from([None, *TRUTHS])),
        "quotes": draw(st.sampled_from(['""', "''", "{}", "[]"])),
        "mark": draw(st.booleans()),
        "ends": draw(st.sampled_from(["\n", "\r\n"])),
        "blank": draw(st.booleans()),
        "species": draw(st.sampled_from(["species", "Species", "symbols", "element"])),
        "upper": draw(st.booleans()),
        "extra": draw(st.integers(0, 2)),
        "shuffle": draw(st.integers(0, 99)),
        "nine": draw(st.booleans()),
    }


def words(values: np.ndarray) -> str:
    return " ".join(repr(float(value)) for value in np.ravel(values))


def written(frame, dialect: dict) -> str:
    lattice, symbols, positions, forces, energy, stress = frame
    opening, closing = dialect["quotes"]
    xx, yy, zz, yz, xz, xy = stress
    full = [xx, xy, xz, xy, yy, yz, xz, yz, zz]
    tensor = words(full if dialect["nine"] else stress)
    pairs = [
        (dialect["Lattice"], f"{opening}{words(lattice)}{closing}"),
        (dialect["Properties"], f"{dialect['species']}:S:1:pos:R:3:forces:R:3"),
        ("energy", repr(energy)),
        ("stress", f"{opening}{tensor}{closing}"),
        ("comment", '"a = b, stress = high"'),
    ]
    if dialect["truths"] is not None:
        pairs.append((dialect["pbc"], dialect["truths"]))
    random.Random(dialect["shuffle"]).shuffle(pairs)
    comment = " ".join(f"{name}{dialect['equals']}{value}" for name, value in pairs)
    rows = [
        " ".join([s.upper() if dialect["upper"] else s, words(p), words(f), *["7"] * dialect["extra"]])
        for s, p, f in zip(symbols, positions, forces, strict=True)
    ]
    lines = [str(len(symbols)), comment, *rows, *([""] if dialect["blank"] else [])]
    return "".join(line + dialect["ends"] for line in lines)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(frames=st.lists(crystals(), min_size=1, max_size=2), dialect=dialects())
def test_every_dialect_gives_the_same_frames(tmp_path, frames, dialect):
    path = tmp_path / "a.xyz"
    text = ("\ufeff" if dialect["mark"] else "") + "".join(written(frame, dialect) for frame in frames)
    path.write_bytes(text.encode())
    found = list(read_frames([path]))
    assert len(found) == len(frames)
    for atoms, (lattice, symbols, positions, forces, energy, stress) in zip(found, frames, strict=True):
        assert atoms.pbc.all()
        np.testing.assert_array_equal(atoms.cell.array, lattice)
        assert list(atoms.symbols) == symbols
        np.testing.assert_array_equal(atoms.positions, positions)
        np.testing.assert_array_equal(atoms.get_forces(), forces)
        assert atoms.get_potential_energy() == energy
        np.testing.assert_array_equal(atoms.get_stress(), stress)
        assert atoms.info.get("unread_columns", 0) == dialect["extra"]
        assert atoms.info["comment"] == "a = b, stress = high"


def one(path: Path, comment: str, rows: str = "Si 0 0 0\nSi 0 0 2\n"):
    path.write_text(f"{rows.count(chr(10))}\n{comment}\n{rows}")
    (atoms,) = read_frames([path])
    return atoms


def test_a_shared_crystal_without_a_capital_is_read_as_a_crystal(shared):
    path = shared.parent / "cases" / "lowercase_lattice" / "lower_nostress.xyz"
    frames = list(read_frames([path]))
    assert len(frames) == 20
    assert all(atoms.pbc.all() and atoms.get_volume() > 30 for atoms in frames)


def test_an_isolated_atom_is_known_in_every_spelling(tmp_path, shared):
    for kind in ("IsolatedAtom", "isolated_atom", "isolated-atom", '"isolated atom"', "ISOLATED ATOM"):
        spelled = kind if " " not in kind or kind.startswith('"') else f'"{kind}"'
        assert is_isolated_atom(one(tmp_path / "a.xyz", f"config_type={spelled} energy=-1", "Si 0 0 0\n"))
    assert not is_isolated_atom(one(tmp_path / "a.xyz", "config_type=isolated energy=-1", "Si 0 0 0\n"))
    frames = list(read_frames([shared.parent / "cases" / "isolated_spelling" / "iso_dash.xyz"]))
    assert sum(map(is_isolated_atom, frames)) == 2


@pytest.mark.parametrize(
    "comment",
    [
        'cell="5.4 0 0 0 5.4 0 0 0 5.4" energy=1',
        "Cell: 5 5 5",
        "unit_cell=[5.4, 5.4, 5.4]",
        "5.4 0 0 0 5.4 0 0 0 5.4",
        "5.4 5.4 5.4 90 90 90",
        "lattice_vectors={5 0 0 0 5 0 0 0 5}",
        'energy=1 box="10.0 10.0 10.0" step=3',
        'cell="5 5 5" pbc="T T T"',
    ],
)
def test_what_looks_like_a_cell_and_is_not_read_is_refused(tmp_path, comment):
    with pytest.raises(DataError, match=r"at .*a.xyz:1, got .*looks like a cell and is not read: .*Lattice="):
        one(tmp_path / "a.xyz", comment)


@pytest.mark.parametrize(
    "comment",
    [
        "0 1",
        "energy=-1 name=box",
        'supercell="2 2 2"',
        'cell="5 5 5" pbc="F F F"',
        "gdb 1 157.7118 157.70997 157.70699 0.0 13.21",
        "charge=0 box_length=5",
    ],
)
def test_a_molecule_with_other_numbers_is_no_crystal(tmp_path, comment):
    assert not one(tmp_path / "a.xyz", comment).pbc.any()


@pytest.mark.parametrize(
    ("comment", "rows", "words"),
    [
        ('Lattice="5 0 0 0 5 0 0 0 5" lattice="6 0 0 0 6 0 0 0 6"', "Si 0 0 0\n", "Lattice twice"),
        ('Lattice="5 0 0 0"', "Si 0 0 0\n", "where nine numbers belong"),
        ("pbc=often", "Si 0 0 0\n", "pbc='often' where three of T and F belong"),
        ("", "Si 0 0 0\nSi 0 0\n", "rows of 3 and of 4 columns"),
        ("Properties=pos:R:3", "0 0 0\n", "no species or no pos in Properties=pos:R:3"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, comment, rows, words):
    with pytest.raises(DataError, match=rf"a\.xyz:1.*{words}"):
        one(tmp_path / "a.xyz", comment, rows)


def test_a_lattice_of_three_lengths_and_atomic_numbers_are_read(tmp_path):
    atoms = one(tmp_path / "a.xyz", 'Lattice="4 5 6" energy=1', "14 0 0 0\n8 0 0 2\n")
    assert atoms.cell.lengths().tolist() == [4, 5, 6]
    assert list(atoms.symbols) == ["Si", "O"]
    assert atoms.pbc.all()


def test_columns_that_nobody_named_are_told(tmp_path):
    one(tmp_path / "a.xyz", "energy=1", "Si 0 0 0 1 2 3\nSi 0 0 2 4 5 6\n")
    report = inspect(read_as_found([tmp_path / "a.xyz"]))
    assert any("3 columns more than Properties names; they are not read" in text for text in report.warnings)


def test_a_relaxed_crystal_may_have_a_stress_of_noise(shared):
    path = shared.parent / "cases" / "asymmetric_tiny_stress" / "asym_relaxed.xyz"
    first = next(read_frames([path]))
    np.testing.assert_allclose(first.get_stress(), [3.1e-5, 3.0e-5, 3.2e-5, 0, 0, 0.65e-7], atol=1e-12)


def test_the_same_structure_has_the_same_hash_in_every_dialect(tmp_path):
    rows = "Si 0 0 0\nSi 0 0 2\n"
    plain = one(tmp_path / "a.xyz", 'Lattice="4 0 0 0 5 0 0 0 6" pbc="T T T"', rows)
    other = one(tmp_path / "b.xyz", "lattice = {4 0 0 0 5 0 0 0 6}", rows)
    assert content_hash(plain) == content_hash(other)


@pytest.mark.parametrize("empty", ["note=", 'note=""', "note = ''", "note={}", "note=[ ]"])
def test_a_key_without_a_value_does_not_take_the_next_one(empty, tmp_path):
    """ASE writes empty words so, and then reads "energy=-5" as the note."""
    comment = f'{empty} energy=-5 group="" Lattice="9 0 0 0 9 0 0 0 9" other=\'a= b=c\' last='
    (tmp_path / "a.xyz").write_text(f"1\n{comment}\nSi 0 0 0\n")
    (atoms,) = read_frames([tmp_path / "a.xyz"])
    assert atoms.get_potential_energy() == -5
    assert atoms.info["note"] == atoms.info["group"] == atoms.info["last"] == ""
    assert atoms.info["other"] == "a= b=c"
    assert atoms.pbc.all()
