"""Thermal expansion is that of phonopy on the same phonons."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import molecule
from ase.calculators.emt import EMT

from gnnpot.errors import PropertyError
from gnnpot.properties.equation_of_state import energies_at
from gnnpot.properties.expansion import ExpansionConfig, thermal_expansion
from gnnpot.properties.phonons import PhononConfig, harmonic_crystal
from gnnpot.properties.relaxation import relax_crystal
from gnnpot.sampling.crystals import crystal

core = pytest.importorskip("phonopy.qha.core")
SMALL = ExpansionConfig(size=6.0, mesh=20.0, points=6, temperature=400.0)


@pytest.fixture(scope="module")
def copper():
    return relax_crystal(EMT(), crystal("Cu")).atoms


def by_phonopy(atoms, config: ExpansionConfig) -> tuple[np.ndarray, np.ndarray]:
    """Temperatures, and volumes per atom (Å³) at them."""
    changes = np.linspace(config.lowest, config.highest, config.points)
    volumes = atoms.get_volume() / len(atoms) * (1 + changes)
    free, entropy, capacity = [], [], []
    for change in changes:
        scaled = atoms.copy()
        scaled.set_cell(atoms.cell.array * (1 + change) ** (1 / 3), scale_atoms=True)
        harmonic = harmonic_crystal(EMT(), scaled, PhononConfig(size=config.size))
        harmonic.run_mesh(config.mesh)
        harmonic.run_thermal_properties(
            t_step=config.step, t_max=config.temperature, t_min=0, cutoff_frequency=1e-3
        )
        found = harmonic.thermal_properties
        free.append(found.free_energy)
        entropy.append(found.entropy)
        capacity.append(found.heat_capacity)
    temperatures = found.temperatures
    energies = energies_at(EMT(), atoms, volumes)
    qha = core.QHA(
        volumes, energies, temperatures, np.transpose(capacity), np.transpose(entropy), np.transpose(free),
        eos="birch_murnaghan",
    )  # fmt: skip
    qha.run(verbose=False)
    count = len(qha.volume_temperature)
    return temperatures[:count], np.array(qha.volume_temperature)


def test_volumes_over_the_temperature_are_those_of_phonopy(copper):
    found = thermal_expansion(EMT(), copper, config=SMALL)
    temperatures, volumes = by_phonopy(copper, SMALL)
    np.testing.assert_allclose(found.volumes[: len(volumes)], volumes, rtol=2e-5)
    assert found.temperatures[: len(temperatures)].tolist() == temperatures.tolist()
    told = found.as_dict()
    assert told["volume_change"] > 0.5
    middle = len(volumes) // 2
    slope = (volumes[middle + 1] - volumes[middle - 1]) / (2 * SMALL.step) / (3 * volumes[middle])
    assert found.linear[middle] == pytest.approx(1e6 * slope, rel=0.02)
    assert abs(found.linear[0]) < 0.1 * told["linear_expansion"]  # by the third law it vanishes


def test_a_molecule_an_unstable_crystal_and_too_few_volumes_are_refused(copper):
    with pytest.raises(PropertyError, match="expected a crystal for thermal expansion"):
        thermal_expansion(EMT(), molecule("N2"))
    wide = SMALL.model_copy(update={"highest": 0.45})
    with pytest.raises(
        PropertyError, match=r"expected real frequencies for thermal expansion, got -?[0-9.]+ THz"
    ):
        thermal_expansion(EMT(), copper, config=wide)
    narrow = SMALL.model_copy(update={"highest": 0.001})
    with pytest.raises(PropertyError, match="expected a minimum of the energy between"):
        thermal_expansion(EMT(), copper, config=narrow)
