"""`gnnpot report`: runs and properties on one page, and a warning where errors and properties disagree."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import pytest
from evaluations import random_evaluation
from potentials import small_potential

from gnnpot.benchmark.transfer.report import Efficiency, Outcome
from gnnpot.errors import DataError
from gnnpot.overview.page import write_overview
from gnnpot.overview.results import Results, results_in
from gnnpot.overview.run import overview
from gnnpot.overview.warnings import warnings_of
from gnnpot.potential.model_file import save_potential
from gnnpot.properties.config import PropertiesConfig
from gnnpot.properties.run import properties
from gnnpot.training.run import train
from gnnpot.training.run_config import RunConfig

DEMO = Path(str(files("gnnpot.configs"))) / "silicon-demo.xyz"
METAL = "ase:calculator_class=ase.calculators.emt.EMT"


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> tuple[Path, Path]:
    """A run of two epochs, and a folder of properties."""
    root = tmp_path_factory.mktemp("results")
    model = {"kind": "schnet", "cutoff": 4.0, "channels": 4, "num_filters": 4, "num_interactions": 1}
    values = {
        "model": model,
        "training": {"max_epochs": 2, "loss": {"stress": 1.0}},
        "train": f"{DEMO}@:20",
        "validation": {"frames": 5},
    }
    train(RunConfig.from_dict(values, source="test"), root / "run")
    config = PropertiesConfig.from_words([METAL], "Cu", only=["elastic"])
    properties(config, root / "properties")
    return root / "run", root / "properties"


def test_a_page_holds_errors_training_parity_and_properties(folders, command, tmp_path):
    path = tmp_path / "page.html"
    code, out, _ = command("report", *folders, "--data", f"{DEMO}@20:24", "--output", path)
    assert (code, str(path) in out) == (0, True)
    page = path.read_text()
    told = ("run, validation", "On the same structures", "energy RMSE over epochs", "Predicted against")
    for words in (*told, "C11 (GPa)"):
        assert words in page
    assert "<script" not in page
    figures = sorted(path.name for path in (tmp_path / "page-figures").glob("*.svg"))
    assert len(figures) == page.count("<img ")
    assert figures[0].startswith("01-energy-rmse-over-epochs")
    assert "structures: 15 train; 5 validation" in page
    code, _, err = command("report", *folders, "--output", path)
    assert (code, "which is there" in err) == (2, True)


def test_a_hundred_thousand_structures_fit_into_three_megabytes(tmp_path):
    evaluation, path = random_evaluation(100_000, 2, groups=30), tmp_path / "page.html"
    metrics = {**evaluation.metrics(), "split": "test", "splits": {"test": evaluation.metrics()}}
    write_overview([Results("run", tmp_path, metrics=metrics)], path, {"run": evaluation})
    assert "100,000" in path.read_text()
    assert path.stat().st_size < 3_000_000


def test_a_committee_is_judged_by_its_mean_and_its_spread_against_the_errors(tmp_path):
    for seed in range(2):
        folder = tmp_path / "committee" / "members" / str(seed)
        folder.mkdir(parents=True)
        save_potential(small_potential(seed=seed), folder / "model.safetensors")
    (tmp_path / "committee" / "metrics.json").write_text('{"num_structures": 3}')
    overview([tmp_path / "committee"], tmp_path / "page.html", data=[f"{DEMO}@:3"])
    assert "Is the uncertainty honest? committee" in (tmp_path / "page.html").read_text()


def test_benchmarks_of_transfers_and_of_models_have_their_parts(tmp_path):
    mae = {"energy": 8.0, "forces": 80.0, "stress": None}
    half = {"energy": 4.0, "forces": 40.0, "stress": None}
    outcomes = [Outcome(side, 10, 0, one, 1e-3) for side, one in (("scratch", mae), ("transfer", half))]
    outcomes.append(Outcome("untuned", 10, 0, mae, None))
    models = {
        "ranked_by": "forces",
        "table": [{"model": "ani", "frames": 40, "energy": {"rmse": 5.25}, "forces": None, "stress": None}],
        "models": [{"model": "ani", "microseconds_per_atom_step": 31.0}],
        "trainings": [],
    }
    for name, told in (("ge", Efficiency("Ge", outcomes, {}).as_dict()), ("models", models)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "metrics.json").write_text(json.dumps(told))
    overview([tmp_path / "ge", tmp_path / "models"], tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    for words in ("2 benchmarks", "cuts the errors by energy 50 %, forces 50 %", ">31.0<", ">5.25<"):
        assert words in page
    (tmp_path / "ge" / "metrics.json").write_text('{"outcomes": [3]}')
    with pytest.raises(DataError, match="expected a benchmark in"):
        overview([tmp_path / "ge"], tmp_path / "other.html")


def test_what_holds_no_results_is_refused(folders, tmp_path):
    with pytest.raises(DataError, match="expected a folder of results"):
        results_in([tmp_path / "nowhere"])
    with pytest.raises(DataError, match="expected a finished run"):
        results_in([tmp_path])
    (tmp_path / "metrics.json").write_text("{")
    with pytest.raises(DataError, match="expected results in"):
        overview([tmp_path], tmp_path / "page.html")


def test_equal_names_are_told_apart_by_their_paths(folders):
    run, _ = folders
    assert [one.name for one in results_in([run, run])] == [str(run), str(run)]


def result(name: str, force_error: float, count: int = 10) -> Results:
    errors = {"forces": {"rmse": force_error, "mae": force_error}}
    return Results(name, Path(name), metrics={**errors, "split": "test", "num_structures": count})


def judged(**constants: float) -> Results:
    summary = {
        "structure": "Cu",
        "models": {name: {"elastic": {"C11": value}} for name, value in constants.items()},
        "reference": {"elastic": {"C11": 200.0}},
        "units": {"elastic": {"C11": "GPa"}},
    }
    return Results("properties", Path("properties"), properties=summary)


def test_smaller_errors_with_worse_properties_are_told():
    runs = result("scratch", 80.0), result("transfer", 40.0)
    (told,) = warnings_of([*runs, judged(scratch=202, transfer=150)])
    assert told == (
        "transfer has smaller errors than scratch (forces 40 against 80 meV/Å), but predicts properties "
        "worse: C11 (GPa) off by 25.0 rather than 1.0 %"
    )


def test_smaller_errors_with_better_properties_are_no_warning():
    runs = result("scratch", 80.0), result("transfer", 40.0)
    assert not warnings_of([*runs, judged(scratch=150, transfer=202)])


def test_errors_on_different_sets_are_told():
    (told,) = warnings_of([result("one", 80.0), result("two", 40.0, count=3)])
    assert "different sets: 10 test structures, 3 test structures" in told
