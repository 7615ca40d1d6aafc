"""Walks that keep the spread of a committee, and end where it is too large."""

from __future__ import annotations

import json

import numpy as np
import pytest
from ase.io import iread
from potentials import small_potential
from pydantic import ValidationError
from structures import silicon

from gnnpot.calculator.calculator import GNNPotCalculator
from gnnpot.errors import ConfigError
from gnnpot.potential.model_file import save_potential
from gnnpot.sampling import MDConfig, SampleConfig, SteeredConfig, sample
from gnnpot.sampling.spread import Moments, SpreadWatch, StopWhen, spread_in, threshold


@pytest.fixture(scope="module")
def committee():
    return GNNPotCalculator([small_potential(seed=seed) for seed in (1, 2, 3)])


def walked(calculator, **settings):
    config = MDConfig.model_validate({"temperatures": 300, "steps": 60, "interval": 20, **settings})
    walks = config.sampler(calculator)([silicon()], np.random.default_rng(0))
    return walks.walks[0], list(walks)


def spreads_of(calculator, frame):
    atoms = frame.copy()
    atoms.calc = calculator
    atoms.get_forces()
    return calculator.results


@pytest.mark.parametrize("steered", [False, True], ids=["md", "steered"])
def test_frames_keep_the_spread_of_their_step(committee, steered):
    settings = {"steps": 20, "interval": 10}
    config = SteeredConfig(between=(0, 5), **settings) if steered else MDConfig(temperatures=300, **settings)
    for frame in config.sampler(committee)([silicon()], np.random.default_rng(0)):
        found = spreads_of(committee, frame)
        assert frame.info["energy_uncertainty"] == pytest.approx(found["energy_uncertainty"], rel=1e-5)
        for name in ("energies_uncertainty", "forces_uncertainty"):
            np.testing.assert_allclose(frame.arrays[name], found[name], rtol=1e-4, atol=1e-6)


def test_a_walk_ends_at_the_first_look_over_the_bound_keeps_the_frame_and_names_the_atoms(committee):
    _, frames = walked(committee)
    largest = max(spread_in(frame.arrays, "energies", "any").score for frame in frames)
    walk, rest = walked(committee, stop_when={"spread": 1e-6})
    assert (walk.step, walk.failure, len(rest)) == (10, "", 1)
    assert rest[0].info["step"] == 10
    assert rest[0].info["stopped"] == walk.stop
    assert walk.stop.startswith("a spread of atomic energies of ")
    assert " at atoms 0, 1, 2, 3, 4, 5, 6, 7, over 1e-06 eV" in walk.stop
    walk, same = walked(committee, stop_when={"spread": 2 * largest})
    assert (walk.stop, len(same)) == ("", len(frames))


def test_a_relative_bound_is_that_of_the_first_looks():
    watch = SpreadWatch(StopWhen(spread="mu+2sigma", window=4, of="energy"))
    for value in (1.0, 3.0, 1.0, 3.0):
        assert watch({"energy_uncertainty": value}) == ""
    resumed = SpreadWatch(watch.rule)
    resumed.restore(json.loads(json.dumps(watch.state())))
    limit = 2.0 + 2 * np.std([1, 3, 1, 3], ddof=1)
    assert resumed({"energy_uncertainty": limit - 1e-9}) == ""
    assert resumed({"energy_uncertainty": limit + 1e-9}) == (
        f"a spread of the energy of {limit:.3g} eV, over {limit:.3g} eV (mu+2sigma)"
    )


def test_a_reference_may_be_given():
    watch = SpreadWatch(StopWhen(of="energy", reference=(1.0, 0.1)))
    assert watch({"energy_uncertainty": 1.299}) == ""
    assert watch({"energy_uncertainty": 1.301}) != ""


def test_bounds_are_numbers_or_relative_to_a_reference():
    reference = Moments.of(np.array([1.0, 2.0, 3.0]))
    assert (reference.mean, reference.deviation) == (2.0, 1.0)
    assert threshold(0.5, reference) == 0.5
    assert threshold("mu+3sigma", reference) == threshold("μ + 3 σ", reference) == 5.0
    assert threshold("mu+sigma", reference) == 3.0
    with pytest.raises(ValidationError, match=r"expected a number or mu\+3sigma, got 'mu-3'"):
        StopWhen(spread="mu-3")


def test_a_calculator_without_a_spread_is_refused_before_the_first_step():
    with pytest.raises(ConfigError, match=r"^expected a committee for stop_when, got a calculator without"):
        walked(GNNPotCalculator(small_potential()), stop_when={"spread": 0.1})


def test_a_run_tells_its_end_and_its_frames_carry_the_spread_on_disk(tmp_path):
    files = [str(tmp_path / f"{seed}.safetensors") for seed in (1, 2)]
    for seed, file in enumerate(files, start=1):
        save_potential(small_potential(seed=seed), file)
    silicon().write(tmp_path / "si.xyz")
    config = SampleConfig.model_validate(
        {
            "structures": str(tmp_path / "si.xyz"),
            "calculator": {"kind": "gnnpot", "model": files},
            "sampler": {
                "kind": "md", "temperatures": 300, "steps": 100, "interval": 50,
                "stop_when": {"spread": 1e-6, "of": "forces", "atoms": "mean"},
            },
        }
    )  # fmt: skip
    summary = sample(config, tmp_path / "run")
    (run,) = summary["runs"]
    assert run["failure"] == ""
    assert run["stop"].startswith("a spread of forces of ")
    (frame,) = iread(tmp_path / "run" / "frames.xyz")
    assert frame.info["stopped"] == run["stop"]
    assert frame.arrays["forces_uncertainty"].shape == (8, 3)
    assert spread_in({**frame.arrays, **frame.info}, "energy", "any").score > 0
