"""The bias on energy and order, and reweighting."""

from __future__ import annotations

import json

import numpy as np
import pytest
from ase import units
from harmonic import EinsteinCrystal, oscillators
from momt_examples import FCC, NO_ORDER, copper, momt_config, rough_bias
from pydantic import ValidationError

from gnnpot.errors import ConfigError, DataError
from gnnpot.sampling import (
    Bias,
    BiasedSamples,
    MeshConfig,
    OrderParameter,
    canonical_weights,
)
from gnnpot.sampling.momt.bias import ConstantSteps, WangLandauSteps
from gnnpot.sampling.momt.order import OrderConfig, shortest_vectors
from gnnpot.sampling.momt.reweighting import State, free_energy


def test_the_effective_temperature_stays_within_its_bounds():
    bias = rough_bias(copper())
    bias.deposited *= 20
    enthalpies = np.linspace(bias.config.enthalpy.first - 3, bias.config.enthalpy.last + 3, 300)
    slopes = [bias(enthalpy, order).enthalpy_slope for enthalpy in enthalpies for order in (-8, 3.3, 20, 40)]
    assert min(slopes) == pytest.approx(1000 / 4000 - 1)
    assert max(slopes) == pytest.approx(1000 / 300 - 1)


def test_clamping_changes_nothing_within_the_bounds():
    bias = rough_bias(copper())
    bias.deposited *= 0.1
    np.testing.assert_allclose(bias.nodes, bias.deposited, atol=1e-12)


def test_beyond_the_mesh_the_bias_is_flat():
    bias = rough_bias(copper())
    value = bias(bias.config.enthalpy.last + 50, 60.0)
    assert value.energy == pytest.approx(bias.nodes[-1, -1])
    assert (value.enthalpy_slope, value.order_slope) == pytest.approx((0, 0), abs=1e-12)


def test_a_step_of_the_bias_has_its_size_where_dynamics_are():
    mesh = MeshConfig.model_validate({"enthalpy": {"first": 0, "last": 9, "nodes": 10}, **NO_ORDER})
    bias = Bias(mesh, 1000.0, ConstantSteps(size=0.1))
    bias.update(4.0, -1.0)
    assert bias.deposited[4, 0] == pytest.approx(0.1 * units.kB * 1000)
    assert bias.deposited.argmax() == 4 * 4
    assert bias.deposited[0, 0] < 0.05 * bias.deposited[4, 0]


def test_updates_off_the_mesh_are_left_out():
    mesh = MeshConfig.model_validate({"enthalpy": {"first": 0, "last": 9, "nodes": 10}, **NO_ORDER})
    bias = Bias(mesh, 1000.0)
    bias.update(50.0, 0.0)
    assert not bias.deposited.any()


def test_a_mesh_that_dynamics_never_meet_is_refused():
    axis = {"first": 0.0, "last": 1.0, "nodes": 5}
    bias = Bias(MeshConfig.model_validate({"enthalpy": axis, "order": axis}), 1000.0)
    for _ in range(499):
        bias.update(-7.0, 3.0)
    with pytest.raises(DataError, match=r"got -7.0 eV and 3.0; .* mend sampler.mesh"):
        bias.update(-7.0, 3.0)
    bias.update(0.5, 0.5)
    bias.update(-7.0, 3.0)


def test_wang_landau_steps_halve_when_flat_then_fall_as_one_over_t_and_freeze():
    axis = {"first": 0, "last": 3, "nodes": 4}
    mesh = MeshConfig.model_validate({"enthalpy": axis, **NO_ORDER})
    bias = Bias(mesh, 1000.0, WangLandauSteps(size=0.1, final=2e-3))
    sizes = []
    for number in range(8000):
        bias.update(float(number % 4), -1.0)
        sizes.append(bias.progress.size)
        if bias.is_frozen:
            break
    assert sizes[0] in (0.1, 0.05)
    assert 0.05 in sizes
    assert (np.diff(sizes) <= 1e-15).all()
    assert sizes[-2] == pytest.approx(4 / len(sizes), rel=0.01)
    frozen = bias.deposited.copy()
    bias.update(1.0, -1.0)
    np.testing.assert_array_equal(bias.deposited, frozen)


def test_a_bias_goes_on_from_its_file(tmp_path):
    first, second = rough_bias(copper()), rough_bias(copper())
    first.update(first.config.enthalpy.first + 1, 3.0)
    first.save(tmp_path / "bias.json")
    second.load(tmp_path / "bias.json")
    np.testing.assert_array_equal(first.nodes, second.nodes)
    np.testing.assert_array_equal(first.histogram, second.histogram)
    with pytest.raises(DataError, match="same mesh and temperature"):
        rough_bias(copper(), temperature=900).load(tmp_path / "bias.json")
    (tmp_path / "bias.json").write_text("[1]")
    with pytest.raises(DataError, match="expected a bias"):
        second.load(tmp_path / "bias.json")


@pytest.mark.parametrize("kind", ["npt-langevin", "npt-isotropic"])
def test_momt_taken_up_from_its_state_is_that_which_never_stopped(kind):
    start = oscillators()
    sampler = {"growth": {"kind": "constant", "size": 0.5}, "update_interval": 7, "repetitions": 2}
    sampler["ensemble"] = {"kind": kind}

    def begin():
        return momt_config(**sampler).sampler(start.calc)([start], np.random.default_rng(0))

    whole, begun, rest = list(begin()), begin(), begin()
    head = [next(begun) for _ in range(3)]
    rest.restore(json.loads(json.dumps(begun.state())))
    for first, second in zip(whole, [*head, *rest], strict=True):
        np.testing.assert_array_equal(first.positions, second.positions)
        assert first.info == second.info


def harmonic_samples(tilt: float, size: int = 40000) -> BiasedSamples:
    """Energies of 12 oscillators at 500 K under the bias ΔH = tilt · U."""
    rng = np.random.default_rng(4)
    energies = rng.gamma(6.0, units.kB * 500 / (1 + tilt), size=size)
    return BiasedSamples(energies, np.full(size, 100.0), rng.random(size), tilt * energies)


@pytest.mark.parametrize("temperature", [350.0, 500.0, 600.0])
@pytest.mark.parametrize("tilt", [-0.2, 0.0, 0.3])
def test_reweighted_energies_are_canonical(temperature, tilt):
    samples = harmonic_samples(tilt)
    weights = canonical_weights(samples, sampled=State(500.0), wanted=State(temperature))
    assert weights.average(samples.energies) == pytest.approx(6 * units.kB * temperature, rel=0.02)
    assert 1 < weights.effective_size <= len(samples.energies) * (1 + 1e-9)


def test_without_bias_and_change_all_frames_count_alike():
    weights = canonical_weights(harmonic_samples(0.0), sampled=State(500.0), wanted=State(500.0))
    assert weights.effective_size == pytest.approx(40000)


def test_free_energy_of_an_even_distribution_is_flat():
    samples = harmonic_samples(0.3)
    weights = canonical_weights(samples, sampled=State(500.0), wanted=State(500.0))
    surface = free_energy(samples, weights, 500.0, edges=np.linspace(0, 1.25, 6))
    assert np.ptp(surface[:4]) < 0.1 * units.kB * 500
    assert surface[4] == np.inf


def test_bad_meshes_and_orders_are_refused():
    with pytest.raises(ValidationError, match="last above first"):
        MeshConfig.model_validate({"enthalpy": {"first": 2, "last": 1, "nodes": 9}, **NO_ORDER})
    with pytest.raises(ValidationError, match="either a crystal or vectors"):
        OrderConfig()
    with pytest.raises(ConfigError, match="between coldest"):
        rough_bias(copper(), temperature=200.0)


def test_one_bias_is_for_structures_of_the_same_atoms():
    start = oscillators()
    other = start.copy()
    other.numbers[0] = 28
    with pytest.raises(DataError, match="same atoms"):
        momt_config().sampler(EinsteinCrystal(start))([start, other], np.random.default_rng(0))


def test_vectors_may_be_given():
    given = OrderParameter(shortest_vectors("fcc", 2))
    assert given(copper()).value == FCC(copper()).value
