"""Elastic constants: published, analytic, and refused."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk, fcc111
from ase.calculators.emt import EMT
from reference_programs import needs_lammps, needs_zhang

from gnnpot.engines import calculator_from, engine_of
from gnnpot.errors import PropertyError
from gnnpot.properties.elastic import ElasticConfig, deformed, elastic_constants
from gnnpot.properties.elastic_averages import cubic_constants, moduli
from gnnpot.properties.equation_of_state import EquationOfStateConfig, equation_of_state
from gnnpot.properties.relaxation import relax_crystal
from gnnpot.sampling.crystals import crystal
from gnnpot.units import GPa

A12, A6 = 12.13188, 14.45392  # lattice sums of fcc


@needs_zhang
@pytest.mark.parametrize(
    ("strain", "expected"),
    [(0.001, (240.2, 157.2, 123.5)), (0.1, (214.4, 159.0, 124.9))],
)
def test_nickel_has_the_published_constants_at_small_strain_and_at_that_of_the_papers(
    zhang, nickel, strain, expected
):
    found = elastic_constants(zhang, nickel.atoms, config=ElasticConfig(strain=strain)).as_dict()
    assert (found["C11"], found["C12"], found["C44"]) == pytest.approx(expected, rel=1e-3)
    assert found["C_prime"] == pytest.approx((expected[0] - expected[1]) / 2, rel=5e-3)
    assert found["strain"] == strain


@needs_lammps
def test_aluminum_has_the_published_constants():
    calculator = calculator_from(engine_of({"kind": "eam", "file": "Al_mm.eam.fs"}))
    relaxed = relax_crystal(calculator, crystal("Al"))
    assert relaxed.as_dict()["a"] == pytest.approx(4.0453, rel=1e-3)
    assert relaxed.energy == pytest.approx(-3.4107, rel=1e-4)
    found = elastic_constants(calculator, relaxed.atoms).as_dict()
    assert (found["C11"], found["C12"], found["C44"]) == pytest.approx((111.1, 61.7, 32.7), rel=1e-2)


def test_silicon_has_the_published_constants_with_relaxed_ions_and_others_with_clamped(
    stillinger_weber, silicon
):
    found = elastic_constants(stillinger_weber, silicon.atoms).as_dict()
    assert (found["C11"], found["C12"], found["C44"]) == pytest.approx((151.4, 76.4, 56.4), rel=1e-2)
    assert found["C44_clamped"] == pytest.approx(109.8, rel=1e-2)
    assert found["C11_clamped"] == pytest.approx(found["C11"], rel=1e-4)
    assert found["born_stable"]


def test_a_primitive_cell_has_the_constants_of_the_conventional_one(stillinger_weber, silicon):
    length = silicon.as_dict()["a"]
    whole = elastic_constants(stillinger_weber, silicon.atoms)
    primitive = elastic_constants(stillinger_weber, bulk("Si", "diamond", a=length))
    np.testing.assert_allclose(primitive.relaxed, whole.relaxed, atol=0.02)


def test_pairs_obey_cauchys_relation_and_the_bulk_modulus_of_their_lattice_sums(argon):
    relaxed = relax_crystal(argon, crystal("Ar:fcc", bond=3.7))
    found = elastic_constants(argon, relaxed.atoms).as_dict()
    assert found["C12"] == pytest.approx(found["C44"], rel=1e-2)
    epsilon, volume = argon.parameters.epsilon, relaxed.volume
    bulk_modulus = 4 * epsilon * A6**2 / (A12 * volume) / GPa
    assert found["bulk_hill"] == pytest.approx(bulk_modulus, rel=1e-2)
    fitted = equation_of_state(argon, relaxed.atoms)
    assert fitted.bulk_modulus == pytest.approx(bulk_modulus, rel=1e-2)
    assert fitted.volume == pytest.approx(relaxed.volume, rel=1e-3)


def test_the_equation_of_state_and_the_constants_tell_one_bulk_modulus(stillinger_weber, silicon):
    fitted = equation_of_state(stillinger_weber, silicon.atoms)
    constants = elastic_constants(stillinger_weber, silicon.atoms)
    assert fitted.bulk_modulus == pytest.approx(constants.moduli.bulk_hill, rel=1e-2)
    assert fitted.energy == pytest.approx(silicon.energy, abs=1e-4)
    assert fitted.residual < 0.1


def test_an_equation_of_state_without_a_minimum_in_its_range_is_refused(stillinger_weber, silicon):
    stretched = silicon.atoms.copy()
    stretched.set_cell(stretched.cell * 1.05, scale_atoms=True)
    with pytest.raises(PropertyError, match="expected a minimum of the energy"):
        equation_of_state(stillinger_weber, stretched, config=EquationOfStateConfig(span=0.02))


def test_averages_of_a_cubic_crystal_are_the_textbook_ones():
    along, across, tilt = 151.4, 76.4, 56.4
    stiffness = np.diag([along] * 3 + [tilt] * 3)
    stiffness[:3, :3] += across * (1 - np.eye(3))
    found, prime = moduli(stiffness), (along - across) / 2
    assert found.bulk_voigt == pytest.approx((along + 2 * across) / 3)
    assert found.bulk_reuss == pytest.approx((along + 2 * across) / 3)
    assert found.shear_voigt == pytest.approx((2 * prime + 3 * tilt) / 5)
    assert found.shear_reuss == pytest.approx(5 * prime * tilt / (2 * tilt + 3 * prime))
    assert cubic_constants(stiffness)["C_prime"] == pytest.approx(37.5)
    stiffness[2, 2] *= 1.5
    assert cubic_constants(stiffness) is None


def test_hexagonal_crystals_obey_their_symmetry_and_have_no_cubic_constants():
    relaxed = relax_crystal(EMT(), crystal("Cu:hcp", bond=2.55))
    found = elastic_constants(EMT(), relaxed.atoms)
    stiffness = found.relaxed
    assert stiffness[0, 0] == pytest.approx(stiffness[1, 1], rel=1e-2)
    assert stiffness[5, 5] == pytest.approx((stiffness[0, 0] - stiffness[0, 1]) / 2, rel=2e-2)
    assert "C11" not in found.as_dict()
    assert np.shape(found.as_dict()["C"]) == (6, 6)


def test_shear_tilts_planes_along_the_first_direction():
    sheared = deformed(crystal("Cu"), 3, 0.1)
    np.testing.assert_allclose(sheared.cell[2], [0, 0.361, 3.61], atol=1e-6)
    np.testing.assert_allclose(sheared.cell[1], [0, 3.61, 0], atol=1e-6)


def test_a_strain_that_breaks_the_crystal_is_refused_with_its_name(short_argon):
    relaxed = relax_crystal(short_argon, crystal("Ar:fcc", bond=3.8))
    with pytest.raises(
        PropertyError, match=r"a strain of 0.4 along xx breaks Ar4: half of it pulls back harder"
    ):
        elastic_constants(short_argon, relaxed.atoms, config=ElasticConfig(strain=0.4))


def test_ions_that_leave_their_places_under_a_strain_are_told(stillinger_weber, silicon):
    with pytest.raises(
        PropertyError, match=r"a strain of 0.02 along \w\w breaks Si8: 1 steps did not suffice"
    ):
        elastic_constants(stillinger_weber, silicon.atoms, config=ElasticConfig(strain=0.02, steps=1))


def test_a_slab_and_a_calculator_without_stress_are_refused():
    class WithoutStress(EMT):
        implemented_properties = ("energy", "free_energy", "forces")

        def calculate(self, *arguments):
            super().calculate(*arguments)
            self.results.pop("stress", None)

    slab = fcc111("Cu", (1, 1, 4), vacuum=8.0)
    with pytest.raises(PropertyError, match="expected a crystal for elastic constants"):
        elastic_constants(EMT(), slab)
    slab.pbc = True
    with pytest.raises(PropertyError, match="of vacuum, a slab or a molecule"):
        elastic_constants(EMT(), slab)
    with pytest.raises(PropertyError, match="expected a calculator with stress"):
        elastic_constants(WithoutStress(), crystal("Cu"))


def test_a_crystal_that_strain_makes_cheaper_is_not_stable():
    relaxed = relax_crystal(EMT(), crystal("Cu:sc", bond=2.4))
    assert not elastic_constants(EMT(), relaxed.atoms).is_stable
