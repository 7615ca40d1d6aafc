"""What a comparison of models says: verdict, table, figures."""

from __future__ import annotations

import base64
import json
import math
from dataclasses import replace

import pytest
from gnnpot.cli.comparison_table import print_comparison
from model_comparisons import DEMO

from gnnpot.benchmark.models.config import ComparisonConfig, candidates
from gnnpot.benchmark.models.figures import comparison_images
from gnnpot.benchmark.models.report import spread_cells, verdict, write_comparison
from gnnpot.benchmark.models.run import (
    collect,
    compare,
    planned,
    warnings_of,
)
from gnnpot.benchmark.study import StudyObserver
from gnnpot.benchmark.subsets import read_pool
from gnnpot.benchmark.trials import Comparison, Measurement, Point, SeedStatistics, Trial
from gnnpot.units import ERROR_UNITS

pytestmark = pytest.mark.xdist_group("benchmark_models_report")  # what they share is made once


@pytest.fixture
def comparison() -> Comparison:
    """Two seeds of two models; "slow" is better and slower."""
    history = [Point(1.0, 9.0, 90.0), Point(5.0, 5.0, 50.0)]
    trials = [
        Trial(model, size, seed, {"energy": None, "forces": {"mae": 1.0, "rmse": base / size + seed}},
              5.0, 3, history)
        for model, base in (("fast", 200.0), ("slow", 100.0)) for size in (10, 20) for seed in (0, 1)
    ]  # fmt: skip
    measurements = [
        Measurement(model, "ani", 10, 5.0, speed, drift=0.1, energy_jump=0.0, forces_jump=0.0)
        for model, speed in (("fast", 10.0), ("slow", 25.0))
    ]
    return Comparison("Which?", trials, measurements, {"data": "<a>.xyz"})


def test_the_answer_in_words(comparison):
    assert verdict(comparison) == (
        "On 20 frames slow has the smallest force error, 5.50 meV/Å. "
        "fast is 2.5 times as fast, with 10.5 meV/Å."
    )
    assert comparison.front == ["fast", "slow"]
    beaten = [
        replace(one, microseconds=30.0) if one.model == "fast" else one for one in comparison.measurements
    ]
    alone = replace(comparison, measurements=beaten)
    assert alone.front == ["slow"]
    assert verdict(alone).endswith("None of the others is faster.")


def test_dynamics_that_fail_are_no_measurement(comparison, tmp_path):
    slow = comparison.measurements[1]
    fails = replace(slow, microseconds=math.nan, drift=math.nan, failure="a temperature of 9000 K")
    failed = replace(comparison, measurements=[comparison.measurements[0], fails])
    assert failed.front == ["fast"]
    assert verdict(failed) == (
        "On 20 frames slow has the smallest force error, 5.50 meV/Å. Its dynamics failed. "
        "Of the models whose dynamics last, fast has the smallest, 10.5 meV/Å."
    )
    assert verdict(replace(failed, measurements=[fails])).endswith("Its dynamics failed.")
    fast = replace(comparison.measurements[0], microseconds=math.nan, failure="atoms on one spot")
    others = replace(comparison, measurements=[fast, slow])
    assert verdict(others) == "On 20 frames slow has the smallest force error, 5.50 meV/Å."
    row = failed.as_dict()["models"][1]
    assert (row["microseconds_per_atom_step"], row["drift_mev_per_atom_per_ps"]) == (None, None)
    assert row["failure"] == "a temperature of 9000 K"
    write_comparison(tmp_path / "report.html", failed)
    text = (tmp_path / "report.html").read_text()
    assert text.count("slow ★") == text.count("slow · Pareto front") == 0
    assert "fast ★" in text


def test_no_figure_is_cut_where_the_screen_is_narrow(comparison, monkeypatch, capsys):
    wide = [
        replace(trial, errors={key: {"mae": 1.0, "rmse": 10005.5 + trial.seed} for key in ERROR_UNITS})
        for trial in comparison.trials
    ]
    jumps = [replace(one, forces_jump=8.1e-05) for one in comparison.measurements]
    monkeypatch.setenv("COLUMNS", "40")
    print_comparison(replace(comparison, trials=wide, measurements=jumps))
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.rstrip().endswith(" 0.1 8.1e−05") for line in lines) == 2
    assert all("…" not in line for line in lines)


def test_the_reader_is_told_what_failed_and_what_had_too_little_time(comparison):
    long, short, failed = (replace(comparison.trials[0], epochs=epochs) for epochs in (50, 49, 0))
    failed = replace(failed, failure="loss is nan")
    flown = replace(comparison.measurements[0], failure="two atoms on one spot")
    assert warnings_of([long], comparison.measurements) == []
    assert warnings_of([long, short, failed], [flown]) == [
        "fast on 10 frames, seed 0: loss is nan",
        "1 of 3 trainings failed; errors are means over the others",
        "dynamics of fast: two atoms on one spot",
        "fewer than 50 epochs fitted into the time: fast on 10 frames; more would lower these errors",
    ]


def test_a_seed_that_failed_leaves_the_others(comparison, tmp_path):
    trials = [
        replace(trial, errors={}, history=(), failure="loss is nan") if trial.seed == 0 else trial
        for trial in comparison.trials
    ]
    partly = replace(comparison, trials=trials)
    assert partly.spread("slow", 20, "forces")[0] == 6.0
    assert math.isnan(partly.spread("slow", 20, "forces")[1])
    assert partly.front == ["fast", "slow"]
    row = partly.as_dict()["table"][-1]
    assert (row["forces"]["rmse"], row["failed_seeds"]) == (6.0, 1)
    assert "slow 50.0 after 5 s" in comparison_images(partly)[1].alt


def test_a_model_is_measured_if_any_seed_was_trained(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "gnnpot.training.run.write_report", lambda path, report: path.write_text(report.title)
    )
    given = {"data": (str(DEMO),), "models": ("schnet",), "sizes": (4,), "seeds": 2, "max_epochs": 1}
    config = ComparisonConfig.from_dict({**given, "steps": 2}, source="test")
    compare(config, tmp_path)
    (tmp_path / "trainings" / "schnet-4-0" / "failure.txt").write_text("loss is nan")
    pool = read_pool(config.data, config.test, config.keys)
    plans = planned(config, {"schnet": candidates(["schnet"])[0].template}, tmp_path)
    found = collect(config, pool, plans, StudyObserver())
    assert [one.model for one in found.measurements] == ["schnet"]
    assert found.spread("schnet", 4, "forces").mean > 0
    assert verdict(found).startswith("On 4 frames schnet has the smallest force error")
    assert "schnet on 4 frames, seed 0: loss is nan" in found.warnings


def test_panels_without_data_say_so(comparison):
    unmeasured = replace(
        comparison,
        trials=[replace(trial, history=()) for trial in comparison.trials],
        measurements=[replace(one, microseconds=math.nan) for one in comparison.measurements],
    )
    frames, times, speeds = comparison_images(unmeasured)
    assert "slow 5.50 at 20" in frames.alt
    for image in (times, speeds):
        assert "no model to draw" in image.alt
        drawn = base64.b64decode(image.source.partition(",")[2]).decode()
        assert "no model to draw" in drawn
        assert 'id="xtick_1"' not in drawn


def test_means_and_deviations_over_seeds(comparison):
    assert comparison.spread("slow", 20, "forces") == pytest.approx((5.5, math.sqrt(0.5)))
    assert spread_cells([SeedStatistics(5.5, 0.7), SeedStatistics(12.0, math.nan)]) == ["5.5 ± 0.7", "12.0"]


def test_a_model_that_failed_has_dashes_and_the_page_is_written(comparison, tmp_path):
    trials = [
        replace(trial, errors={}, history=(), failure="loss is nan") if trial.model == "fast" else trial
        for trial in comparison.trials
    ]
    failed = replace(comparison, trials=trials, measurements=comparison.measurements[1:])
    write_comparison(tmp_path / "report.html", failed)
    assert "<td>–</td>" in (tmp_path / "report.html").read_text()
    assert "&lt;a&gt;.xyz" in (tmp_path / "report.html").read_text()
    row = failed.as_dict()["table"][0]
    assert (row["forces"]["rmse"], row["energy"]) == (None, None)
    json.dumps(failed.as_dict(), allow_nan=False)
