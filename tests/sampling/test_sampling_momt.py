"""Forces, stress and dynamics of multiorder-multithermal sampling."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms, units
from ase.calculators.emt import EMT
from ase.calculators.fd import calculate_numerical_forces, calculate_numerical_stress
from ase.md.langevin import Langevin
from ase.md.verlet import VelocityVerlet
from harmonic import oscillators
from momt_examples import FCC, NO_ORDER, PRESSURE, copper, momt_config, rough_bias

from gnnpot.sampling import (
    Bias,
    BiasedCalculator,
    MDConfig,
    MeshConfig,
)
from gnnpot.sampling.ensembles import thermalize
from gnnpot.sampling.momt.bias import WangLandauSteps
from gnnpot.sampling.momt.order import Order


def biased(atoms: Atoms) -> Atoms:
    bias = rough_bias(atoms)
    atoms.calc = BiasedCalculator(EMT(), bias, FCC, pressure=PRESSURE)
    return atoms


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
