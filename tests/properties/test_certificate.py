"""The certificate passes what is right and finds what is planted."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.calculators.calculator import all_changes
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from potentials import small_potential

from gnnpot import GNNPotCalculator
from gnnpot.properties.certificate import dimers
from gnnpot.properties.certificate.certify import DRIFT, CertificateConfig, certify
from gnnpot.properties.certificate.checks import Bounds, Curve
from gnnpot.properties.certificate.crystals import EXTREMA, WIGGLES, compression_checks
from gnnpot.properties.certificate.derivatives import FORCES, STRESS, forces_check, stress_check
from gnnpot.properties.certificate.invariance import (
    EXTENSIVITY,
    LOCALITY,
    PERMUTATION,
    ROTATION,
    extensivity_check,
    locality_check,
    permutation_check,
    rotation_check,
)
from gnnpot.properties.relaxation import relax_crystal
from gnnpot.sampling.crystals import crystal

QUICK = CertificateConfig(steps=0)


class Faulty(EMT):
    """EMT with one thing wrong."""

    fault = ""

    def calculate(self, atoms=None, properties=("energy",), system_changes=tuple(all_changes)) -> None:
        super().calculate(atoms, properties, system_changes)
        results, positions = self.results, self.atoms.positions
        if self.fault == "forces":
            results["forces"] = results["forces"] * 1.01
        if self.fault == "stress":
            results["stress"] = results["stress"] + [0.001, 0, 0, 0, 0, 0]
        if self.fault == "rotation":
            results["forces"] = results["forces"] + 0.01 * results["forces"] * [1, 0, 0]
        if self.fault == "permutation":
            results["forces"] = results["forces"] * np.linspace(1, 1.1, len(positions))[:, None]
        if self.fault == "extensivity":
            results["energy"] = results["free_energy"] = results["energy"] + 0.01 * len(positions) ** 2
        if self.fault == "locality":
            results["energy"] = results["free_energy"] = results["energy"] + 1e-2 * np.ptp(positions)


def faulty(fault: str) -> Faulty:
    calculator = Faulty()
    calculator.fault = fault
    return calculator


@pytest.fixture(scope="module")
def rattled():
    atoms = crystal("Cu")
    atoms.rattle(0.1, seed=0)
    return atoms


@pytest.mark.parametrize(
    ("fault", "check"),
    [
        ("forces", forces_check),
        ("stress", stress_check),
        ("rotation", rotation_check),
        ("permutation", permutation_check),
        ("extensivity", extensivity_check),
        ("locality", locality_check),
    ],
)
def test_a_fault_fails_the_check_that_is_for_it_and_emt_passes(fault, check, rattled):
    assert check(EMT(), rattled).verdict == "pass"
    assert check(faulty(fault), rattled).verdict == "fail"


def test_lennard_jones_passes_every_check(short_argon):
    relaxed = relax_crystal(short_argon, crystal("Ar:fcc", bond=3.8))
    config = CertificateConfig(steps=100, timestep=2, temperature=20, dynamics_size=5)
    found = certify(short_argon, relaxed.atoms, config=config)
    assert {check.verdict for check in found.checks} == {"pass"}, [
        c for c in found.checks if c.verdict != "pass"
    ]
    assert {DRIFT, FORCES, STRESS, ROTATION, PERMUTATION, EXTENSIVITY, LOCALITY} <= {
        c.name for c in found.checks
    }
    assert found.verdict == "pass"
    assert list(found.dimers) == ["Ar-Ar"]
    assert found.compression is not None
    binding = next(check for check in found.checks if check.name == "isolated atoms")
    assert binding.value == pytest.approx(-relaxed.energy, rel=1e-6)


def test_a_cutoff_without_a_taper_is_a_jump():
    assert dimers.Dimer(Unshifted(), "Ar", "Ar").jump == pytest.approx(1.33, abs=0.02)
    assert dimers.Dimer(LennardJones(sigma=3.4, epsilon=0.0104, rc=6.0), "Ar", "Ar").jump < 0.05


class Unshifted(LennardJones):
    """Lennard-Jones argon cut off without shift: two atoms jump by the energy at the cutoff."""

    def __init__(self) -> None:
        super().__init__(sigma=3.4, epsilon=0.0104, rc=6.0)

    def calculate(self, atoms=None, properties=("energy",), system_changes=tuple(all_changes)) -> None:
        super().calculate(atoms, properties, system_changes)
        distance = np.linalg.norm(self.atoms.positions[1] - self.atoms.positions[0])
        ratio = (3.4 / 6.0) ** 6
        if distance < 6.0:
            self.results["free_energy"] += 4 * 0.0104 * (ratio**2 - ratio)


class Hole(LennardJones):
    """Lennard-Jones argon with a well of 2 eV where nobody has looked."""

    def __init__(self) -> None:
        super().__init__(sigma=3.4, epsilon=0.0104, rc=10)

    def calculate(self, atoms=None, properties=("energy",), system_changes=tuple(all_changes)) -> None:
        super().calculate(atoms, properties, system_changes)
        bond = self.atoms.positions[1] - self.atoms.positions[0]
        length = np.linalg.norm(bond)
        well = -2 * np.exp(-(((length - 7.0) / 0.3) ** 2))
        self.results["free_energy"] += well
        push = well * 2 * (length - 7.0) / 0.3**2 * bond / length
        self.results["forces"] = self.results["forces"] + [-push, push]


def test_a_second_minimum_and_attraction_at_short_range_are_found():
    hole = dimers.Dimer(Hole(), "Ar", "Ar")
    assert hole.spurious_depth == pytest.approx(0.01, abs=0.02)  # that of Lennard-Jones is the lesser one now
    checks = {check.name: check for check in dimers.dimer_checks([hole])}
    assert checks[dimers.REPULSION].verdict == "pass"
    soft = dimers.Dimer(GNNPotCalculator(small_potential_without_repulsion()), "Si", "Si")
    (repulsion, *_) = dimers.dimer_checks([soft])
    assert repulsion.value == soft.attraction_when_close


def small_potential_without_repulsion():
    potential = small_potential("ani")
    potential.repulsion = None
    return potential


def test_a_model_with_random_weights_obeys_what_is_built_in():
    potential = small_potential("schnet")
    found = certify(
        GNNPotCalculator(potential),
        relax_crystal(GNNPotCalculator(potential), crystal("Si")).atoms,
        config=QUICK,
    )
    verdicts = {check.name: check.verdict for check in found.checks}
    assert all(
        verdicts[name] == "pass" for name in (FORCES, STRESS, ROTATION, PERMUTATION, EXTENSIVITY, LOCALITY)
    )


def test_wiggles_and_a_second_minimum_of_the_volume_are_counted():
    volumes = np.linspace(0.7, 1.3, 61)
    calm = compression_checks(Curve(tuple(volumes), tuple((volumes - 1) ** 2)))
    assert [check.verdict for check in calm] == ["pass", "pass"]
    wavy = (volumes - 1) ** 2 + 0.02 * np.cos(60 * volumes)
    checks = {check.name: check for check in compression_checks(Curve(tuple(volumes), tuple(wavy)))}
    assert checks[EXTREMA].verdict == "fail"
    assert checks[WIGGLES].verdict == "fail"


def test_a_molecule_has_the_checks_that_concern_it():
    found = certify(EMT(), molecule("CO"), config=QUICK)
    verdicts = {check.name: check.verdict for check in found.checks}
    assert verdicts[FORCES] == "pass"
    assert verdicts[STRESS] == verdicts[EXTENSIVITY] == "not applicable"
    assert WIGGLES not in verdicts
    assert len(found.dimers) == 3


def test_an_element_that_the_calculator_does_not_know_fails_in_words():
    found = certify(EMT(), Atoms("Fe2", [[0, 0, 0], [2.2, 0, 0]]), config=QUICK)
    assert found.verdict == "fail"
    assert all("could not be computed" in check.says for check in found.checks if check.verdict == "fail")


def test_a_value_that_is_no_number_fails():
    assert Bounds(1, 2).verdict(float("nan")) == "fail"
    assert [Bounds(1, 2).verdict(value) for value in (1, 1.5, 3)] == ["pass", "warn", "fail"]
