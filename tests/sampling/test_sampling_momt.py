"""Multiorder-multithermal sampling: order parameters, the bias, its forces and stress, reweighting."""

from __future__ import annotations

import json

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.fd import calculate_numerical_forces, calculate_numerical_stress
from ase.io import iread
from ase.md.langevin import Langevin
from ase.md.verlet import VelocityVerlet
from harmonic import EinsteinCrystal, oscillators
from pydantic import ValidationError

from gnnpot.errors import ConfigError, DataError
from gnnpot.sampling import (
    Bias,
    BiasedCalculator,
    BiasedSamples,
    MDConfig,
    MeshConfig,
    MOMTConfig,
    OrderParameter,
    canonical_weights,
)
from gnnpot.sampling.ensembles import thermalize
from gnnpot.sampling.momt.bias import ConstantSteps, WangLandauSteps
from gnnpot.sampling.momt.order import Order, OrderConfig, shortest_vectors
from gnnpot.sampling.momt.reweighting import State, free_energy

FCC = OrderConfig(crystal="fcc", repeats=2).parameter()
PRESSURE = 0.01  # eV/Å³
NO_ORDER = {"order": {"first": -1, "last": 1, "nodes": 4}}


def copper(rattle: float = 0.15) -> Atoms:
    atoms = bulk("Cu", cubic=True) * (2, 2, 2)
    atoms.rattle(rattle, seed=0)
    return atoms


def rough_bias(atoms: Atoms, temperature: float = 1000.0) -> Bias:
    """A bias with slopes in both directions where ``atoms`` are, and clamped ones."""
    atoms.calc = EMT()
    middle = atoms.get_potential_energy() + PRESSURE * atoms.get_volume()
    mesh = MeshConfig.model_validate(
        {
            "enthalpy": {"first": middle - 5, "last": middle + 10, "nodes": 20},
            "order": {"first": -5, "last": 35, "nodes": 30},
            "coldest": 300,
            "hottest": 4000,
        }
    )
    bias = Bias(mesh, temperature)
    bias.deposited = np.random.default_rng(0).normal(scale=0.5, size=bias.deposited.shape)
    return bias


def biased(atoms: Atoms) -> Atoms:
    bias = rough_bias(atoms)
    atoms.calc = BiasedCalculator(EMT(), bias, FCC, pressure=PRESSURE)
    return atoms


# 1 and 2: forces and stress


@pytest.mark.parametrize("rattle", [0.1, 0.15, 0.3])
def test_forces_and_stress_are_derivatives_of_the_biased_energy(rattle):
    atoms = biased(copper(rattle))
    atoms.get_forces()
    assert abs(atoms.calc.bias_value.order_slope) > 1e-3
    assert abs(atoms.calc.bias_value.enthalpy_slope) > 1e-3
    some = [0, 5, 17, 31]
    forces = calculate_numerical_forces(atoms, eps=2e-5, iatoms=some)
    np.testing.assert_allclose(forces, atoms.get_forces()[some], atol=1e-6)
    stress = calculate_numerical_stress(atoms, eps=2e-5)
    np.testing.assert_allclose(stress, atoms.get_stress(), atol=1e-6)


def test_a_frozen_bias_conserves_energy():
    atoms = biased(copper())
    thermalize(atoms, 800, rng=np.random.default_rng(1))
    energies, slopes = [], []
    dynamics = VelocityVerlet(atoms, 0.5 * units.fs)
    for _ in range(100):
        dynamics.run(2)
        energies.append(atoms.get_total_energy())
        slopes.append(atoms.calc.bias_value.enthalpy_slope)
    assert np.ptp(slopes) > 0.1
    assert np.ptp(energies) < 0.01


def test_the_unbiased_energy_is_calculated_once_although_the_bias_changes():
    start = oscillators()
    config = momt_config(update_interval=2, steps=40, interval=20)
    frames = list(config.sampler(start.calc)([start], np.random.default_rng(0)))
    assert start.calc.calls <= 42
    for atoms in frames:
        away = start.calc.away(atoms)
        stretch = atoms.cell.array - start.calc.home
        unbiased = np.sum(away**2) + 2.5 * np.sum(stretch**2)
        assert atoms.get_potential_energy() == pytest.approx(unbiased, abs=1e-9)


# 3: without a bias


def momt_config(**settings) -> MOMTConfig:
    mesh = {"enthalpy": {"first": -1, "last": 6, "nodes": 30}, "coldest": 50, "hottest": 4000}
    mesh["order"] = {"first": -1, "last": 6, "nodes": 30}
    return MOMTConfig.model_validate(
        {
            "temperature": 300,
            "order": {"crystal": "fcc", "repeats": 1},
            "mesh": mesh,
            "steps": 60,
            "interval": 20,
            **settings,
        }
    )


@pytest.mark.parametrize("kind", ["npt-langevin", "npt-isotropic"])
def test_without_a_bias_it_is_plain_dynamics(kind):
    start = oscillators()
    settings = {"ensemble": {"kind": kind}, "steps": 60, "interval": 20}
    momt = momt_config(growth={"kind": "none"}, **settings).sampler(start.calc)
    plain = MDConfig(temperatures=300, **settings).sampler(start.calc)
    pairs = zip(*(sampler([start], np.random.default_rng(0)) for sampler in (momt, plain)), strict=True)
    for first, second in pairs:
        np.testing.assert_allclose(first.positions, second.positions, atol=1e-10)
        np.testing.assert_allclose(first.cell.array, second.cell.array, atol=1e-10)


# 4: a toy whose entropy is known


def test_the_bias_of_oscillators_becomes_their_free_energy():
    start, temperature = oscillators(), 500.0
    axis = {"first": 0.05, "last": 1.4, "nodes": 28}
    mesh = MeshConfig.model_validate({"enthalpy": axis, "coldest": 50, "hottest": 3000, **NO_ORDER})
    bias = Bias(mesh, temperature, WangLandauSteps(size=0.2, flatness=0.7, final=1e-3), widths=(1.0, 1.0))
    still = Order(0.0, np.zeros((4, 3)))
    start.calc = BiasedCalculator(start.calc, bias, lambda atoms: still, pressure=0.0)
    rng = np.random.default_rng(2)
    settings = {"temperature_K": temperature, "friction": 0.05 / units.fs, "fixcm": False, "rng": rng}
    dynamics = Langevin(start, 8 * units.fs, **settings)
    for _ in range(4000):
        dynamics.run(3)
        bias.update(start.calc.enthalpy, 0.0)
        start.calc.refresh()
    energies = np.linspace(0.1, 1.2, 30)
    grown = np.array([bias(energy, 0.0).energy for energy in energies]) / (units.kB * temperature)
    exact = 5 * np.log(energies) - energies / (units.kB * temperature)
    difference = (grown - grown.mean()) - (exact - exact.mean())
    assert np.ptp(exact) > 4
    assert np.sqrt(np.mean(difference**2)) < 0.35


# 5, 6 and 7: the order parameter


@pytest.mark.parametrize("repeats", [1, 2, 3])
@pytest.mark.parametrize("crystal", ["fcc", "bcc", "sc"])
def test_a_perfect_crystal_has_order_n(crystal, repeats):
    atoms = bulk("Ni", crystal, a=3.5, cubic=True) * repeats
    order = OrderConfig(crystal=crystal, repeats=repeats).parameter()(atoms)
    assert order.value == pytest.approx(len(atoms))


def test_diamond_and_zinc_blende_have_half():
    order = OrderConfig(crystal="diamond", repeats=2).parameter()
    for atoms in (bulk("Si", cubic=True) * 2, bulk("ZnS", "zincblende", a=5.4, cubic=True) * 2):
        assert order(atoms).value == pytest.approx(len(atoms) / 2)


def test_one_crystal_is_no_order_of_another():
    atoms = bulk("Ni", "fcc", a=3.5, cubic=True) * 2
    for other in ("bcc", "sc"):
        assert OrderConfig(crystal=other, repeats=2).parameter()(atoms).value == pytest.approx(0, abs=1e-9)


def test_random_atoms_have_order_one():
    rng = np.random.default_rng(0)
    values = [
        FCC(Atoms("Ni32", scaled_positions=rng.random((32, 3)), cell=[7, 7, 7], pbc=True)).value
        for _ in range(400)
    ]
    assert np.mean(values) == pytest.approx(1, abs=0.1)


def test_order_knows_neither_origin_nor_strain():
    atoms = copper(0.2)
    moved, strained, imaged = atoms.copy(), atoms.copy(), atoms.copy()
    moved.positions += [0.3, -1.2, 0.7]
    strained.set_cell(atoms.cell.array @ (np.eye(3) * 1.07 + [[0, 0.1, 0], [0, 0, 0], [0.05, 0, 0]]), True)
    imaged.positions[3] += atoms.cell[0] - atoms.cell[2]
    for other in (moved, strained, imaged):
        assert FCC(other).value == pytest.approx(FCC(atoms).value, rel=1e-10)


@pytest.mark.parametrize("crystal", ["fcc", "bcc", "sc", "diamond"])
def test_the_gradient_of_order_is_its_derivative(crystal):
    order = OrderConfig(crystal=crystal, repeats=(2, 1, 3)).parameter()
    atoms = copper(0.2)
    atoms.set_cell(atoms.cell.array + [[0, 0, 0], [0.4, 0, 0], [0.1, -0.3, 0]], scale_atoms=True)
    gradient = order(atoms).gradient
    for index, axis in ((0, 0), (7, 1), (30, 2)):
        atoms.positions[index, axis] += 1e-5
        above = order(atoms).value
        atoms.positions[index, axis] -= 2e-5
        below = order(atoms).value
        atoms.positions[index, axis] += 1e-5
        assert gradient[index, axis] == pytest.approx((above - below) / 2e-5, abs=1e-6)


def test_the_published_nickel_frames_are_spread_over_order(shared):
    frames = [atoms for atoms in iread(shared / "ni_eam_train.xyz") if atoms.info["group"] == "MOMT"]
    values = np.array([FCC(atoms).value for atoms in frames])
    counts, _ = np.histogram(values, bins=np.arange(0, 26, 2))
    assert len(values) == 1600
    assert 0.05 < values.min() < 0.1
    assert 28 < values.max() < 30
    assert counts[0] == 260
    assert (counts[1:].min(), counts[1:].max()) == (90, 143)


# the bias itself


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


# reweighting


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


# mistakes


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
