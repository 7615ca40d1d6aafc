from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import yaml
from ase import Atoms
from ase.build import bulk, molecule
from pydantic import ValidationError
from reference_programs import (
    MENDELEV,
    PSEUDOPOTENTIALS,
    ZHANG,
    dynamo_file,
    needs_kim,
    needs_lammps,
    needs_pw,
    needs_sparrow,
    needs_tblite,
    nickel,
)

from gnnpot.engines import ENGINES, EngineConfig, calculator_from, engine_of
from gnnpot.errors import EngineError, LabelingError, UnknownNameError
from gnnpot.labeling import CalculatorLabeler
from gnnpot.labeling.config import LabelConfig

READY = sorted(Path(str(files("gnnpot.configs"))).glob("labeling/*.yaml"))
SILICON = {"kind": "stillinger-weber", "preset": "Si-1985"}
ESPRESSO = {
    "kind": "espresso",
    "pseudopotentials": {"Si": "Si.pbe-rrkj.UPF"},
    "ecutwfc": 12.0,
    "kpoints": (1, 1, 1),
    "smearing": "gaussian",
    "degauss": 0.02,
}


@pytest.fixture(scope="session")
def zhang(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Ni-Nb table of Zhang, Ashcraft and Mendelev."""
    return dynamo_file(ZHANG, tmp_path_factory.mktemp("eam") / "NiNb.eam.fs")


def labeled(config: EngineConfig, atoms: Atoms, folder: Path = Path()) -> Atoms:
    copy = atoms.copy()
    copy.calc = calculator_from(config, folder)
    return copy


def slab() -> Atoms:
    atoms = nickel((2, 2, 3))
    atoms.pbc = (True, False, True)
    atoms.center(vacuum=5.0, axis=1)
    return atoms


def mirrored() -> Atoms:
    atoms = nickel((1, 1, 1))
    atoms.set_cell(atoms.cell.array[[1, 0, 2]])
    return atoms


def one_atom() -> Atoms:
    return Atoms("Ni", cell=[[0.0, 1.8, 1.7], [1.75, 0.0, 1.8], [1.8, 1.7, 0.1]], pbc=True)


def flat() -> Atoms:
    return nickel((3, 1, 2), skew=0.2, seed=5)


CELLS = {"cube": nickel, "one atom": one_atom, "left-handed": mirrored, "skewed": flat, "slab": slab}


@pytest.mark.parametrize("path", READY, ids=lambda path: path.stem)
def test_each_ready_labeling_configuration_parses(path):
    config = LabelConfig.from_yaml(path)
    assert config.method.kind == yaml.safe_load(path.read_text())["method"]["kind"]


def test_each_method_has_a_ready_configuration():
    assert {LabelConfig.from_yaml(path).method.kind for path in READY} == set(ENGINES)


def test_every_configuration_survives_json():
    for path in READY:
        method = LabelConfig.from_yaml(path).method
        assert engine_of(method.model_dump(mode="json")) == method


@needs_kim
@needs_lammps
@pytest.mark.parametrize("name", CELLS)
def test_kim_lammps_and_matscipy_agree_on_the_same_potential(zhang, name):
    atoms = CELLS[name]()
    kim, lammps, matscipy = (
        labeled(engine_of(section), atoms)
        for section in (
            {"kind": "kim", "model": ZHANG},
            {"kind": "eam", "file": zhang},
            {"kind": "eam", "file": zhang, "program": "matscipy"},
        )
    )
    for other in (lammps, matscipy):
        assert other.get_potential_energy() == pytest.approx(kim.get_potential_energy(), abs=1e-8)
        np.testing.assert_allclose(other.get_forces(), kim.get_forces(), rtol=0, atol=1e-8)
        if atoms.pbc.all():
            np.testing.assert_allclose(other.get_stress(), kim.get_stress(), rtol=0, atol=1e-8)
    energies = lammps.calc.results["energies"]
    np.testing.assert_allclose(energies, kim.calc.results["energies"], rtol=0, atol=1e-8)
    assert energies.sum() == pytest.approx(lammps.get_potential_energy())


@needs_lammps
def test_commands_that_lammps_refuses_are_found_before_any_structure(tmp_path):
    section = {"kind": "lammps", "pair_style": "nonsense", "pair_coeff": "* * 1 1", "types": ["Si"]}
    with pytest.raises(EngineError, match=r"got \['pair_style nonsense', .*mend pair_style"):
        engine_of(section).calculator(tmp_path)


@needs_lammps
def test_one_calculator_serves_structures_of_any_size_and_cell():
    config = engine_of({"kind": "eam", "file": "Al_mm.eam.fs"})
    shared = calculator_from(config)
    small, open_ = bulk("Al", a=4.1), bulk("Al", a=4.0, cubic=True) * (2, 1, 1)
    open_.pbc = False
    for atoms in (small, open_, bulk("Al", a=4.1, cubic=True), small):
        atoms.calc = shared
        assert atoms.get_potential_energy() == pytest.approx(
            labeled(config, atoms).get_potential_energy(), abs=1e-10
        )


@needs_kim
def test_kim_follows_small_steps_and_structures_of_another_size(tmp_path):
    engine = engine_of({"kind": "kim", "model": ZHANG})
    kept = engine.calculator(tmp_path)
    for size, step in ((2, 0), (2, 1), (2, 2), (1, 3), (2, 4)):
        atoms = bulk("Ni", a=3.52, cubic=True) * size
        atoms.rattle(0.05 + 1e-3 * step, seed=0)
        fresh = atoms.copy()
        atoms.calc, fresh.calc = kept, engine.calculator(tmp_path)
        np.testing.assert_allclose(atoms.get_forces(), fresh.get_forces(), rtol=0, atol=1e-10)
        energies = atoms.get_potential_energies()
        assert energies.sum() == pytest.approx(fresh.get_potential_energy(), abs=1e-9)
        np.testing.assert_allclose(energies, fresh.get_potential_energies(), rtol=0, atol=1e-10)


@needs_kim
def test_kim_counts_the_neighbors_of_atoms_outside_the_cell(tmp_path):
    atoms = bulk("Ni", cubic=True) * (2, 2, 2)
    atoms.rattle(0.1, seed=1)
    moved = atoms.copy()
    moved.positions[::3] += 2 * atoms.cell[0] - atoms.cell[1]
    moved.positions += 0.3
    for one in (atoms, moved):
        one.calc = engine_of({"kind": "kim", "model": ZHANG}).calculator(tmp_path)
    assert moved.get_potential_energy() == pytest.approx(atoms.get_potential_energy(), abs=1e-9)
    np.testing.assert_allclose(moved.get_forces(), atoms.get_forces(), atol=1e-9)


@needs_kim
@needs_lammps
def test_nickel_has_the_published_lattice_constant_and_energy(zhang):
    config = engine_of({"kind": "eam", "file": zhang})
    lengths = np.linspace(3.50, 3.53, 7)
    energies = [labeled(config, bulk("Ni", a=a)).get_potential_energy() for a in lengths]
    fit = np.polynomial.Polynomial.fit(lengths, energies, 4)
    best = next(root.real for root in fit.deriv().roots() if 3.5 < root.real < 3.53 and abs(root.imag) < 1e-9)
    assert best == pytest.approx(3.516, abs=5e-4)
    assert fit(best) == pytest.approx(-4.876, abs=5e-4)


@needs_kim
@needs_lammps
def test_the_aluminum_of_openkim_is_that_of_lammps():
    atoms = bulk("Al", a=4.0, cubic=True) * (2, 2, 2)
    atoms.rattle(0.1, seed=1)
    kim = labeled(engine_of({"kind": "kim", "model": MENDELEV}), atoms)
    lammps = labeled(engine_of({"kind": "eam", "file": "Al_mm.eam.fs"}), atoms)
    np.testing.assert_allclose(lammps.get_forces(), kim.get_forces(), rtol=0, atol=1e-8)


def silicon() -> Atoms:
    atoms = bulk("Si", "diamond", a=5.43, cubic=True)
    atoms.set_cell(atoms.cell.array @ [[1.02, 0.03, 0], [0, 0.97, 0.01], [0, 0, 1.01]], scale_atoms=True)
    atoms.rattle(0.1, seed=2)
    return atoms


def differentiable(name: str, zhang: Path) -> Atoms:
    if name == "stillinger-weber":
        return labeled(engine_of(SILICON), silicon())
    return labeled(engine_of({"kind": "eam", "file": zhang}), nickel())


@needs_kim
@needs_lammps
@pytest.mark.parametrize("name", ["eam", "stillinger-weber"])
def test_forces_are_derivatives_of_the_energy(name, zhang):
    atoms, step = differentiable(name, zhang), 1e-4
    forces = atoms.get_forces()
    for i, axis in [(0, 0), (1, 1), (3, 2)]:
        energies = []
        for side in (-2, -1, 1, 2):
            moved = atoms.copy()
            moved.calc = atoms.calc
            moved.positions[i, axis] += side * step
            energies.append(moved.get_potential_energy())
        slope = (energies[0] - 8 * energies[1] + 8 * energies[2] - energies[3]) / (12 * step)
        assert forces[i, axis] == pytest.approx(-slope, abs=1e-6)


@needs_kim
@needs_lammps
@pytest.mark.parametrize("name", ["eam", "stillinger-weber"])
def test_stress_is_the_derivative_by_the_strain(name, zhang):
    atoms, step = differentiable(name, zhang), 1e-4
    stress = atoms.get_stress(voigt=False)
    for i, j in [(0, 0), (2, 2), (0, 1), (1, 2)]:
        energies = []
        for side in (-2, -1, 1, 2):
            strain = np.zeros((3, 3))
            strain[i, j] += side * step / 2
            strain[j, i] += side * step / 2
            moved = atoms.copy()
            moved.calc = atoms.calc
            moved.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
            energies.append(moved.get_potential_energy())
        slope = (energies[0] - 8 * energies[1] + 8 * energies[2] - energies[3]) / (12 * step)
        assert stress[i, j] == pytest.approx(slope / atoms.get_volume(), abs=1e-6)


@pytest.mark.parametrize(
    ("preset", "symbol", "constant", "energy"),
    [("Si-1985", "Si", 5.4310, -4.3366), ("Ge-Ding-Andersen", "Ge", 5.6536, -3.86)],
)
def test_stillinger_weber_presets_give_the_cohesive_energy(preset, symbol, constant, energy):
    config = engine_of({"kind": "stillinger-weber", "preset": preset})
    atoms = labeled(config, bulk(symbol, "diamond", a=constant))
    assert atoms.get_potential_energy() / 2 == pytest.approx(energy, abs=1e-4)
    assert abs(atoms.get_stress()).max() < 1e-4


@needs_lammps
def test_stillinger_weber_takes_parameters_of_ones_own_and_agrees_with_lammps(tmp_path):
    parameters = {"epsilon": 1.7, "sigma": 2.2, "lambda": 25.0, "gamma": 1.1, "a": 1.7}
    table = "Si Si Si 1.7 2.2 1.7 25.0 1.1 -0.333333333333 7.049556277 0.6022245584 4.0 0.0 0.0\n"
    (tmp_path / "own.sw").write_text(table)
    ours = engine_of({"kind": "stillinger-weber", "element": "Si", "parameters": parameters})
    theirs = engine_of(
        {"kind": "lammps", "pair_style": "sw", "pair_coeff": f"* * {tmp_path}/own.sw Si", "types": ["Si"]}
    )
    first, second = labeled(ours, silicon()), labeled(theirs, silicon())
    assert first.get_potential_energy() == pytest.approx(second.get_potential_energy(), abs=1e-8)
    np.testing.assert_allclose(first.get_forces(), second.get_forces(), rtol=0, atol=1e-8)
    np.testing.assert_allclose(first.get_stress(), second.get_stress(), rtol=0, atol=1e-8)


@needs_tblite
@pytest.mark.parametrize("method", ["GFN1-xTB", "GFN2-xTB"])
def test_xtb_gives_a_molecule_its_energy_and_forces(method):
    atoms = labeled(engine_of({"kind": "xtb", "method": method, "accuracy": 0.01}), molecule("CH3CH2OH"))
    force = atoms.get_forces()[0, 0]
    energies = []
    for side in (-1, 1):
        moved = atoms.copy()
        moved.calc = atoms.calc
        moved.positions[0, 0] += side * 1e-3
        energies.append(moved.get_potential_energy())
    assert force == pytest.approx((energies[0] - energies[1]) / 2e-3, abs=1e-4)


@needs_tblite
def test_xtb_refuses_a_layer_until_vacuum_closes_it():
    engine = engine_of({"kind": "xtb", "method": "GFN1-xTB"})
    layer = Atoms(
        "C2", [[0, 0, 6], [0, 1.42, 6]], cell=[[2.46, 0, 0], [-1.23, 2.13, 0], [0, 0, 12]], pbc=True
    )
    assert np.isfinite(CalculatorLabeler(engine)(layer).get_potential_energy())
    for pbc, height in (((1, 1, 0), 12.0), ((1, 1, 0), 0.0), ((0, 1, 0), 12.0), ((1, 1, 1), 0.0)):
        open_ = layer.copy()
        open_.pbc, open_.cell[2, 2] = pbc, height
        with pytest.raises(LabelingError, match="close open directions with vacuum"):
            CalculatorLabeler(engine)(open_)
    for alone in (Atoms("He"), Atoms("He", cell=[5, 5, 5])):
        engine.check(alone, engine.elements(), "x:1")


def hexane(stretch: float) -> Atoms:
    """A zigzag of six carbons whose two halves are ``stretch`` Å farther apart."""
    positions = [[1.27 * i, 0.44 * (-1) ** i, 0.0] for i in range(6)]
    atoms = Atoms("C6", positions)
    atoms.positions[3:, 0] += stretch
    return atoms


@pytest.mark.parametrize(("stretch", "is_refused"), [(0.0, False), (1.5, False), (3.0, True)])
def test_dftb3_refuses_a_chain_that_is_torn_too_far(stretch, is_refused):
    method = engine_of({"kind": "dftb3"})
    if is_refused:
        with pytest.raises(LabelingError, match="expected parts at most"):
            method.check(hexane(stretch), method.elements(), "chain")
    else:
        method.check(hexane(stretch), method.elements(), "chain")


@needs_sparrow
def test_dftb3_costs_more_energy_the_farther_ethane_is_torn():
    config = engine_of({"kind": "dftb3"})
    energies = []
    for stretch in (0.0, 0.5, 1.0, 1.9):
        atoms = molecule("C2H6")
        atoms.positions[atoms.positions[:, 2] > 0, 2] += stretch
        energies.append(labeled(config, atoms).get_potential_energy())
    assert np.all(np.diff(energies) > 0.1)
    assert 4 < energies[-1] - energies[0] < 8


def test_dftb3_refuses_a_crystal():
    with pytest.raises(LabelingError, match="expected a molecule"):
        engine_of({"kind": "dftb3"}).check(bulk("C"), None, "x:1")


def test_any_calculator_is_found_by_its_import_path():
    config = engine_of(
        {"kind": "ase", "calculator_class": "ase.calculators.lj.LennardJones", "arguments": {"sigma": 2.0}}
    )
    assert calculator_from(config).parameters.sigma == 2.0


@needs_pw
def test_espresso_takes_the_smearing_term_off_when_asked(tmp_path):
    atoms = bulk("Si", "diamond", a=5.47)
    free, without = (
        labeled(engine_of(ESPRESSO | {"energy": energy, "degauss": 0.05}), atoms, tmp_path / energy)
        for energy in ("free", "without_entropy")
    )
    difference = without.get_potential_energy() - free.get_potential_energy()
    label = CalculatorLabeler(without.calc.config, scratch=tmp_path)(atoms)
    assert label.get_potential_energy() == pytest.approx(without.get_potential_energy(), abs=1e-6)
    output = (tmp_path / "free" / "espresso.pwo").read_text()
    line = next(line for line in output.splitlines() if "smearing contrib" in line)
    term = float(line.split("=")[1].split()[0]) * 13.605693
    assert term < -1e-3
    assert difference == pytest.approx(-term, abs=1e-5)
    assert free.get_stress().shape == (6,)


@needs_pw
def test_espresso_is_magnetic_only_when_asked(tmp_path):
    atoms = bulk("Si", "diamond", a=5.47)
    atoms.set_initial_magnetic_moments([1.0, 1.0])
    for moments, spins in ((None, 0), ({"Si": 0.5}, 1)):
        folder = tmp_path / str(spins)
        labeled(engine_of(ESPRESSO | {"magnetic_moments": moments}), atoms, folder).get_potential_energy()
        assert (folder / "espresso.pwi").read_text().count("nspin") == spins


@needs_pw
@pytest.mark.parametrize(
    ("length", "spacing", "mesh"),
    [(5.43, 0.3, "4 4 4"), (5.43, 0.15, "8 8 8"), (3.52, 0.3, "6 6 6"), (21.0, 0.3, "1 1 1")],
)
def test_espresso_takes_the_mesh_whose_spacing_was_asked_for(tmp_path, length, spacing, mesh):
    config = engine_of(ESPRESSO | {"kpoints": None, "spacing": spacing, "offset": (1, 0, 1)})
    calculator = config.calculator(tmp_path)
    calculator.write_inputfiles(bulk("Si", "diamond", a=length, cubic=True), ["energy"])
    assert f"K_POINTS automatic\n{mesh}  1 0 1\n" in (tmp_path / "espresso.pwi").read_text()


FAULTS = {
    "unknown method": ({"kind": "stilinger-weber"}, "did you mean 'stillinger-weber'"),
    "no kind": ({"preset": "Si-1985"}, "expected a kind"),
    "unknown parameter": ({**SILICON, "lamda": 21.0}, "lamda"),
    "unknown preset": ({**SILICON, "preset": "Ge-1990"}, "Si-1985"),
    "preset and parameters": ({**SILICON, "element": "Si"}, "expected a preset"),
    "no k-points": ({**ESPRESSO, "kpoints": None}, "expected kpoints or spacing"),
    "half a smearing": ({**ESPRESSO, "degauss": None}, "expected smearing and degauss"),
    "no element": (
        {"kind": "lammps", "pair_style": "sw", "pair_coeff": "* * Si.sw Si", "types": ["Xx"]},
        "expected symbols of elements",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_wrong_section_is_refused_with_a_hint(name):
    section, message = FAULTS[name]
    with pytest.raises((ValidationError, UnknownNameError, ValueError), match=message):
        engine_of(section)


WRONG = {
    "relaxation": (
        {**ESPRESSO, "input_data": {"control": {"calculation": "relax"}}},
        "calculation, which is scf",
    ),
    "no forces": ({**ESPRESSO, "input_data": {"CONTROL": {"TPRNFOR": False}}}, "which is always true"),
    "namelist": ({**ESPRESSO, "input_data": {"sistem": {"nspin": 2}}}, "did you mean 'system'"),
    "moments": ({**ESPRESSO, "magnetic_moments": {"Sx": 2.0}}, "expected moments of Si, got 'Sx'"),
    "command": ({**ESPRESSO, "command": " "}, "expected a command"),
    "charges": (
        {"kind": "lammps", "pair_style": "coul/wolf 0.2 6.0", "pair_coeff": "* *", "types": ["H", "O"],
         "atom_style": "charge"},
        "expected charges of H, O",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_settings_that_would_give_wrong_labels_are_refused(name):
    section, message = WRONG[name]
    with pytest.raises(ValidationError, match=message):
        engine_of(section)


@needs_lammps
def test_lammps_takes_charges_and_hybrid_styles():
    water = molecule("H2O", vacuum=4.0, pbc=True)
    charges = {"H": 0.4, "O": -0.8}
    section = {
        "kind": "lammps", "pair_style": "hybrid/overlay coul/cut 5.0 lj/cut 5.0",
        "pair_coeff": ["* * coul/cut", "* * lj/cut 1.0e-30 1.0"],
        "types": ["H", "O"], "atom_style": "charge", "charges": charges,
    }  # fmt: skip
    water.calc = calculator_from(engine_of(section))
    lengths, q = water.get_all_distances(), [charges[symbol] for symbol in water.symbols]
    pairs = [(0, 1), (0, 2), (1, 2)]
    coulomb = sum(14.399645 * q[i] * q[j] / lengths[i, j] for i, j in pairs)
    assert water.get_potential_energy() == pytest.approx(coulomb, rel=1e-5)


MISSING = {
    "potential file": ({"kind": "eam", "file": "none.eam.fs"}, "expected a potential file at none.eam.fs"),
    "pair file": (
        {"kind": "lammps", "pair_style": "sw", "pair_coeff": "* * none.sw Si", "types": ["Si"]},
        "expected a potential file at none.sw",
    ),
    "model": ({"kind": "kim", "model": "EAM_None__MO_000000000000_000"}, "openkim-models"),
    "program": ({**ESPRESSO, "command": "pw-not-there.x"}, "install it: apt-get install quantum-espresso"),
    "module": ({"kind": "ase", "calculator_class": "sevennn.X"}, "install it: pip install sevennn"),
    "argument of ASE": (
        {"kind": "ase", "calculator_class": "ase.calculators.lj.LennardJones", "arguments": {"epsilom": 2.0}},
        "did you mean 'epsilon'",
    ),
    "class": ({"kind": "ase", "calculator_class": "ase.calculators.emt.EMTT"}, "expected the import path"),
    "argument": (
        {"kind": "ase", "calculator_class": "faulty_engines.Counting", "arguments": {"logg": "x"}},
        "expected arguments of faulty_engines.Counting",
    ),
    "model file": ({"kind": "gnnpot", "model": "none.safetensors"}, "expected a model file"),
}


@needs_lammps
@needs_kim
@pytest.mark.parametrize("name", MISSING)
def test_what_is_missing_is_named_before_anything_runs(name):
    section, message = MISSING[name]
    with pytest.raises(EngineError, match=message):
        calculator_from(engine_of(section))


@needs_pw
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pseudopotentials": {"Si": "none.UPF"}}, "expected the pseudopotential of Si"),
        ({"pseudo_dir": "/none"}, "expected pseudopotentials in /none"),
    ],
)
def test_a_missing_pseudopotential_is_named(change, message):
    with pytest.raises(EngineError, match=message):
        calculator_from(engine_of(ESPRESSO | change))


def test_an_unreadable_table_is_refused(tmp_path):
    (tmp_path / "a.eam.fs").write_text("not a table\n")
    with pytest.raises(EngineError, match="expected an EAM file in format eam/fs"):
        engine_of({"kind": "eam", "file": tmp_path / "a.eam.fs", "program": "matscipy"}).elements()


@pytest.mark.parametrize(
    ("atoms", "message"),
    [
        (bulk("Ge"), "expected elements of Si"),
        (molecule("H2O"), "expected three periodic directions"),
        (Atoms("Si", pbc=True), "0 Å³; give the structure a cell"),
    ],
)
def test_a_structure_that_does_not_fit_the_method_is_refused(atoms, message):
    method = engine_of(ESPRESSO)
    with pytest.raises(LabelingError, match=message):
        method.check(atoms, method.elements(), "frames.xyz:1")


def test_stillinger_weber_treats_a_cluster_in_a_box_and_refuses_one_without():
    cluster = silicon()
    cluster.pbc = False
    cluster.center(vacuum=5.0)
    method = engine_of(SILICON)
    method.check(cluster, method.elements(), "x:1")
    assert np.isfinite(labeled(method, cluster).get_potential_energy())
    cluster.cell = np.zeros((3, 3))
    with pytest.raises(LabelingError, match="put it into a box"):
        method.check(cluster, method.elements(), "x:1")


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
