"""Settings and structures that a reference method cannot take are refused."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from engine_examples import ESPRESSO, SILICON, labeled, silicon
from pydantic import ValidationError
from reference_programs import (
    needs_kim,
    needs_lammps,
    needs_pw,
)

from gnnpot.engines import calculator_from, engine_of
from gnnpot.errors import EngineError, LabelingError, UnknownNameError

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


@pytest.mark.parametrize("kind", ["xtb", "dftb3"])
def test_a_charge_that_the_method_would_ignore_is_refused_unless_it_is_said(kind):
    ion, partial = molecule("OH"), molecule("H2O")
    ion.info["charge"] = -1
    partial.set_initial_charges([-0.8, 0.4, 0.4])
    plain, charged = (engine_of({"kind": kind, "charge": charge}) for charge in (0, -1))
    known = plain.elements()
    with pytest.raises(LabelingError, match="got -1 as charge"):
        plain.check(ion, known, "x:1")
    charged.check(ion, known, "x:1")
    plain.check(partial, known, "x:1")
    partial.set_initial_charges([-1.0, 0.0, 0.0])
    with pytest.raises(LabelingError, match=r"got -1\.0 as the sum of its initial charges"):
        plain.check(partial, known, "x:1")
