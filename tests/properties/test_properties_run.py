"""`gnnpot properties`: models side by side, a reference from a store, and what fails beside what goes on."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from ase import Atoms
from ase.build import fcc111, molecule
from ase.calculators.calculator import CalculationFailed
from ase.calculators.emt import EMT
from ase.io import write
from potentials import small_potential

from gnnpot.data.structure import bare_structure
from gnnpot.engines.words import committee_from_words, engine_from_word
from gnnpot.labeling.store.store import LabelStore
from gnnpot.labeling.stored_calculator import StoredCalculator
from gnnpot.potential.folder import FINISHED, MODEL_FILE
from gnnpot.potential.model_file import save_potential
from gnnpot.properties.config import PropertiesConfig
from gnnpot.properties.figures import figures
from gnnpot.properties.relaxation import RelaxationConfig, relax_crystal
from gnnpot.properties.rest import at_rest
from gnnpot.properties.run import as_told, properties
from gnnpot.properties.table import deviation, number, problems, rows
from gnnpot.sampling.crystals import crystal

METAL = "ase:calculator_class=ase.calculators.emt.EMT"
OTHER = f"{METAL},arguments.asap_cutoff=true"
SILICON = "stillinger-weber:preset=Si-1985"
QUICK = ("equation_of_state.points=5", "dynamics.time=75", "dynamics.equilibration=0", "dynamics.size=3")


class Stressless(EMT):
    """EMT that gives no stress."""

    implemented_properties = ("energy", "energies", "forces")

    def calculate(self, *words, **settings):
        super().calculate(*words, **settings)
        self.results.pop("stress", None)


class Small(EMT):
    """EMT that fails on more than four atoms."""

    def calculate(self, atoms=None, *words, **settings):
        if len(atoms) > 4:
            raise CalculationFailed("more than four atoms")
        super().calculate(atoms, *words, **settings)


STRESSLESS = f"ase:calculator_class={__name__}.Stressless"
SMALL = f"ase:calculator_class={__name__}.Small"


@pytest.fixture
def found(tmp_path):
    """Compute properties into a folder; gives the summary."""

    def run(*models, structure="Cu", only=("relaxation", "elastic"), settings=(), resume=False, **more):
        config = PropertiesConfig.from_words(
            models, structure, only=only, settings=(*QUICK, *settings), **more
        )
        return properties(config, tmp_path / "properties", resume=resume)

    return run


def test_models_stand_side_by_side_and_one_that_cannot_does_not_stop_the_others(command, tmp_path):
    words = ("properties", METAL, SILICON, "--structure", "Cu", "--reference", OTHER)
    words = (*words, "--only", "relaxation", "elastic", "--output", tmp_path / "out")
    code, out, err = command(*words)
    assert code == 0
    assert max(map(len, out.splitlines()[:-3])) <= 80
    assert re.search(r"C11 \(GPa\) +172.6 −0.2 % +failed +173.0", out)
    assert "Si-1985: relaxation: expected elements of Si" in out
    assert "EMT: elastic constants" in err
    code, out, _ = command(*words, "--resume", "--json")
    told = json.loads(out)
    assert told["models"]["EMT"]["elastic"]["C11"] == pytest.approx(172.6, abs=0.1)
    assert told["reference"]["elastic"]["C11"] == pytest.approx(173.0, abs=0.1)
    assert told["units"]["elastic"]["C11"] == "GPa"
    assert "failure" in told["models"]["Si-1985"]["relaxation"]
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Properties of Cu" in page
    assert "<script" not in page


def test_the_numbers_of_a_single_model_stand_at_the_top(found):
    summary = found(METAL)
    assert as_told(summary)["elastic"] == summary["models"]["EMT"]["elastic"]


@pytest.mark.parametrize(("count", "below"), [(3, 0), (4, 1)])
def test_the_legend_of_many_lines_is_below_their_curves(count, below):
    volumes = {"volumes": [10.0, 11.0, 12.0], "energies": [-1.0, -2.0, -1.0], "energy": -2.0}
    models = {f"model {number}": {"equation_of_state": volumes} for number in range(count)}
    (one,) = figures({"models": models, "reference": None})
    (axes,) = one.figure.axes
    assert len(one.figure.legends) == below
    legend = one.figure.legends[0] if below else axes.get_legend()
    assert [text.get_text() for text in legend.get_texts()] == list(models)


def test_figures_of_curves_are_files_and_in_the_page(found, tmp_path):
    settings = (
        "certificate.steps=0",
        "certificate.size=3",
        "phonons.size=3",
        "phonons.points=20",
        "migration.size=3",
    )
    only = ("equation_of_state", "phonons", "dynamics", "certificate", "migration")
    found(METAL, only=only, settings=settings)
    folder = tmp_path / "properties"
    drawn = {path.stem for path in (folder / "figures").glob("*.svg")}
    assert {"equation_of_state", "phonons", "radial_distribution", "angular_distribution"} <= drawn
    assert {"dimer_Cu-Cu", "compression", "migration", "displacement"} <= drawn
    page = (folder / "report.html").read_text()
    assert page.count("<img ") == len(drawn)
    assert "forces = −∇E" in page


def test_a_rerun_takes_what_is_there_and_repeats_what_failed_or_is_missing(found, tmp_path):
    found(METAL, SILICON)
    folder = tmp_path / "properties" / "results"
    kept, lost = folder / "EMT" / "relaxation.json", folder / "EMT" / "elastic.json"
    failed, before = folder / "Si-1985" / "relaxation.json", kept.stat().st_mtime_ns
    old, failed_before = json.loads(lost.read_text()), failed.stat().st_mtime_ns
    lost.unlink()
    summary = found(METAL, SILICON, resume=True, only=("relaxation", "elastic", "equation_of_state"))
    assert kept.stat().st_mtime_ns == before
    assert failed.stat().st_mtime_ns > failed_before
    np.testing.assert_allclose(summary["models"]["EMT"]["elastic"]["C"], old["C"], atol=1e-3)
    assert "bulk_modulus" in summary["models"]["EMT"]["equation_of_state"]


def test_a_reference_is_computed_once_for_all_runs(tmp_path):
    counts = []
    for name in ("first", "second"):
        config = PropertiesConfig.from_words(
            [METAL], "Cu", reference=OTHER, only=["relaxation", "elastic"],
            settings=[f"store={tmp_path / 'labels.db'}"],
        )  # fmt: skip
        summary = properties(config, tmp_path / name)
        counts.append((LabelStore(tmp_path / "labels.db").last, summary["reference"]["elastic"]["C11"]))
    assert counts[0] == counts[1]
    assert counts[0][0] > 20


def test_a_stored_calculator_computes_each_structure_once_and_keeps_failures(tmp_path):
    engine, store = engine_from_word(SMALL), LabelStore(tmp_path / "labels.db")
    for anew in (2, 0):
        calculator = StoredCalculator(engine, store, tmp_path)
        energy = crystal("Cu")
        energy.calc = calculator
        assert energy.get_potential_energy() == pytest.approx(-0.007, abs=0.05)
        assert energy.get_stress().shape == (6,)
        with pytest.raises(CalculationFailed, match="more than four"):
            calculator.get_potential_energy(crystal("Cu") * (2, 1, 1))
        assert calculator.computed_anew == anew


def test_values_of_a_file_are_a_reference_too(found, tmp_path):
    path = tmp_path / "values.json"
    path.write_text(json.dumps({"elastic": {"C11": 180.0}}))
    summary = found(METAL, reference=str(path))
    row = next(row for row in rows(summary) if row.path == ("C11",))
    assert row.reference == 180.0
    assert deviation(row, row.values[0]) == "−4.1 %"


def test_what_does_not_relax_is_one_line_and_all_else_waits_for_it(found):
    summary = found(METAL, settings=["relaxation.steps=1", "relaxation.force=1e-12"])
    (problem,) = problems(summary)
    assert "1 steps did not suffice" in problem.reason
    assert "did not relax" in summary["models"]["EMT"]["elastic"]["failure"]


def test_given_structures_are_phases_beside_the_known_crystals(found, tmp_path):
    strained = crystal("Cu")
    strained.set_cell(strained.cell.array * [[1.02], [1], [0.99]], scale_atoms=True)
    write(tmp_path / "strained.xyz", bare_structure(strained))
    name = str(tmp_path / "strained.xyz")
    phases = found(METAL, only=("phases",), settings=[f"phases.structures=[{name}]"])["models"]["EMT"][
        "phases"
    ]
    assert {"Cu:fcc", "Cu:bcc", name} <= set(phases)
    assert phases[name]["energy"] == pytest.approx(phases["Cu:fcc"]["energy"], abs=1e-5)


def test_a_phase_of_another_composition_is_refused(found):
    summary = found(METAL, only=("phases",), settings=["phases.structures=[CuAu:B2]"])
    told = summary["models"]["EMT"]["phases"]["failure"]
    assert "expected phases of the composition Cu, got CuAu:B2 of AuCu" in told


def test_a_strain_that_breaks_the_crystal_is_one_line_and_others_go_on(found):
    summary = found(METAL, only=("elastic", "equation_of_state"), settings=["elastic.strain=0.4"])
    (problem,) = problems(summary)
    assert (problem.property, "breaks Cu4" in problem.reason) == ("elastic constants", True)
    assert summary["models"]["EMT"]["equation_of_state"]["bulk_modulus"] > 100


@pytest.mark.parametrize("atoms", [molecule("N2"), fcc111("Cu", (1, 1, 4), vacuum=8.0, periodic=True)])
def test_a_molecule_or_a_slab_relaxes_and_is_refused_what_crystals_have(atoms, found, tmp_path):
    write(tmp_path / "one.xyz", bare_structure(atoms))
    names = ("relaxation", "phonons", "elastic", "vacancy", "equation_of_state")
    models = found(METAL, structure=str(tmp_path / "one.xyz"), only=names)["models"]["EMT"]
    assert models["relaxation"]["force"] < 1e-4
    assert all("expected a crystal" in models[name]["failure"] for name in names[1:])


def test_without_stress_only_elastic_constants_are_missing(found):
    only = ("relaxation", "elastic", "equation_of_state")
    summary = found(STRESSLESS, only=only)
    assert [problem.property for problem in problems(summary)] == ["elastic constants"]
    assert "expected a calculator with stress" in problems(summary)[0].reason
    assert summary["models"]["Stressless"]["relaxation"]["a"] == pytest.approx(
        relax_crystal(EMT(), crystal("Cu")).lattice["a"], abs=2e-4
    )


def test_a_reference_that_fails_on_some_structures_fails_there_only(found):
    summary = found(METAL, reference=SMALL, only=("elastic", "vacancy"), settings=["vacancy.size=6"])
    assert summary["reference"]["elastic"]["C11"] == pytest.approx(172.6, abs=0.1)
    assert "more than four atoms" in summary["reference"]["vacancy"]["failure"]
    assert summary["models"]["EMT"]["vacancy"]["formation_energy"] > 0.5


def test_dynamics_that_explode_are_counted_and_not_raised(found):
    settings = ["stability.timestep=100", "stability.time=2000", "stability.runs=3", "stability.size=3"]
    stability = found(METAL, only=("stability",), settings=settings)["models"]["EMT"]["stability"]
    assert (stability["survived"], stability["num_failed"], stability["num_runs"]) == (0.0, 3, 3)


def test_a_molecule_rests_without_its_cell():
    atoms = Atoms("Cu2", [[0, 0, 0], [0, 0, 2.6]])
    ended = at_rest(EMT(), atoms, RelaxationConfig())
    assert not ended.failure
    assert ended.force < 1e-4


def test_a_model_called_reference_is_told_apart_from_the_reference(tmp_path):
    path = tmp_path / "reference.yaml"
    path.write_text("kind: ase\ncalculator_class: ase.calculators.emt.EMT\n")
    assert list(PropertiesConfig.from_words([str(path)], "Cu").models) == ["reference (model)"]


def test_equal_names_are_told_apart():
    models = PropertiesConfig.from_words([METAL, OTHER, METAL], "Cu").models
    assert list(models) == [METAL, OTHER, f"{METAL} (2)"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--only", "elastc"], "expected a known name, got 'elastc'; did you mean 'elastic'?"),
        (["--set", "elastic.strian=1"], "no key is called elastic.strian; did you mean 'strain'"),
        (["--set", "elastic.strain=big"], "elastic.strain"),
        (["--reference", "nowhere.json"], "which is not there"),
        (["--reference", "nothing"], "expected a model or a method"),
        (["--structure", "Cu:fc"], "did you mean 'fcc'"),
        (["--structure", "cu.xyz"], "which is not there"),
    ],
)
def test_mistakes_are_told_in_one_line(words, message, command, tmp_path):
    given = () if "--structure" in words else ("--structure", "Cu")
    code, out, err = command("properties", METAL, *given, *words, "--output", tmp_path / "out")
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert message in err
    assert not (tmp_path / "out").exists()


def test_values_that_are_no_properties_are_refused(command, tmp_path):
    for text in ("[1]", '{"C11": 3}', "{"):
        (tmp_path / "values.json").write_text(text)
        code, _, err = command(
            "properties", METAL, "--structure", "Cu", "--reference", tmp_path / "values.json", "--output",
            tmp_path / "out",
        )  # fmt: skip
        assert code == 2
        assert "values.json" in err


def test_numbers_are_written_with_as_many_digits_as_say_something():
    assert [number(value) for value in (None, True, 0.0, -0.0071, 2.5, 134.5, "hcp", 3)] == [
        "–", "yes", "0", "−0.0071", "2.500", "134.5", "hcp", "3",
    ]  # fmt: skip


def test_the_folder_of_a_committee_is_one_model(tmp_path):
    for seed in (1, 2):
        place = tmp_path / "run" / "members" / str(seed)
        place.mkdir(parents=True)
        save_potential(small_potential(seed=seed), place / MODEL_FILE)
    (tmp_path / "run" / FINISHED).write_text("{}")
    committee = committee_from_words([str(tmp_path / "run")])
    assert len(committee.files()) == 2
    twice = committee_from_words([str(tmp_path / "run"), str(tmp_path / "run" / "members" / "1")])
    assert len(twice.files()) == 3
    config = PropertiesConfig.from_words([str(tmp_path / "run")], "Si:diamond", only=["relaxation"])
    assert list(properties(config, tmp_path / "out")["models"]) == ["run"]


def test_a_structure_that_is_not_given_is_missing_as_an_option(command):
    code, _, err = command("properties", SILICON, "Si:diamond", "--only", "relaxation")
    assert code == 2
    assert "--structure" in err
    assert "put it first" not in err
