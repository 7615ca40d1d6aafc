"""Stress labels are held against energies and volumes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111
from ase.calculators.emt import EMT
from ase.io import write
from inspection_examples import copper, frame

from gnnpot import units
from gnnpot.data.checked_graphs import checked_graphs
from gnnpot.data.checks.inspection import inspect
from gnnpot.data.files import DataFile
from gnnpot.data.keys import LabelKeys
from gnnpot.data.reading import read_frames
from gnnpot.data.structure_set import StructureSet
from gnnpot.errors import DataError

Change = Callable[[Atoms], None]


def changed(path, change: Change) -> Iterator[Atoms]:
    for atoms in read_frames([path]):
        change(atoms)
        yield atoms


def scaled(factor: float) -> Change:
    def change(atoms: Atoms) -> None:
        atoms.calc.results["stress"] = factor * atoms.calc.results["stress"]

    return change


@pytest.mark.parametrize(
    "name", ["mlearn_Si_train", "mlearn_Si_test", "mlearn_Ge_train", "mlearn_Ni_train", "mlearn_Ni_test"]
)
def test_published_sets_have_no_fault_and_the_stress_that_energies_imply(shared, name):
    report = inspect(read_frames([shared / f"{name}.xyz"]))
    assert report.faults == ()
    (elastic,) = (check for check in report.stress_checks if check.group == "Elastic")
    assert elastic.ratio == pytest.approx(1, abs=0.1)
    offset = 0.018 if "Ni" in name else 0.0  # eV/Å³: a known error of the published labels
    assert elastic.offset is None or elastic.offset == pytest.approx(offset, abs=1e-3)
    assert ("GPa off what the energies say" in " ".join(report.warnings)) == ("Ni" in name)


def test_melts_and_molecules_have_no_fault(shared):
    melts = inspect(read_frames([shared / "ni_eam_train.xyz"]))
    assert melts.faults == ()
    assert [check.ratio for check in melts.stress_checks] == [pytest.approx(1, abs=0.1), None]
    molecules = inspect(read_frames([shared / "hexane_dftb3_500K.xyz"]))
    assert molecules.faults == molecules.warnings == molecules.stress_checks == ()


@pytest.mark.parametrize(
    ("factor", "words"),
    [
        (-1.0, r"Elastic: -[01](\.\d+)? times .*sign is flipped \(-1\): set keys.stress_sign: pressure"),
        (1 / units.GPa, r"the unit is GPa \(160.2\): set keys.stress_unit: GPa"),
        (1 / units.kBar, r"the unit is kBar \(1602\): set keys.stress_unit: kBar"),
        (-1 / units.kBar, "flipped.*kBar.*: set keys.stress_unit: kBar and keys.stress_sign: pressure"),
        (0.1, r"GPa was converted as if it were kBar \(0.1\): make it 10 times as large$"),
        (10.0, r"kBar was converted as if it were GPa \(10\)"),
        (
            -10.0,
            r"flipped.*as if it were GPa \(10\): make it 10 times smaller, set keys.stress_sign: pressure$",
        ),
        (3.0, "no unit that we know"),
    ],
)
@pytest.mark.parametrize("name", ["mlearn_Si_train.xyz", "mlearn_Ni_test.xyz"])
def test_a_stress_of_another_sign_or_unit_is_a_fault_that_names_the_cure(shared, name, factor, words):
    report = inspect(changed(shared / name, scaled(factor)))
    assert all(fault.startswith("stress in ") for fault in report.faults)
    with pytest.raises(DataError, match=words):
        report.check()


def test_a_virial_read_as_stress_is_named(shared):
    def change(atoms: Atoms) -> None:
        scaled(-atoms.get_volume())(atoms)

    fault = inspect(changed(shared / "mlearn_Si_train.xyz", change)).faults[0]
    assert "it is a virial, the stress times the volume: set keys.virial: stress" in fault


def test_energies_of_another_unit_are_named(shared):
    def change(atoms: Atoms) -> None:
        atoms.calc.results["energy"] /= units.Hartree

    (fault,) = inspect(changed(shared / "mlearn_Ge_train.xyz", change)).faults
    assert "the energies are in Hartree (27.21): set keys.energy_unit: Hartree" in fault


@pytest.mark.parametrize(
    ("keys", "factor", "setting"),
    [
        ({"stress_unit": "GPa"}, units.kBar / units.GPa, "keys.stress_unit: kBar"),
        ({"stress_unit": "kBar"}, units.GPa / units.kBar, "keys.stress_unit: GPa"),
        ({"stress_sign": "pressure"}, 1.0, "keys.stress_sign: tension"),
    ],
)
def test_the_advice_knows_how_the_file_was_read(tmp_path, keys, factor, setting):
    keys = LabelKeys.model_validate(keys)
    factor *= (-1 if keys.stress_sign == "pressure" else 1) / factor**2
    (fault,) = inspect(copper(30, strain=0.04, rattle=0.02, factor=factor), keys).faults
    assert fault.endswith(f"set {setting}")


@pytest.mark.parametrize(("strain", "rattle"), [(0.1, 0.0), (0.03, 0.02), (0.1, 0.05)])
@pytest.mark.parametrize("factor", [1.0, -1.0])
def test_strained_cells_tell_the_sign_rattled_or_not(strain, rattle, factor):
    report = inspect(copper(60, strain=strain, rattle=rattle, factor=factor))
    assert report.stress_checks[0].ratio == pytest.approx(factor, rel=0.1)
    assert ("the sign is flipped" in " ".join(report.faults)) == (factor < 0)


def test_a_constant_offset_of_the_stress_hides_neither_sign_nor_unit():
    frames = list(copper(60, strain=0.03, rattle=0.0))
    for atoms in frames:
        atoms.calc.results["stress"] = atoms.calc.results["stress"] + [0.02, 0.02, 0.02, 0, 0, 0]
    report = inspect(frames)
    assert report.faults == ()
    assert report.stress_checks[0].offset == pytest.approx(0.02, rel=0.05)
    told = re.search(r"\+(\d\.\d+) ± (\d\.\d+) GPa", report.warnings[0])
    assert float(told[1]) == pytest.approx(0.02 / units.GPa, abs=2 * float(told[2]))


def test_a_rotated_cell_and_moved_images_change_nothing():
    frames = list(copper(40, strain=0.04, rattle=0.02))
    expected = inspect(frames).stress_checks[0].ratio
    rotated = []
    for number, atoms in enumerate(frames):
        q, _ = np.linalg.qr(np.random.default_rng(number).normal(size=(3, 3)))
        other = Atoms(
            atoms.numbers,
            atoms.positions @ q + number * 0.37,
            cell=atoms.cell.array @ q,
            pbc=True,
            info=atoms.info,
        )
        other.wrap()
        x, y, z, yz, xz, xy = atoms.calc.results["stress"]
        stress = q.T @ [[x, xy, xz], [xy, y, yz], [xz, yz, z]] @ q
        results = {**atoms.calc.results, "forces": atoms.calc.results["forces"] @ q, "stress": stress}
        rotated.append(frame(other, number + 1, **results))
    assert inspect(rotated).stress_checks[0].ratio == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("factor", "words"), [(1.0, ""), (-1.0, "falls with the volume"), (1602.0, "bulk modulus")]
)
def test_volumes_tell_where_there_are_neither_energies_nor_forces(factor, words):
    frames = list(copper(30, strain=0.06, rattle=0.02, factor=factor, energies=False))
    for atoms in frames:
        del atoms.calc.results["forces"], atoms.info["label_keys"]["forces"]
    faults = inspect(frames).faults
    assert len(faults) == bool(words)
    assert words in " ".join(faults)


@pytest.mark.parametrize(("order", "places"), [("vasp", [0, 1, 2, 5, 3, 4]), ("lammps", [0, 1, 2, 5, 4, 3])])
@pytest.mark.parametrize(("strain", "rattle"), [(0.05, 0.0), (0.04, 0.08), (0.0, 0.08)])
def test_entries_off_the_diagonal_in_another_order_are_named(order, places, strain, rattle):
    """Energies tell where strain prevails, forces where atoms are displaced."""

    def frames() -> list[Atoms]:
        return list(copper(60, strain=strain, rattle=rattle))

    assert inspect(frames()).faults == ()
    changed = frames()
    for atoms in changed:
        atoms.calc.results["stress"] = atoms.calc.results["stress"][places]
    (fault,) = inspect(changed).faults
    assert "not as they were read" in fault
    assert f"set keys.stress_order: {order}, or reorder them where whole tensors are written" in fault


def tense(count: int, make: Callable[[int], Atoms], *, factor: float = 1.0) -> Iterator[Atoms]:
    """Rattled structures with the stress that the EMT gives, times ``factor``."""
    for number in range(1, count + 1):
        atoms = make(number)
        atoms.rattle(0.02, seed=number)
        atoms.calc = EMT()
        yield frame(atoms, number, stress=factor * atoms.get_stress())


def stretched_slab(number: int) -> Atoms:
    atoms = fcc111("Cu", (2, 2, 3), a=3.7, vacuum=3.0 + 3.0 * number, periodic=True)
    atoms.pbc = True
    return atoms


def test_volumes_tell_nothing_of_vacuum_or_of_matter_that_came_apart():
    assert inspect(tense(12, stretched_slab)).faults == ()
    assert inspect(tense(12, lambda number: bulk("Cu", a=3.8 + 0.2 * number))).faults == ()


def test_volumes_of_solids_beside_slabs_and_single_dense_frames_tell():
    slabs = list(tense(12, stretched_slab, factor=-1.0))
    solids = list(tense(11, lambda number: bulk("Cu", a=3.4 + 0.03 * number), factor=-1.0))
    dense = list(tense(1, lambda number: bulk("Cu", a=2.8), factor=-1.0))
    (fault,) = inspect([*slabs, *solids, *dense]).faults
    assert "falls with the volume" in fault


def test_the_advice_for_a_file_with_keys_of_its_own_is_to_set_them_there(tmp_path):
    frames = list(copper(40, strain=0.03, rattle=0.01))
    for atoms in frames:
        atoms.info.clear()
    write(tmp_path / "a.xyz", frames[:20])
    write(tmp_path / "b.xyz", frames[20:])
    own = DataFile(path=str(tmp_path / "b.xyz"), keys=LabelKeys(stress_sign="pressure"))
    structures = StructureSet((DataFile(path=str(tmp_path / "a.xyz")), own))
    with pytest.raises(DataError) as caught:
        checked_graphs(structures, 4.0, tmp_path / "graphs")
    told = str(caught.value)
    assert told.startswith(f"stress in {tmp_path / 'b.xyz'}: -")
    assert "set keys.stress_sign: tension; this file has keys of its own: set it there, {path: " in told
    assert "more; `gnnpot validate`" not in told


def disordered(factor: float, *, energies: bool = True) -> list[Atoms]:
    """Rattled copper in one cell, about whose stress energies say nothing; stress times ``factor``."""
    return list(copper(12, strain=0.0, rattle=0.05, factor=factor, energies=energies))


@pytest.mark.parametrize("energies", [True, False])
@pytest.mark.parametrize(
    ("factor", "cure"),
    [
        (1.0, ""),
        (0.5, ""),
        (-1.0, r"the sign is flipped \(-1\): set keys.stress_sign: pressure"),
        (1 / units.kBar, "set keys.stress_unit: kBar"),
        (-1 / units.GPa, "set keys.stress_unit: GPa and keys.stress_sign: pressure"),
    ],
)
def test_forces_tell_the_sign_and_the_unit_where_cells_do_not_change(factor, cure, energies):
    report = inspect(disordered(factor, energies=energies))
    assert bool(report.faults) == bool(cure)
    told = [fault for fault in report.faults if "what the forces say" in fault]
    assert not cure or re.search(cure, told[0])
    assert all(("or the forces have another sign" in fault) != energies for fault in told)


def test_energies_in_another_unit_do_not_make_the_stress_wrong():
    frames = disordered(1.0)
    for atoms in frames:
        atoms.calc.results["energy"] /= units.Hartree
    (fault,) = inspect(frames).faults
    assert "set keys.energy_unit: Hartree" in fault


def test_forces_that_are_gradients_do_not_make_the_stress_wrong():
    frames = disordered(1.0)
    for atoms in frames:
        atoms.calc.results["forces"] = -atoms.calc.results["forces"]
    (fault,) = inspect(frames).faults
    assert "set keys.forces_sign: gradient" in fault
