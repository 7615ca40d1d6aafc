"""Files of labeled structures are joined, divided and converted without loss."""

from __future__ import annotations

import json

import numpy as np
import pytest
from ase.io import write

from gnnpot.data.columns import label_hash
from gnnpot.data.forces_mask import MASK
from gnnpot.data.reading import content_hash, read_frames
from gnnpot.data.split import read_splits
from gnnpot.data.writing import write_labeled
from gnnpot.errors import DataError

DEMO = "gnnpot:silicon-demo.xyz@::8"


def identities(path) -> list[tuple[str, str, str]]:
    frames = read_frames([str(path)])
    return [(content_hash(atoms), label_hash(atoms), atoms.info["group"]) for atoms in frames]


@pytest.mark.parametrize("suffix", [".xyz", ".traj"])
def test_a_converted_file_has_the_same_structures_and_labels(command, tmp_path, suffix):
    code, out, err = command("data", "convert", DEMO, tmp_path / f"data{suffix}")
    assert code == 0, err
    assert "25 in" in out
    before, after = identities(DEMO), identities(tmp_path / f"data{suffix}")
    assert [one[0] for one in after] == [one[0] for one in before]
    for old, new in zip(read_frames([DEMO]), read_frames([str(tmp_path / f"data{suffix}")]), strict=True):
        for name in ("energy", "forces", "stress"):
            np.testing.assert_allclose(new.calc.results[name], old.calc.results[name], atol=1e-7)


def test_units_are_converted(command, tmp_path):
    words = ["convert", _millielectronvolts(tmp_path), tmp_path / "ev.xyz", "-k", "energy_unit=meV"]
    code, _, err = command("data", *words)
    assert code == 0, err
    energies = [atoms.calc.results["energy"] for atoms in read_frames([str(tmp_path / "ev.xyz")])]
    expected = [atoms.calc.results["energy"] for atoms in list(read_frames([DEMO]))[:3]]
    assert energies == pytest.approx(expected)


def _millielectronvolts(tmp_path):
    frames = list(read_frames([DEMO]))[:3]
    for atoms in frames:
        atoms.calc.results = {"energy": 1000 * atoms.calc.results["energy"]}
    write_labeled(tmp_path / "mev.xyz", frames)
    return tmp_path / "mev.xyz"


def test_forces_that_do_not_count_are_kept_so(tmp_path):
    (atoms,) = list(read_frames([DEMO]))[:1]
    mask = np.ones((len(atoms), 3), dtype=bool)
    mask[0] = False
    atoms.set_array(MASK, mask)
    write_labeled(tmp_path / "data.xyz", [atoms])
    write_labeled(tmp_path / "data.traj", [atoms])
    for name in ("data.xyz", "data.traj"):
        (again,) = read_frames([str(tmp_path / name)])
        assert np.isnan(again.calc.results["forces"]).any(axis=1).tolist() == [True] + [False] * 7


def test_a_set_is_divided_into_files_that_share_nothing(command, tmp_path):
    words = ["--test", 0.2, "--validation", 0.2, "--output", tmp_path / "parts"]
    code, _, err = command("data", "split", DEMO, *words)
    assert code == 0, err
    parts = {name: identities(tmp_path / "parts" / f"{name}.xyz") for name in ("train", "validation", "test")}
    assert {name: len(part) for name, part in parts.items()} == {"train": 15, "validation": 5, "test": 5}
    hashes = [one[0] for part in parts.values() for one in part]
    assert sorted(hashes) == sorted(one[0] for one in identities(DEMO))
    recorded = read_splits(tmp_path / "parts" / "splits.json")
    assert {row.hash for row in recorded["test"]} == {one[0] for one in parts["test"]}
    assert command("data", "split", DEMO, *words)[0] == 2  # they are there


def test_a_structure_that_comes_twice_is_written_once(command, tmp_path):
    write(tmp_path / "one.xyz", list(read_frames([DEMO]))[:4])
    again = list(read_frames([DEMO]))[2:6]
    write(tmp_path / "two.xyz", again)
    files = [tmp_path / "one.xyz", tmp_path / "two.xyz"]
    code, out, err = command("data", "merge", *files, "-o", tmp_path / "all.xyz")
    assert code == 0, err
    assert "6 in" in out
    assert "2 that came before" in out
    again[0].calc.results["energy"] += 1.0
    write(tmp_path / "two.xyz", again)
    code, _, err = command("data", "merge", *files, "-o", tmp_path / "other.xyz")
    assert (code, err.count("\n")) == (2, 1)
    assert "expected the same labels of one structure" in err
    assert not (tmp_path / "other.xyz").exists()


def test_what_is_in_a_file_is_told(command):
    code, out, _ = command("data", "info", DEMO)
    assert code == 0
    assert "25, of 8 atoms (median)" in out
    code, out, _ = command("data", "info", DEMO, "--json")
    found = json.loads(out)
    assert found["labeled"] == {"energy": 25, "forces": 25, "stress": 25}
    assert 2.2 < found["nearest_neighbor"] < 2.5


def test_a_format_without_labels_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"holds labels \(\.xyz"):
        write_labeled(tmp_path / "data.cif", [])
