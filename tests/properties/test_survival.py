"""Dynamics that last are counted, and those that do not."""

from __future__ import annotations

import numpy as np
import pytest
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from potentials import small_potential

from gnnpot.calculator.calculator import GNNPotCalculator
from gnnpot.errors import OutputError, PropertyError
from gnnpot.properties.dynamics import DynamicsConfig, dynamics
from gnnpot.properties.survival import (
    Survival,
    SurvivalConfig,
    survival,
    survival_curve,
    wilson_interval,
)
from gnnpot.properties.watch import Watch
from gnnpot.sampling.crystals import crystal
from gnnpot.sampling.ensembles import NVE, LangevinNVT


class Unstable(Calculator):
    """Atoms that are driven from where they started, the farther the harder."""

    implemented_properties = ("energy", "forces", "stress")

    def calculate(self, atoms=None, properties=("energy",), system_changes=tuple(all_changes)) -> None:
        super().calculate(atoms, properties, system_changes)
        if not hasattr(self, "home"):
            self.home = self.atoms.positions.copy()
        away = self.atoms.positions - self.home
        self.results = {"energy": -np.sum(away**2), "forces": 60 * away, "stress": np.zeros(6)}


def test_runs_of_copper_last_and_are_counted():
    found = survival(
        EMT(), crystal("Cu"), config=SurvivalConfig(temperature=300, time="60fs", runs=3, size=3, timestep=2)
    )
    assert found.survived == 1.0
    assert found.times == (0.06,) * 3
    assert found.mean_time_to_failure == float("inf")
    assert found.survived_interval[0] == pytest.approx(0.4385, abs=1e-3)
    assert found.as_dict()["mean_time_to_failure"] is None


def test_dynamics_that_explode_are_counted_and_not_raised():
    told = []
    config = SurvivalConfig(temperature=300, time="2ps", runs=3, size=3, timestep=1)
    found = survival(Unstable(), crystal("Cu"), config=config, watch=Watch(told.append))
    assert found.survived == 0.0
    assert all(found.failures)
    assert max(found.times) < 2.0
    assert told
    with pytest.raises(PropertyError, match="expected dynamics that last at 300 K"):
        dynamics(Unstable(), crystal("Cu"), config=DynamicsConfig(time="2ps", size=3, seeds=2))


def dying(path, *, after):
    """Keeps the state in a file, and is killed after so much of the work."""

    def die(share):
        if path.exists() and share > after:
            raise KeyboardInterrupt

    return Watch(die, path)


@pytest.mark.parametrize("kind", ["batch", "one by one"])
def test_killed_runs_go_on_from_their_file_and_a_damaged_one_is_refused(kind, tmp_path, monkeypatch):
    monkeypatch.setattr("gnnpot.properties.watch._PAUSE", -1.0)
    config = SurvivalConfig(temperature=300, time="30fs", runs=2, size=3, timestep=1)
    batch = GNNPotCalculator(small_potential("ani", elements=("Cu",)), device="cpu")
    calculator = batch if kind == "batch" else EMT()
    whole = survival(calculator, crystal("Cu"), config=config)
    path = tmp_path / "stability.state.json"

    with pytest.raises(KeyboardInterrupt):
        survival(calculator, crystal("Cu"), config=config, watch=dying(path, after=0.4))
    shares = []
    watch = Watch(shares.append, path)
    assert survival(calculator, crystal("Cu"), config=config, watch=watch) == whole
    assert min(shares) > 0.3
    watch.done()
    assert not path.exists()
    path.write_text("{}")
    with pytest.raises(OutputError, match="expected the state of dynamics in"):
        survival(calculator, crystal("Cu"), config=config, watch=watch)


@pytest.mark.parametrize("kind", ["batch", "one by one"])
def test_killed_dynamics_go_on_with_the_frames_that_they_had(kind, tmp_path, monkeypatch):
    monkeypatch.setattr("gnnpot.properties.watch._PAUSE", -1.0)
    config = DynamicsConfig(time="80fs", equilibration="10fs", interval="10fs", timestep=2, size=3, seeds=2)
    batch = GNNPotCalculator(small_potential("ani", elements=("Cu",)), device="cpu")
    calculator = batch if kind == "batch" else EMT()
    whole = dynamics(calculator, crystal("Cu"), config=config)
    path = tmp_path / "dynamics.state.json"

    with pytest.raises(KeyboardInterrupt):
        dynamics(calculator, crystal("Cu"), config=config, watch=dying(path, after=0.6))
    shares = []
    again = dynamics(calculator, crystal("Cu"), config=config, watch=Watch(shares.append, path))
    assert min(shares) > 0.5
    # rounding of a batch moves a few angles from one bin to the next
    np.testing.assert_allclose(again.displacement.squares, whole.displacement.squares, rtol=1e-6)
    np.testing.assert_allclose(again.radial.total, whole.radial.total, atol=0.01)
    assert again.angular.mean == pytest.approx(whole.angular.mean, abs=0.01)
    assert again.coordination == pytest.approx(whole.coordination, rel=1e-3)


def test_intervals_are_the_published_ones():
    assert wilson_interval(100, 100) == pytest.approx((0.9630, 1.0), abs=1e-4)
    assert wilson_interval(35, 100) == pytest.approx((0.2636, 0.4475), abs=1e-4)
    found = Survival(times=(1.0, 2.0, 3.0, 4.0), failures=("hot", "", "hot", ""), length=4.0)
    assert found.mean_time_to_failure == pytest.approx(5.0)
    lower, upper = found.mean_time_to_failure_interval
    assert lower == pytest.approx(20 / 14.449, rel=1e-3)  # χ² of 6 degrees of freedom at 97.5 %
    assert upper == pytest.approx(20 / 0.48442, rel=1e-3)  # χ² of 4 degrees of freedom at 2.5 %


def test_the_curve_of_survival_leaves_out_those_who_left_alive():
    found = Survival(times=(1.0, 2.0, 3.0, 4.0), failures=("hot", "", "hot", ""), length=4.0)
    times, shares = survival_curve([found])
    np.testing.assert_allclose(times, [0, 1, 3])
    np.testing.assert_allclose(shares, [1, 0.75, 0.375])


@pytest.mark.parametrize("ensemble", ["nve", "langevin"])
def test_seeds_of_a_potential_move_as_one_batch_to_the_same_distributions(ensemble, monkeypatch):
    calculator = GNNPotCalculator(small_potential("ani", elements=("Cu",)), device="cpu")
    asked = []
    single = calculator.get_property

    def counted(*words, **settings):
        asked.append(words[0])
        return single(*words, **settings)

    monkeypatch.setattr(calculator, "get_property", counted)
    config = DynamicsConfig(time="60fs", equilibration="20fs", interval="20fs", size=3, seeds=2)
    config = config.model_copy(update={"ensemble": {"nve": NVE(), "langevin": LangevinNVT()}[ensemble]})
    together = dynamics(calculator, crystal("Cu"), config=config)
    assert not asked
    monkeypatch.setattr("gnnpot.properties.runs._BATCHED", ())
    alone = dynamics(calculator, crystal("Cu"), config=config)
    assert asked
    np.testing.assert_allclose(together.radial.total, alone.radial.total, atol=1e-6)
    np.testing.assert_allclose(together.displacement.squares, alone.displacement.squares, rtol=1e-6)
    assert together.failures == alone.failures == ()


def test_solid_copper_keeps_its_neighbors_and_does_not_diffuse():
    config = DynamicsConfig(temperature=200, time="200fs", equilibration="100fs", timestep=5, size=7, seeds=2)
    found = dynamics(EMT(), crystal("Cu"), config=config)
    assert found.radial.first_peak == pytest.approx(2.55, abs=0.15)
    assert np.mean(found.coordination) == pytest.approx(12, abs=0.5)
    assert found.displacement.squares.max() < 0.2
    assert found.radial_band.max() > 0
    assert np.mean(found.density) == pytest.approx(8.96, abs=0.1)
    assert found.num_atoms == 32
