"""What a transfer saves: fair parts, nothing done twice, the right percentages."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import pytest
import yaml
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write
from potentials import small_potential

from gnnpot.benchmark.transfer.config import EfficiencyConfig
from gnnpot.benchmark.transfer.report import Efficiency, Outcome, verdict
from gnnpot.benchmark.transfer.run import EfficiencyPlan, order_of, planned, pool_of, score_of
from gnnpot.errors import ConfigError, DataError
from gnnpot.potential.model_file import read_header, save_potential
from gnnpot.training.batches import EpochBatches
from gnnpot.training.config import TrainingConfig
from gnnpot.transferring.config import TransferConfig

pytestmark = pytest.mark.xdist_group("benchmark_transfer")  # what they share is made once

DEMO = Path(str(files("gnnpot.configs"))) / "silicon-demo.xyz"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A source, germanium of a sort to carry it to, and a configuration."""
    folder = tmp_path_factory.mktemp("efficiency")
    save_potential(small_potential("schnet"), folder / "silicon.safetensors")
    frames = read(DEMO, "20:60:2")
    for number, atoms in enumerate(frames):
        labels = atoms.calc.results
        atoms.symbols[:] = "Ge"
        atoms.set_cell(1.05 * atoms.cell.array, scale_atoms=True)
        atoms.info["group"] = "odd" if number % 5 == 4 else "even"
        atoms.calc = SinglePointCalculator(atoms, energy=labels["energy"], forces=labels["forces"])
    write(folder / "pool.xyz", frames)
    values = {
        "source": str(folder / "silicon.safetensors"),
        "map": {"Ge": "Si"},
        "train": str(folder / "pool.xyz"),
        "training": {"batch_size": 2, "loss": {"energy": 1.0, "forces": 1.0}, "select_by": "energy"},
    }
    (folder / "transfer.yaml").write_text(yaml.safe_dump(values))
    return folder


@pytest.fixture
def config(folder) -> EfficiencyConfig:
    transfer = TransferConfig.read(folder / "transfer.yaml")
    sizes = {"sizes": (1, 4), "splits": 2, "validation": 3, "held_out": 4, "exclude": ("odd",), "steps": 300}
    return EfficiencyConfig(transfer=transfer, epochs=10, **sizes)


def test_the_command_studies_and_goes_on_without_repeating(folder, command):
    words = [
        "benchmark", "transfer", folder / "transfer.yaml", "--sizes", 1, 4, "--splits", 1, "--steps", 6,
        "--rates", "1e-4", "1e-3", "--scratch-rates", "1e-3", "--validation", 3, "--held-out", 4,
        "--exclude", "odd", "--output", folder / "study", "--json",
    ]  # fmt: skip
    code, out, err = command(*words)
    assert code == 0, err
    found = json.loads(out)
    assert [row["size"] for row in found["table"]] == [1, 4]
    for row in found["table"]:
        expected = 100 * (1 - row["transfer"]["forces"] / row["scratch"]["forces"])
        assert row["reduction_percent"]["forces"] == pytest.approx(expected)
        assert row["untuned"]["forces"] > 0
    page = (folder / "study" / "report.html").read_text()
    assert page.count("<img") == 2
    assert "from scratch" in page
    models = sorted((folder / "study" / "trainings").glob("*/model.safetensors"))
    assert len(models) == 6
    assert all(read_header(path).provenance["num_validation"] == 3 for path in models)
    times = {path: path.stat().st_mtime_ns for path in models}

    code, _, err = command(*words)
    assert code == 2
    assert "expected a new folder" in err
    models[0].with_name("report.html").unlink()  # as if it had been killed before its end
    moved = (folder / "study").rename(folder / "moved")
    code, out, err = command(*words, "--output", moved, "--resume")
    moved.rename(folder / "study")
    assert code == 0, err
    assert json.loads(out)["table"] == found["table"]
    changed = [path for path in models if path.stat().st_mtime_ns != times[path]]
    assert set(changed) <= {models[0]}


def test_parts_are_nested_and_apart_from_validation_and_test(config):
    pool = pool_of(config)
    assert {atoms.info["group"] for atoms in (*pool.frames, *pool.test)} == {"even"}
    assert len(pool.test) == config.held_out
    order = order_of(pool, 0)
    assert sorted(order) == list(range(len(pool.frames)))
    assert order != order_of(pool, 1)
    tested = {atoms.info["origin"] for atoms in pool.test}
    assert not tested & {atoms.info["origin"] for atoms in pool.frames}


def test_a_training_makes_the_least_number_of_steps_and_of_passes(config):
    for size in (1, 3, 10, 40, 195):
        training = config.training(TrainingConfig(batch_size=4), size, 1e-3)
        batches = EpochBatches(size, training.batch_size, seed=0, repeats=training.repeats)
        steps = {1: 300, 3: 300, 10: 300, 40: 300, 195: 490}[size]
        assert len(batches) * training.max_epochs == pytest.approx(steps, rel=0.05)
        assert sorted(row for batch in batches for row in batch) == sorted(
            list(range(size)) * training.repeats
        )
        assert training.optimizer.learning_rate == 1e-3


def test_every_part_has_both_sides_with_all_rates(config, tmp_path):
    plans = planned(config, tmp_path)
    assert len(plans) == len({plan.folder for plan in plans}) == 2 * 2 * (2 + 2)


def test_the_rate_is_chosen_by_the_score_that_picks_the_model(config, tmp_path):
    rows = {
        1e-4: {"validation_loss": 1.0, "validation_energy_rmse": 5.0},
        1e-3: {"validation_loss": 2.0, "validation_energy_rmse": 4.0},
    }
    plans = [EfficiencyPlan("transfer", 1, 0, rate, tmp_path / f"{rate:g}") for rate in rows]
    for plan in plans:
        plan.folder.mkdir()
        save_potential(
            small_potential(), plan.folder / "model.safetensors", provenance={"metrics": rows[plan.rate]}
        )
    assert config.transfer.trainings[0].select_by == "energy"
    assert min(plans, key=lambda plan: score_of(plan, config)).rate == 1e-3


def test_percentages_compare_means_over_the_splits():
    def outcomes(side: str, *values: float) -> list[Outcome]:
        maes = [{"energy": value, "forces": 2 * value, "stress": None} for value in values]
        return [Outcome(side, 10, split, mae, None) for split, mae in enumerate(maes)]

    study = Efficiency(
        "", [*outcomes("scratch", 3, 5), *outcomes("transfer", 1, 1), *outcomes("untuned", 9, 9)], {}
    )
    assert study.quantities == ["energy", "forces"]
    assert study.saved(10, "forces") == pytest.approx(75)
    assert study.spread("scratch", 10, "energy") == pytest.approx((4, 2**0.5))
    assert "energy 75 %, forces 75 %" in verdict(study)
    worse = Efficiency("", [*outcomes("scratch", 1), *outcomes("transfer", 2), *outcomes("untuned", 9)], {})
    assert "raises" in verdict(worse)
    assert "−" not in verdict(worse)
    assert "worse than scratch" in verdict(worse)


def test_what_cannot_be_studied_is_refused(config, folder):
    with pytest.raises(DataError, match="expected at least 103 structures"):
        pool_of(config.model_copy(update={"sizes": (100,)}))
    with pytest.raises(DataError, match="than the 1000 that the test takes"):
        pool_of(config.model_copy(update={"held_out": 1000}))
    with pytest.raises(DataError, match="got 'odds'; did you mean 'odd'"):
        pool_of(config.model_copy(update={"exclude": ("odds",)}))
    values = yaml.safe_load((folder / "transfer.yaml").read_text())
    fresh = TransferConfig.from_dict({**values, "source": None, "model": {"kind": "schnet"}}, source="")
    with pytest.raises(ConfigError, match="expected a source"):
        EfficiencyConfig(transfer=fresh)
