"""A label whose numbers have changed on the disk is refused, not used."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import ase.db
import numpy as np
import pytest
from label_copper import copper

from gnnpot.errors import DataError
from gnnpot.labeling import Label, LabelStore, Method
from gnnpot.labeling.methods import Record

METHOD = Method("toy", '{"kind": "toy"}')
SIZE = len(copper(1)[0])
RESULTS = {
    "energy": -1.5,
    "forces": np.full((SIZE, 3), 0.25),
    "stress": np.arange(6.0),
    "energies": np.ones(SIZE),
}


@pytest.fixture
def place(tmp_path) -> Path:
    path, atoms = tmp_path / "labels.db", copper(1)[0]
    LabelStore(path).keep(METHOD, [Record(METHOD.key(atoms), atoms, Label(RESULTS, 0.1))])
    return path


def change(place: Path, statement: str, *values: object) -> None:
    """Change the file as a damaged disk or another program would."""
    with closing(sqlite3.connect(place)) as connection, connection:
        connection.execute(statement, values)


def test_an_undamaged_label_is_read_as_it_was(place):
    key = METHOD.key(copper(1)[0])
    (results,) = LabelStore(place).results([key])
    assert results["energy"] == -1.5
    (atoms,) = LabelStore(place).labels([key])
    np.testing.assert_array_equal(atoms.calc.results["stress"], np.arange(6.0))


@pytest.mark.parametrize(
    ("statement", "value"),
    [
        ("UPDATE systems SET energy = ?", -1.5000001),
        ("UPDATE systems SET forces = ?", np.full((SIZE, 3), 0.26).tobytes()),
        ("UPDATE systems SET stress = ?", np.arange(1.0, 7.0).tobytes()),
    ],
)
def test_a_changed_label_is_refused(place, statement, value):
    change(place, statement, value)
    key = METHOD.key(copper(1)[0])
    with pytest.raises(DataError, match="the store is damaged; restore a copy"):
        list(LabelStore(place).results([key]))
    with pytest.raises(DataError, match="the store is damaged"):
        list(LabelStore(place).labels([key]))


def test_labels_of_older_stores_without_a_checksum_are_read(place):
    change(place, "UPDATE systems SET data = ?", ase.db.connect(place).encode({}, binary=True))
    (results,) = LabelStore(place).results([METHOD.key(copper(1)[0])])
    assert results["energy"] == -1.5
