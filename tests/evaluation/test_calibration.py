"""Errors against the spread that foretold them."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from potentials import small_potential
from structures import silicon

from gnnpot.calculator.calculator import GNNPotCalculator
from gnnpot.errors import ModelFileError
from gnnpot.evaluation.calibration import calibration
from gnnpot.evaluation.evaluation import evaluate
from gnnpot.evaluation.figures import calibration_images
from gnnpot.potential.committee import Committee, load_model
from gnnpot.potential.last_layer import SHARES
from gnnpot.potential.model_file import save_potential


def test_the_factor_makes_normal_errors_honest():
    rng = np.random.default_rng(0)
    spreads = rng.uniform(0.5, 2.0, size=20_000)
    found = calibration(3.0 * spreads * rng.normal(size=20_000), spreads)
    assert found.factor == pytest.approx(3.0, abs=4 * found.factor_error)
    assert found.factor_error == pytest.approx(3.0 / np.sqrt(2 * 20_000), rel=0.05)  # of normal errors
    assert found.scaled_coverage == pytest.approx(SHARES, abs=0.01)
    assert found.coverage[0] < 0.3
    exact = -0.5 * (1 + np.log(2 * np.pi)) - np.log(found.factor * spreads).mean()
    assert found.log_likelihood == pytest.approx(exact, abs=1e-9)
    assert 0.2 < found.rank_correlation < 0.6


def test_spreads_that_tell_nothing_have_no_rank_correlation():
    rng = np.random.default_rng(1)
    assert abs(calibration(rng.normal(size=5000), rng.uniform(1, 2, size=5000)).rank_correlation) < 0.05
    assert calibration(rng.normal(size=50), np.ones(50)).rank_correlation == 0.0


def test_without_labels_or_spread_there_is_no_calibration():
    assert calibration(np.full(10, np.nan), np.ones(10)) is None
    assert calibration(np.ones(10), np.zeros(10)) is None


def test_forces_that_symmetry_makes_zero_say_nothing():
    rng = np.random.default_rng(2)
    spreads = rng.uniform(0.5, 2.0, size=100)
    errors = spreads * rng.normal(size=100)
    crystal = np.full(50, 7e-5), rng.uniform(0, 1e-16, size=50)
    with_crystal = calibration(np.append(errors, crystal[0]), np.append(spreads, crystal[1]))
    assert with_crystal == calibration(errors, spreads)


@pytest.fixture
def folder(tmp_path):
    """The folder of a committee's training, as far as others need to know it."""
    for seed in (1, 2, 3):
        place = tmp_path / "run" / "members" / str(seed)
        place.mkdir(parents=True)
        save_potential(small_potential(seed=seed), place / "model.safetensors")
    (tmp_path / "run" / "metrics.json").write_text("{}")
    return tmp_path / "run"


def labeled(count):
    """Structures whose labels are another potential's."""
    calculator, frames = GNNPotCalculator(small_potential(seed=9)), []
    for seed in range(count):
        atoms = silicon(seed=seed)
        atoms.calc = calculator
        atoms.get_forces()
        results = {name: calculator.results[name] for name in ("energy", "forces", "stress")}
        atoms.calc = SinglePointCalculator(atoms, **results)
        frames.append(atoms)
    return frames


def test_a_committee_is_evaluated_with_its_spread_in_one_pass(folder):
    committee, frames = load_model(folder), labeled(4)
    assert isinstance(committee, Committee)
    found = evaluate(committee, frames, batch_atoms=20)
    calculator = GNNPotCalculator(folder)
    for place, frame in enumerate(frames):
        atoms = frame.copy()
        atoms.calc = calculator
        atoms.get_forces()
        assert found.energy_spread[place] == pytest.approx(calculator.results["energy_uncertainty"] / 8)
        own = found.forces_spread[8 * place : 8 * place + 8]
        np.testing.assert_allclose(own, calculator.results["forces_uncertainty"], atol=1e-8)
    errors = (found.forces[1] - found.forces[0]).ravel()
    factor = np.sqrt(np.mean((errors / found.forces_spread.ravel()) ** 2))
    assert found.metrics()["uncertainty"]["forces"]["factor"] == pytest.approx(factor)
    assert "uncertainty" not in evaluate(small_potential(), frames).metrics()


def test_what_symmetry_makes_zero_is_left_out_of_figures(folder):
    found = evaluate(load_model(folder), labeled(4))
    spread = np.tile(found.forces_spread, (10, 1))
    spread[:24] = 0.0  # and an error beside it
    many = replace(found, forces=np.tile(found.forces, (1, 10, 1)), forces_spread=spread)
    assert len(calibration_images(many)) == 2


def test_the_folder_of_a_committee_is_evaluated_as_one_model(folder, tmp_path, command):
    from ase.io import write

    write(tmp_path / "test.xyz", labeled(4), format="extxyz")
    code, out, err = command(
        "evaluate", folder, tmp_path / "test.xyz", "--json", "--output", tmp_path / "errors"
    )
    assert (code, err) == (0, "")
    assert json.loads(out)["uncertainty"]["energy"]["factor"] > 0
    page = (tmp_path / "errors" / "report.html").read_text()
    assert "Is the uncertainty honest?" in page
    assert "committee of 3 potentials" in page


def test_a_committee_whose_training_has_not_ended_is_refused(folder):
    (folder / "metrics.json").unlink()
    with pytest.raises(ModelFileError, match=r"^expected a committee whose training has ended, got "):
        GNNPotCalculator(folder)
    shutil.rmtree(folder / "members")
    with pytest.raises(ModelFileError, match=r"^expected the folder of a training, got .* without model"):
        GNNPotCalculator(folder)
    save_potential(small_potential(), folder / "model.safetensors")
    assert GNNPotCalculator(folder).potential.elements == ("Si",)
