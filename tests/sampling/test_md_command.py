"""`gnnpot md`: dynamics of one structure in a few words, and what ends them."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import yaml
from ase.build import bulk
from ase.io import read, write
from potentials import small_potential

from gnnpot.engines.words import committee_from_words, engine_from_word
from gnnpot.errors import ConfigError, DataError
from gnnpot.potential.model_file import save_potential
from gnnpot.sampling import SampleConfig, sample
from gnnpot.sampling.crystals import structure
from gnnpot.sampling.limits import Limits
from gnnpot.sampling.log import read_log

EMT = "ase:calculator_class=ase.calculators.emt.EMT"


@pytest.fixture
def dynamics(command, tmp_path):
    """Run `gnnpot md` into a folder; gives exit code, the summary and stderr."""

    def run(*words: object) -> tuple[int, dict, str]:
        code, out, err = command("md", *words, "--output", tmp_path / "md", "--json")
        return code, json.loads(out) if out else {}, err

    return run


@pytest.fixture
def models(tmp_path):
    """Two model files of copper, one of them in a run's folder."""
    run = tmp_path / "run"
    run.mkdir()
    for place, path in enumerate((run / "model.safetensors", tmp_path / "other.safetensors")):
        save_potential(small_potential("schnet", elements=("Cu",), seed=place), path)
    return run, tmp_path / "other.safetensors"


def test_a_run_leaves_trajectory_log_and_figure(dynamics, tmp_path):
    code, summary, _ = dynamics(EMT, "Cu", "--repeat", "1x1x2", "--time", "60fs", "--timestep", "2")
    assert code == 0
    assert (summary["time_ps"], summary["steps"], summary["failure"]) == (0.06, 30, "")
    frames, log = read(tmp_path / "md" / "frames.xyz", ":"), read_log(tmp_path / "md" / "log.csv")
    assert len(frames) == summary["frames"] == len(log) == 30  # a frame each step in so short a run
    assert len(frames[0]) == 8
    last = frames[-1]
    assert log["potential_energy"][-1] == pytest.approx(last.get_potential_energy())
    assert summary["means"]["temperature_K"]["mean"] == pytest.approx(log["kinetic_temperature"][15:].mean())
    assert (tmp_path / "md" / "dynamics.svg").read_text().startswith("<?xml")


def test_the_log_holds_the_pressure_of_stress_and_momenta(dynamics, tmp_path):
    dynamics(EMT, "Cu", "--time", "20fs", "--temperature", "500")
    config = SampleConfig.from_yaml(tmp_path / "md" / "config.yaml")
    assert config.labels == "keep"
    frames, log = read(tmp_path / "md" / "frames.xyz", ":"), read_log(tmp_path / "md" / "log.csv")
    virial = [-frame.get_stress()[:3].mean() * 160.21766208 for frame in frames]
    kinetic = (log["total_energy"] - log["potential_energy"]) * 2 / 3 / log["volume"] * 160.21766208
    np.testing.assert_allclose(log["pressure_GPa"], virial + kinetic, rtol=1e-6)


def test_an_explosion_is_a_result_that_names_its_time_and_atom(dynamics, tmp_path):
    code, summary, _ = dynamics(EMT, "Cu", "--time", "5ps", "--timestep", "100fs", "--temperature", "900")
    assert code == 1
    assert summary["time_ps"] < 5
    assert "atom" in summary["failure"]
    assert "(Cu)" in summary["failure"]
    assert json.loads((tmp_path / "md" / "summary.json").read_text())["runs"][0]["failure"]


def test_a_run_goes_on_with_the_same_options_only(dynamics):
    words = (EMT, "Cu", "--time", "40fs", "--ensemble", "npt", "--pressure", "100")
    _, before, _ = dynamics(*words)
    code, after, _ = dynamics(*words, "--resume")
    assert (code, after["steps"], after["means"]) == (0, before["steps"], before["means"])
    code, _, err = dynamics(*words, "--seed", "3", "--resume")
    assert code == 2
    assert "got other values of seed" in err


def test_a_run_can_be_made_longer(command, tmp_path):
    words = ("md", EMT, "Cu", "--interval", "4fs", "--timestep", "2")
    for name, times in (("whole", ["40fs"]), ("longer", ["20fs", "40fs"])):
        for time in times:
            more = (*words, "--time", time, "--output", tmp_path / name, "--resume")
            assert command(*more)[0] == 0
    for name in ("frames.xyz", "log.csv"):
        assert (tmp_path / "longer" / name).read_text() == (tmp_path / "whole" / name).read_text()
    code, _, err = command(*more, "--temperature", "300:600")
    assert (code, "got other values of sampler." in err) == (2, True)


def test_the_temperature_may_rise(dynamics, tmp_path):
    dynamics(EMT, "Cu", "--time", "20fs", "--temperature", "300:900", "--interval", "10fs")
    frames = read(tmp_path / "md" / "frames.xyz", ":")
    assert [frame.info["temperature"] for frame in frames] == [600.0, 900.0]


def test_several_models_are_a_committee_and_a_folder_stands_for_its_model(models, dynamics, tmp_path):
    run, other = models
    engine = committee_from_words([str(run), str(other)])
    assert [path.name for path in engine.model] == ["model.safetensors", "other.safetensors"]
    code, summary, _ = dynamics(run, other, "Cu", "--time", "3fs", "--device", "cpu")
    assert (code, summary["steps"]) == (0, 3)


def test_a_method_is_named_with_its_settings_or_by_a_file(tmp_path):
    word = engine_from_word("stillinger-weber:preset=Si-1985")
    for section in ({"method": {"kind": "stillinger-weber", "preset": "Si-1985"}}, word.model_dump()):
        path = tmp_path / "method.yaml"
        path.write_text(yaml.safe_dump({k: v for k, v in section.items() if v is not None}))
        assert engine_from_word(str(path)) == word
    assert engine_from_word("ase:calculator_class=x.Y,arguments.a=3").arguments == {"a": 3}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nothing", "Cu"], "expected a model or a method, got 'nothing'"),
        (["stillinger-weder", "Si"], "did you mean 'stillinger-weber'"),
        (["no/where.safetensors", "Si"], "there is no such file"),
        (["stillinger-weber", "Si"], "expected a preset"),
        ([EMT, "xtb", "Cu"], "expected models for a committee, got 'ase:"),
        ([EMT, "Cu:fc"], "did you mean 'fcc'"),
        ([EMT, "cu.xyz"], "which is not there"),
        (["stillinger-weber:preset=Si-1985", "Cu"], "expected elements of Si"),
        ([EMT, "Cu", "--time", "3parsec"], "expected a time such as 10ps"),
        ([EMT, "Cu", "--ensemble", "nvx"], "ensemble"),
        ([EMT, "Cu", "--friction", "0.1", "--ensemble", "nve"], "expected a friction with"),
        ([EMT, "Cu", "--pressure", "1"], "expected a pressure with"),
        ([EMT, "Cu", "--time", "1fs", "--timestep", "3fs"], "expected a time of at least one step"),
        ([EMT, "Cu", "--ensemble", "nve", "--temperature", "300:600"], "expected constant temperatures"),
        ([EMT, "Cu", "--temperature", "cold"], "temperature"),
        ([EMT, "Cu", "--temperature", "300:cold"], "temperature"),
        ([EMT, "Cu", "--repeat", "2x2"], "repeat"),
    ],
)
def test_mistakes_are_told_in_one_line(words, message, command, tmp_path):
    code, out, err = command("md", *words, "--output", tmp_path / "md")
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "md").exists()


def test_one_structure_of_several_has_to_be_chosen(tmp_path):
    path = tmp_path / "two.xyz"
    write(path, [bulk("Cu"), bulk("Ni")])
    assert str(structure(f"{path}@-1").symbols) == "Ni"
    with pytest.raises(DataError, match="several; choose one of them"):
        structure(str(path))
    with pytest.raises(ConfigError, match="not there"):
        structure(str(tmp_path / "none.xyz@0"))


@pytest.mark.parametrize(("word", "count"), [("NiAl:B2", 2), ("Ni3Al:L1_2", 4), ("CaF2:C1", 12), ("Ge", 8)])
def test_samplers_start_from_crystals_by_name(word, count):
    sampler = {"kind": "noise", "copies": 1}
    for structures in (word, {"crystal": word, "lattice_constant": 4.5, "repeats": 2}):
        config = SampleConfig.from_dict({"structures": structures, "sampler": sampler}, source="test")
        (atoms,) = config.structures.structures()
        several = isinstance(structures, dict)
        assert len(atoms) == count * (8 if several else 1)
        assert not several or atoms.cell.lengths() == pytest.approx([9.0] * 3)


def test_limits_name_the_atoms():
    atoms = bulk("Cu", cubic=True) * (2, 1, 1)
    atoms.positions[5] = atoms.positions[2] + [0.5, 0, 0]
    assert re.match(r"atom [25] \(Cu\) and atom [25] \(Cu\) 0.50 Å apart", Limits().overlap_in(atoms))
    atoms.set_momenta(np.eye(8, 3) * 300)
    atoms.arrays["momenta"][2] *= 2
    assert "atom 2 (Cu) is the hottest" in Limits().motion_of(atoms, 300)
    atoms.positions[6] = np.nan
    assert "first of atom 6 (Cu)" in Limits().motion_of(atoms, 300)


def test_several_elements_on_the_lattice_of_one_are_random_alloys():
    values = {"crystal": "Cu3Au:fcc", "repeats": 2, "copies": 3}
    config = SampleConfig.model_validate({"structures": values, "sampler": {"kind": "rattle"}})
    first, second, third = config.structures.structures()
    for atoms in (first, second, third):
        assert atoms.get_chemical_formula() == "Au8Cu24"
        np.testing.assert_allclose(atoms.cell.lengths(), 2 * (0.75 * 3.61 + 0.25 * 4.08), atol=1e-9)
    assert not (first.numbers == second.numbers).all()
    (again, *_) = config.structures.structures()
    assert (first.numbers == again.numbers).all()
    config = SampleConfig.model_validate({"structures": "CuAu:fcc", "sampler": {"kind": "rattle"}})
    assert [atoms.get_chemical_formula() for atoms in config.structures.structures()] == ["Au2Cu2"]


def test_samplers_start_from_a_list_of_crystals_and_files(tmp_path):
    write(tmp_path / "two.xyz", [bulk("Cu"), bulk("Ni")])
    told = ["Ni3Al:L1_2", {"crystal": "NiAl:fcc", "repeats": 2, "copies": 2}, str(tmp_path / "two.xyz")]
    values = {"structures": told, "sampler": {"kind": "noise", "copies": 1}}
    config = SampleConfig.from_dict(values, source="test")
    formulas = [atoms.get_chemical_formula() for atoms in config.structures.structures()]
    assert formulas == ["AlNi3", "Al16Ni16", "Al16Ni16", "Cu", "Ni"]
    assert SampleConfig.from_dict(config.written(), source="again") == config
    before = config.inputs()["structures"]
    write(tmp_path / "two.xyz", [bulk("Cu")])
    assert config.inputs()["structures"] != before


def test_copies_of_an_ordered_crystal_are_refused():
    values = {"structures": {"crystal": "NiAl:B2", "copies": 2}, "sampler": {"kind": "noise"}}
    with pytest.raises(ConfigError, match="got 2 of NiAl:B2, which has one arrangement"):
        list(SampleConfig.from_dict(values, source="test").structures.structures())


def test_structures_of_two_kinds_are_refused_with_what_to_write():
    structures = {"element": "Si", "crystal": "diamond", "lattice_constant": 5.4, "molecule": "H2O"}
    with pytest.raises(ConfigError, match="got molecule beside element; replace the whole section, as str"):
        SampleConfig.from_dict({"structures": structures, "sampler": {"kind": "noise"}}, source="test")


def test_frames_are_in_the_group_of_what_they_come_from(tmp_path):
    values = {"structures": ["NiAl:B2", {"molecule": "H2O"}], "sampler": {"kind": "noise", "copies": 1}}
    sample(SampleConfig.from_dict(values, source="test"), tmp_path / "run")
    assert [atoms.info["group"] for atoms in read(tmp_path / "run" / "frames.xyz", ":")] == ["NiAl:B2", "H2O"]
