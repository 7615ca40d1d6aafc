from __future__ import annotations

import json
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import yaml
from ase.build import bulk, molecule
from ase.io import read, write
from reference_programs import needs_lammps, needs_pw

from gnnpot.data.reading import read_frames

DEMO = Path(str(files("gnnpot.configs"))) / "silicon-demo.xyz"


@pytest.fixture
def label(command, monkeypatch, tmp_path):
    """Run ``gnnpot label`` in a folder of its own; gives exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def run(section: dict, *words: str) -> tuple[int, str, str]:
        (tmp_path / "label.yaml").write_text(yaml.safe_dump(section))
        return command("label", "label.yaml", *words)

    return run


@pytest.fixture
def silicon(tmp_path) -> dict:
    write(tmp_path / "frames.xyz", [*read(DEMO, "30:34"), read(DEMO, "30")])
    return {
        "method": {"kind": "stillinger-weber", "preset": "Si-1985"},
        "structures": "frames.xyz",
        "running": {"workers": 1},
    }


def test_labeling_does_not_wait_for_torch():
    code = "import sys, gnnpot.labeling.run, gnnpot.labeling.config; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_label_writes_structures_with_labels_once(label, silicon, tmp_path):
    code, out, _ = label(silicon, "--output", "out", "--json")
    figures = json.loads(out)
    assert code == 0
    assert (figures["structures"], figures["different"], figures["labeled"]) == (5, 4, 4)
    frames = list(read_frames([tmp_path / "out" / "labels.xyz"]))
    originals = read(tmp_path / "frames.xyz", ":")
    assert len(frames) == 5
    for frame, original in zip(frames, originals, strict=True):
        np.testing.assert_allclose(frame.positions, original.positions, atol=1e-7)
        assert frame.info["config_type"] == original.info["config_type"]
        assert frame.get_potential_energy() != original.get_potential_energy()
        assert frame.get_stress().shape == (6,)
        assert frame.info["labeled_by"].startswith("stillinger-weber ")
        assert "source" not in frame.info
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "config.yaml", "failures.json", "labels.db", "labels.xyz",
    ]  # fmt: skip

    _, again, _ = label(silicon, "--output", "out", "--json")
    assert (json.loads(again)["found"], json.loads(again)["labeled"]) == (4, 0)


def test_groups_and_weights_survive_labeling(label, silicon, tmp_path):
    said = [
        {"group": "noise", "config_weight": 2.0, "config_energy_weight": 0.5},
        {"config_type": "strained", "config_virials_weight": 0.0},
        {},
    ]
    frames = read(DEMO, "30:33")
    for atoms, info in zip(frames, said, strict=True):
        atoms.info = info
    write(tmp_path / "frames.xyz", frames)
    label(silicon, "--output", "out")
    names = ("group", "energy_weight", "forces_weight", "stress_weight")
    labeled = read_frames([tmp_path / "out" / "labels.xyz"])
    found = [tuple(atoms.info[name] for name in names) for atoms in labeled]
    assert found == [("noise", 1.0, 2.0, 2.0), ("strained", 1.0, 1.0, 0.0), ("", 1.0, 1.0, 1.0)]
    assert "weight" not in (tmp_path / "out" / "labels.xyz").read_text().splitlines()[-9]


def test_a_dry_run_tells_what_would_run_and_leaves_nothing(label, silicon, tmp_path):
    code, out, _ = label(silicon, "--output", "out", "--dry-run", "--json")
    figures = json.loads(out)
    assert code == 0
    assert (figures["structures"], figures["different"], figures["to_run"]) == (5, 4, 4)
    assert 0 < figures["seconds_per_structure"] < 1
    assert not (tmp_path / "out").exists()

    label(silicon, "--output", "out", "--store", "all.db")
    _, out, _ = label(silicon, "--output", "out", "--store", "all.db", "--dry-run")
    assert "4 labels, 0 failures" in out
    assert "to run        0" in out


def test_an_override_changes_the_method_and_so_the_labels(label, silicon):
    label(silicon, "--store", "all.db")
    _, out, _ = label(silicon, "--store", "all.db", "--json")
    assert json.loads(out)["labeled"] == 0
    silicon["method"] = {
        "kind": "stillinger-weber", "element": "Si",
        "parameters": {"epsilon": 2.0, "sigma": 2.1, "lambda": 21.0},
    }  # fmt: skip
    _, out, _ = label(silicon, "--store", "all.db", "--json")
    assert json.loads(out)["labeled"] == 4


def test_failures_are_told_with_their_origin(label, silicon, tmp_path):
    code, out, err = label(silicon, "--output", "out", "max_force=0.001")
    assert code == 2
    assert "expected labels, got none: all 4 structures failed" in err
    assert "failed        4" in out
    assert "force over limit: 4, e.g. frames.xyz:1: expected forces below 0.001 eV/Å" in err
    failures = json.loads((tmp_path / "out" / "failures.json").read_text())
    assert {failure["kind"] for failure in failures} == {"force over limit"}
    assert (tmp_path / "out" / "labels.xyz").read_text() == ""


def test_the_limit_of_forces_holds_for_labels_that_are_in_the_store_too(label, silicon, tmp_path):
    label(silicon, "-o", "all", "--store", "all.db")
    frames = list(read_frames([tmp_path / "all" / "labels.xyz"]))
    largest = [np.abs(atoms.get_forces()).max() for atoms in frames]
    limit = np.sort(largest)[2] * 1.001
    weak = [place for place, force in enumerate(largest) if force < limit]
    assert 0 < len(weak) < len(frames)
    code, out, err = label(silicon, "-o", "out", "--store", "all.db", f"max_force={limit}")
    assert (code, f"({len(weak)} structures)" in out) == (0, True)
    assert f"force over limit: {len(frames) - len(weak)}, e.g. frames.xyz:" in err
    kept = list(read_frames([tmp_path / "out" / "labels.xyz"]))
    assert [atoms.get_potential_energy() for atoms in kept] == [
        frames[place].get_potential_energy() for place in weak
    ]
    code, _, err = label(silicon, "-o", "none", "--store", "all.db", "max_force=1.0e-9")
    assert (code, "expected labels, got none: all 5 structures" in err) == (2, True)


FAULTS = {
    "unknown method": (["method.kind=emt"], "no reference method is called 'emt'"),
    "unknown key": (["time_limt=3"], "no key is called time_limt; did you mean 'time_limit'?"),
    "unknown parameter": (["method.presett=x"], "no key is called method.presett; did you mean 'preset'?"),
    "no kind": (["method={preset: Si-1985}"], "expected a kind of reference method, got none"),
    "element": (
        ["structures=germanium.xyz"],
        "expected elements of Si for stillinger-weber in germanium.xyz:1",
    ),
    "no file": (["structures=none.xyz"], "expected a file of structures"),
    "no folder": (["--store", "none/all.db"], "expected a folder at none"),
    "no scheduler": (["running={kind: dask}"], "expected scheduler or queue"),
    "engine": (["method={kind: ase, calculator_class: nothere.X}"], "install it: pip install nothere"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_mistake_is_one_line_with_what_to_do(label, silicon, tmp_path, name):
    write(tmp_path / "germanium.xyz", bulk("Ge"))
    words, message = FAULTS[name]
    code, out, err = label(silicon, "--output", "out", *words)
    assert code == 2
    assert out == ""
    assert message in err
    assert len(err.strip().splitlines()) == 1


@needs_pw
def test_a_molecule_without_a_cell_is_refused_by_a_periodic_method(label, tmp_path):
    write(tmp_path / "molecule.xyz", molecule("SiH4"))
    method = {"kind": "espresso", "pseudopotentials": {"Si": "Si.pbe-rrkj.UPF"}, "ecutwfc": 10.0,
              "kpoints": [1, 1, 1]}  # fmt: skip
    code, _, err = label({"method": method, "structures": "molecule.xyz"})
    assert code == 2
    assert "expected three periodic directions and a cell for espresso in molecule.xyz:1" in err


@needs_lammps
def test_energies_of_the_atoms_are_written_where_the_method_has_them(label, tmp_path):
    atoms = bulk("Al", a=4.05, cubic=True)
    atoms.rattle(0.1, seed=1)
    write(tmp_path / "aluminum.xyz", atoms)
    label({"method": {"kind": "eam", "file": "Al_mm.eam.fs"}, "structures": "aluminum.xyz"}, "-o", "out")
    frame = read(tmp_path / "out" / "labels.xyz")
    assert frame.get_potential_energies().sum() == pytest.approx(frame.get_potential_energy(), abs=1e-6)


def test_labels_behind_a_jump_of_the_energy_are_left_out(label, silicon, tmp_path):
    path = []
    for stretch in (0.0, 0.02, 0.04):
        atoms = bulk("Si", cubic=True)
        atoms.positions[0, 0] += stretch
        path.append(atoms)
    write(tmp_path / "path.xyz", path)
    _, out, _ = label(silicon, "-o", "all", "--json", "structures=path.xyz", "max_jump=0.1")
    assert json.loads(out)["failures"] == []
    _, out, _ = label(silicon, "-o", "none", "--json", "structures=path.xyz", "max_jump=1.0e-9")
    failures = json.loads(out)["failures"]
    assert {failure["kind"] for failure in failures} == {"energy jump"}
    assert failures[0]["origin"] == "path.xyz:2"
    assert len(read(tmp_path / "none" / "labels.xyz", ":")) == 3 - len(failures)
