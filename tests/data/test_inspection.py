"""The data report finds what would spoil a training, and nothing in sound data."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from gnnpot.cli.validate import validate
from inspection_examples import copper, frame
from typer import Typer
from typer.testing import CliRunner

from gnnpot import units
from gnnpot.data.checks.data_report import DataReport
from gnnpot.data.checks.inspection import inspect
from gnnpot.errors import DataError


def argon(*positions: float, cell: float = 20.0, pbc: bool = True) -> Atoms:
    return Atoms(f"Ar{len(positions)}", [[x, 0, 0] for x in positions], cell=[cell] * 3, pbc=pbc)


def test_a_stress_beyond_all_matter_is_a_fault_where_nothing_else_tells():
    frames = list(copper(6, strain=0.0, rattle=0.1, factor=1602.0, energies=False))
    assert "GPa is typical, more than matter stands" in inspect(frames).faults[0]


def test_frames_that_cannot_tell_are_no_evidence():
    rng = np.random.default_rng(0)
    frames = [
        frame(bulk("Cu", a=3.6 + 0.01 * k), k, energy=rng.normal(), stress=rng.normal(size=6) * 0.01)
        for k in range(30)
    ]
    report = inspect(frames)
    assert report.stress_checks[0].ratio is None
    assert not any("stress in" in fault for fault in report.faults)


@pytest.mark.parametrize(
    ("atoms", "values", "words"),
    [
        (argon(0, 4), {"energy": np.nan}, "a.xyz:1: NaN or infinity in energy"),
        (argon(0, 4), {"forces": np.full((2, 3), np.inf)}, "NaN or infinity in forces"),
        (argon(0, np.nan), {}, "NaN or infinity in positions"),
        (argon(0, 0), {}, "two atoms on one spot"),
        (argon(0, 20), {}, "two atoms on one spot"),
        (argon(0, 0.9), {}, "a.xyz:1, 0.90 Å: Ar-Ar closer"),
        (argon(0, 19.1), {}, "a.xyz:1, 0.90 Å: Ar-Ar closer"),
        (argon(0, cell=0.9), {}, "a.xyz:1, 0.90 Å: Ar-Ar closer"),
        (argon(0, 4, cell=0.0), {}, "periodic along a direction without a lattice vector"),
        (Atoms("Ar", cell=[[5, 0, 0], [0, 5, 0], [5, 5, 0]], pbc=True), {}, "the cell has a volume of 0 Å³"),
        (argon(0, 4, cell=0.0, pbc=False), {"stress": np.zeros(6)}, "a stress, but no cell"),
    ],
)
def test_a_frame_that_physics_forbids_is_a_fault(atoms, values, words):
    (fault,) = inspect([frame(atoms, **{"energy": 1.0, **values})]).faults
    assert words in fault


@pytest.mark.parametrize(
    "atoms", [molecule("H2"), bulk("Ni", a=3.1), bulk("Cs"), molecule("CH3CH2OH"), bulk("C"), argon(0)]
)
def test_short_bonds_and_compressed_metals_are_no_fault(atoms):
    assert inspect([frame(atoms, energy=1.0)]).faults == ()


def test_duplicates_are_told_and_conflicting_labels_are_a_fault():
    atoms, other = argon(0, 4), argon(0, 5)
    same = inspect([frame(atoms, 1, energy=1.0), frame(other, 2, energy=1.0), frame(atoms, 3, energy=1.0)])
    assert same.faults == ()
    assert same.warnings == ("a.xyz:3 = a.xyz:1: the same structure is there twice",)
    across = inspect([frame(atoms, 1, energy=1.0), frame(atoms, 1, "b.xyz", energy=1.0)])
    assert across.warnings == ("b.xyz:1 = a.xyz:1: the same structure is in two files",)
    conflict = inspect([frame(atoms, 1, energy=1.0), frame(atoms, 2, energy=1.1)])
    assert conflict.faults == ("a.xyz:2 = a.xyz:1: the same structure is there with other labels",)


def test_isolated_atoms_of_one_element_with_two_energies_are_a_fault():
    def free(symbol: str, energy: float, number: int) -> Atoms:
        atoms = Atoms(symbol, cell=[10.0 + number] * 3, pbc=True, info={"config_type": "IsolatedAtom"})
        return frame(atoms, number, energy=energy)

    sound = [free("Ar", 0.5, 1), free("Ne", 3.5, 2), free("Ar", 0.50005, 3)]
    assert inspect(sound).faults == ()
    (fault,) = inspect([*sound, free("Ar", 3.5, 4)]).faults
    assert fault == "a.xyz:4: an isolated Ar of another energy than a.xyz:1 with 0.5 eV"


def test_isolated_atoms_of_another_method_are_a_fault():
    def frames(energy: float, **weights: float) -> list[Atoms]:
        free = frame(Atoms("Cu", info={"config_type": "IsolatedAtom"}), 99, energy=energy, **weights)
        return [*copper(6, strain=0.02, rattle=0.01), free]

    assert inspect(frames(3.5)).faults == inspect(frames(-45000.0, config_energy_weight=0.0)).faults == ()
    (fault,) = inspect(frames(-45000.0)).faults
    assert fault.startswith("a.xyz:99: isolated Cu that leave +4.5e+04 eV an atom to the structures")
    assert fault.endswith("compute them as the structures were, or remove them")
    assert "leave -30 eV an atom" in inspect(frames(30.0)).warnings[0]


def test_a_stress_of_zero_that_was_not_calculated_is_a_fault():
    zero = list(copper(6, strain=0.02, rattle=0.05, factor=0.0))
    (fault,) = inspect(zero).faults
    assert fault.startswith(
        "6 frames (a.xyz:1, a.xyz:2, a.xyz:3, …): a stress of exactly zero although forces are"
    )
    assert "keys.stress=none" in fault
    assert inspect(zero, trained=("energy", "forces")).faults == ()
    assert inspect(copper(1, strain=0.0, rattle=0.0, factor=0.0)).faults == ()


def test_many_frames_with_one_fault_are_one_sentence():
    frames = [frame(argon(0, 4 + k / 10), k, energy=np.inf) for k in range(1, 6)]
    (fault,) = inspect(frames).faults
    assert fault.startswith("5 frames (a.xyz:1, a.xyz:2, a.xyz:3, …): NaN or infinity in energy; ")
    assert fault.endswith("or drop the label with keys.energy=none")


def test_far_out_forces_and_energies_and_net_forces_are_told():
    rng = np.random.default_rng(0)
    frames = []
    for number in range(1, 31):
        forces = rng.normal(size=(2, 3))
        forces[1] = -forces[0]
        energy = -3.0 + 0.01 * rng.normal()
        if number == 7:
            forces *= 200
        if number == 8:
            energy += 9
        if number == 9:
            forces[0, 0] += 1
        frames.append(frame(argon(0, 4 + number / 100), number, energy=energy, forces=forces))
    report = inspect(frames)
    assert report.faults == ()
    *single, unrelated = report.warnings
    assert "they have nothing to do with the energies" in unrelated
    assert [warning.partition(":")[2].split(":")[0] for warning in single] == ["9", "7", "8"]
    for warning, words in zip(single, ("net force", "a force over", "an energy over"), strict=True):
        assert words in warning


def test_labels_and_cells_of_a_part_of_the_frames_are_told():
    atoms = [argon(0, 4 + k / 10) for k in range(4)]
    frames = [
        frame(atoms[0], 1, energy=1.0, forces=np.zeros((2, 3))),
        frame(atoms[1], 2, REF_energy=1.0, forces=np.zeros((2, 3))),
        frame(atoms[2], 3, energy=1.0),
        frame(argon(0, 4, pbc=False), 4, energy=1.0),
        frame(Atoms("Ar", info={"config_type": "IsolatedAtom"}), 5, energy=0.0),
    ]
    assert inspect(frames).warnings == (
        "a.xyz: energy comes from several keys: REF_energy (1), energy (3)",
        "a.xyz: only 2 of 4 frames have forces",
        "a.xyz: labels of two methods? REF_energy and forces are there",
        "a.xyz: 1 of 4 frames lack a cell or a periodic direction",
    )
    (fault,) = inspect([frame(argon(0, 4)), frame(argon(0, 5), 2)]).faults
    assert fault.startswith("a.xyz: none of 2 frames has a label; name their keys with keys.energy")


def test_a_slab_with_a_stress_is_told():
    slab = Atoms("Ar", cell=[5, 5, 20], pbc=[True, True, False])
    report = inspect([frame(slab, stress=np.zeros(6))])
    assert report.faults == ()
    assert "not three periodic directions" in report.warnings[0]


def test_counts_are_by_file_group_element_and_key():
    ammonia, silicon = molecule("NH3"), bulk("Si")
    frames = [
        frame(ammonia, 1, energy=-1.0, group="m"),
        frame(silicon, 2, REF_energy=-8.0, stress=np.full(6, 0.01), group="c"),
        frame(silicon, 1, "b.xyz", forces=np.zeros((2, 3))),
    ]
    report = inspect(frames)
    assert report.num_frames == 3
    assert [(file.file, file.frames, file.atoms, file.periodic) for file in report.files] == [
        ("a.xyz", 2, 6, 1),
        ("b.xyz", 1, 2, 1),
    ]
    assert [(group.file, group.name) for group in report.groups] == [
        ("a.xyz", "m"),
        ("a.xyz", "c"),
        ("b.xyz", ""),
    ]
    elements = {(row.file, row.name): row for row in report.elements}
    assert elements["a.xyz", "H"].atoms == 3
    assert elements["a.xyz", "H"].labels == {"energy": {"energy": 1}, "forces": {}, "stress": {}}
    assert elements["a.xyz", "Si"].labels == {
        "energy": {"REF_energy": 1},
        "forces": {},
        "stress": {"stress": 1},
    }
    assert report.files[0].smallest["energy"] == -4.0
    assert report.files[0].largest["energy"] == -0.25
    assert report.groups[1].largest["distance"] == pytest.approx(5.43 * np.sqrt(3) / 4)


def test_the_report_is_plain_json():
    report = inspect([*copper(8, strain=0.05, rattle=0.0), frame(argon(0, 4), 9, energy=np.nan)])
    again = json.loads(json.dumps(report.as_dict(), allow_nan=False))
    assert again["num_frames"] == 9
    assert again["files"][0]["labels"]["energy"] == {"energy": 8}
    assert again["faults"] == list(report.faults)
    assert again["stress_checks"][0]["pairs"] == report.stress_checks[0].pairs


def test_frames_are_taken_one_at_a_time():
    alive = 0

    class Counted(Atoms):
        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    def frames() -> Iterator[Atoms]:
        nonlocal alive
        for number in range(1, 101):
            source = frame(argon(0, 4 + number / 100), number, energy=1.0, stress=np.zeros(6))
            atoms = Counted(source.numbers, source.positions, cell=source.cell, pbc=True, info=source.info)
            atoms.calc = source.calc
            alive += 1
            assert alive < 4
            yield atoms
            del atoms, source

    assert inspect(frames()).num_frames == 100


def _run(*arguments: str):
    app = Typer()
    app.command()(validate)
    return CliRunner().invoke(app, list(arguments))


def test_the_command_prints_the_report_and_fails_on_a_fault(tmp_path):
    path = tmp_path / "a.xyz"
    path.write_text("2\nenergy=1\nAr 0 0 0\nAr 4 0 0\n")
    good = _run(str(path))
    assert good.exit_code == 0
    assert "no faults found" in good.stdout
    path.write_text("2\nenergy=nan\nAr 0 0 0\nAr 4 0 0\n2\nenergy=1\nAr 0 0 0\nAr 0 0 0\n")
    bad = _run(str(path))
    assert isinstance(bad.exception, DataError)
    assert str(bad.exception) == "expected data without faults, got 2; mend what is listed above"
    for words in ("NaN or infinity in energy", "two atoms on one spot"):
        assert words in bad.stdout


def test_the_command_takes_keys_and_prints_json(tmp_path):
    path = tmp_path / "a.xyz"
    path.write_text("2\nmine=2\nAr 0 0 0\nAr 4 0 0\n")
    result = _run(str(path), "--json", "-k", "energy=mine", "--keys", "energy_unit=Hartree")
    report = json.loads(result.stdout)
    assert report["files"][0]["labels"]["energy"] == {"mine": 1}
    assert report["files"][0]["largest"]["energy"] == pytest.approx(units.Hartree)


def test_no_fault_is_no_error():
    DataReport((), (), (), (), (), ("only a warning",)).check()
