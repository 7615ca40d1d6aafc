"""Forces are held against the energies of close frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from inspection_examples import frame

from gnnpot import units
from gnnpot.data.checks.inspection import inspect
from gnnpot.data.keys import LabelKeys
from gnnpot.data.reading import read_frames

Change = Callable[[dict], None]


def argon() -> Atoms:
    return bulk("Ar", a=5.3, cubic=True).repeat((2, 1, 1))


def labels(atoms: Atoms) -> dict:
    atoms.calc = LennardJones(sigma=3.4, epsilon=0.0104) if "Ar" in atoms.symbols else EMT()
    found = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
    return found | ({"stress": atoms.get_stress()} if atoms.pbc.all() else {})


def unchanged(values: dict) -> None:
    pass


def copies(
    parent: Atoms,
    *,
    strain: float = 0.0,
    rattle: float = 0.05,
    count: int = 30,
    change: Change = unchanged,
) -> Iterator[Atoms]:
    """Strained and rattled copies with labels of a potential, changed."""
    rng = np.random.default_rng(0)
    for number in range(1, count + 1):
        atoms = parent.copy()
        tensor = rng.uniform(-strain, strain, (3, 3))
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + (tensor + tensor.T) / 2), scale_atoms=True)
        atoms.rattle(rattle, rng=rng)
        values = labels(atoms)
        change(values)
        yield frame(atoms, number, **values)


def scaled(**factors: float) -> Change:
    def change(values: dict) -> None:
        values.update({name: factor * values[name] for name, factor in factors.items() if name in values})

    return change


@pytest.mark.parametrize("parent", [bulk("Cu", cubic=True), argon(), molecule("CH3CH2OH")])
@pytest.mark.parametrize(
    ("strain", "rattle"), [(0.01, 0.08), (0.0, 0.03), (0.03, 0.03), (0.0, 0.15), (0.05, 0.1)]
)
def test_labels_that_are_right_have_no_fault(parent, strain, rattle):
    report = inspect(copies(parent, strain=strain if parent.pbc.all() else 0.0, rattle=rattle))
    assert report.faults == ()
    assert not any("forces in" in warning or "stress in" in warning for warning in report.warnings)


@pytest.mark.parametrize(
    ("factors", "words"),
    [
        ({"forces": -1}, "they are gradients dE/dr, not forces -dE/dr: set keys.forces_sign: gradient"),
        ({"energy": 1 / units.Hartree}, "the energies are in Hartree (27.21): set keys.energy_unit: Hartree"),
        (
            {"energy": 1 / units.kcal_per_mol},
            "the energies are in kcal/mol (0.04336): set keys.energy_unit: kcal/mol",
        ),
        ({"energy": 1 / 4}, "the energies are energies per atom (4 atoms): set keys.energy_per: atom"),
        (
            {"forces": units.Bohr / units.Hartree},
            "the forces are in Hartree/Bohr (0.01945): set keys.forces_unit: Hartree/Bohr",
        ),
        (
            {"forces": -1 / units.kcal_per_mol},
            "they are gradients dE/dr, not forces -dE/dr (set keys.forces_sign: gradient), and the forces "
            "are in kcal/mol/A (23.06): set keys.forces_unit: kcal/mol/A",
        ),
        ({"forces": 3.0}, "no unit that we know gives this; check the units of energies and forces"),
    ],
)
def test_a_wrong_sign_or_unit_is_a_fault_that_names_the_cure(factors, words):
    """The stress, which agrees with the energies or not, says which of energies and forces are wrong."""
    frames = copies(bulk("Cu", cubic=True), strain=0.02, rattle=0.03, count=60, change=scaled(**factors))
    (fault,) = inspect(frames).faults
    assert fault.startswith("forces in a.xyz: ")
    assert fault.endswith(words)


def test_two_mistakes_that_cannot_be_told_apart_are_both_named():
    """Without a stress, units of energies and forces that are both wrong look like others of the forces."""
    change = scaled(energy=1 / units.Hartree, forces=units.Bohr / units.Hartree)
    (fault,) = inspect(copies(molecule("CH3CH2OH"), rattle=0.01, change=change)).faults
    assert "the forces are in eV/Bohr (0.5292): set keys.forces_unit: eV/Bohr, or " in fault
    assert "set keys.energy_unit: Hartree and keys.forces_unit: Hartree/Bohr" in fault


def test_the_advice_knows_how_the_forces_were_read():
    keys = LabelKeys(forces_sign="gradient")
    (fault,) = inspect(copies(bulk("Cu", cubic=True), change=scaled(forces=-1)), keys).faults
    assert fault.endswith("they are forces -dE/dr: set keys.forces_sign: force")


def test_frames_that_follow_each_other_tell_in_a_trajectory(shared):
    report = inspect(read_frames([f"{shared}/hexane_dftb3_500K.xyz@:200"]))
    assert report.faults == report.warnings == ()
    assert report.forces_checks[0].ratio == pytest.approx(1, abs=0.01)


def test_energies_per_atom_of_structures_of_several_sizes_are_named():
    def change(values: dict) -> None:
        values["energy"] /= len(values["forces"])

    sizes = [bulk("Cu", cubic=True).repeat((n, 1, 1)) for n in (1, 2, 3)]
    frames = [atoms for parent in sizes for atoms in copies(parent, count=15, change=change)]
    (fault,) = inspect(frames).faults
    assert fault.endswith("set keys.energy_per: atom")


def test_forces_of_other_atoms_are_told():
    rng = np.random.default_rng(1)

    def change(values: dict) -> None:
        values["forces"] = rng.permutation(values["forces"])

    report = inspect(copies(argon(), rattle=0.02, count=40, change=change))
    assert report.faults == ()
    assert any("they have nothing to do with the energies" in warning for warning in report.warnings)


def test_one_broken_energy_hides_nothing():
    frames = list(copies(bulk("Cu", cubic=True), change=scaled(forces=-1)))
    frames[7].calc.results["energy"] += 50
    assert any("gradients" in fault for fault in inspect(frames).faults)


def test_it_is_said_where_nothing_can_be_told():
    frames = [frame(atoms, n, **labels(atoms)) for n, atoms in enumerate((bulk("Cu", cubic=True), argon()))]
    report = inspect(frames)
    assert report.faults == ()
    assert report.notes[-1].startswith("a.xyz: nothing tells whether the forces have the sign and the unit")
