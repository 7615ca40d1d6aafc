"""Melting point: what prepares solid and liquid, what keeps the pressure, which rounds count."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import molecule
from ase.calculators.emt import EMT
from ase.geometry import get_distances

from gnnpot.errors import PropertyError
from gnnpot.properties.coexistence import (
    GAP,
    Piston,
    schedule_of,
    side_by_side,
    solid_share,
    spread,
    walk_of,
)
from gnnpot.properties.config import DEFAULT
from gnnpot.properties.figures import figures
from gnnpot.properties.melting import Melting, melting_point
from gnnpot.properties.melting_rounds import STAGES, MeltingConfig, Round, Search
from gnnpot.properties.watch import Watch
from gnnpot.sampling.crystals import bond_length, crystal
from gnnpot.units import GPa

COPPER = 3.59  # Å, of EMT
STIFF = 130 * GPa
QUICK = MeltingConfig(temperature=1000, time="60fs", preparation="60fs", timestep=3, size=3, thickness=3)


@pytest.fixture
def copper():
    return crystal("Cu", lattice_constant=COPPER)


def test_a_piston_takes_a_stretched_crystal_to_zero_pressure_along_its_axis_alone(copper):
    start = copper * (2, 2, 2)
    start.set_cell(start.cell.array * [[1], [1], [1.04]], scale_atoms=True)
    piston = Piston("third", stiffness=STIFF, timestep=7.5)
    walk = walk_of(
        EMT(),
        start,
        piston,
        schedule_of(1500, 7.5, 20),
        thermostat=True,
        rng=np.random.default_rng(0),
    )
    list(walk)
    assert piston.history[0].pressure < -3 * GPa
    assert abs(piston.means().pressure) < 0.3 * GPa
    np.testing.assert_allclose(walk.atoms.cell.array[:2], start.cell.array[:2])
    assert walk.atoms.cell.array[2, 2] == pytest.approx(2 * COPPER, rel=0.01)


def test_without_a_thermostat_a_piston_leaves_the_heat_where_it_is(copper):
    piston = Piston("third", stiffness=STIFF, timestep=2)
    walk = walk_of(
        EMT(), copper * 2, piston, schedule_of(300, 2, 400), thermostat=False,
        rng=np.random.default_rng(1),
    )  # fmt: skip
    list(walk)
    total = [row.energy + 1.5 * 31 / 32 * 8.617333e-5 * row.temperature for row in piston.history]
    assert np.ptp(total) < 0.002  # eV/atom, of 0.05 that move to and fro
    assert np.ptp([row.energy for row in piston.history[:10]]) > 0.01


def test_solid_and_liquid_meet_with_gaps_and_keep_their_distances(copper):
    sites, rng = copper * (2, 2, 2), np.random.default_rng(2)
    solid, liquid = sites.copy(), sites.copy()
    solid.positions += rng.normal(0, 0.1, (32, 3)) + [3, 3, 3]  # a drift of all
    assert spread(solid, sites) == pytest.approx(0.1 * 3**0.5, rel=0.1)
    liquid.set_cell(liquid.cell.array * [[1], [1], [1.1]], scale_atoms=True)
    liquid.positions += rng.normal(0, 2.0, (32, 3))
    neighbor = bond_length(sites)
    both = side_by_side(solid, sites, liquid, neighbor=neighbor)
    np.testing.assert_allclose(both.cell.array[:2], sites.cell.array[:2])
    _, across = get_distances(both.positions[:32], both.positions[32:], cell=both.cell, pbc=True)
    assert across.min() > GAP * neighbor - 0.5
    _, after = get_distances(solid.positions, cell=solid.cell, pbc=[1, 1, 0])
    _, placed = get_distances(both.positions[:32], cell=both.cell, pbc=[1, 1, 0])
    np.testing.assert_allclose(placed, after, atol=1e-9)


def test_the_lever_rule_takes_potential_energies():
    assert solid_share(-4.5, solid=-4.6, liquid=-4.4) == pytest.approx(0.5)
    assert solid_share(-4.6, solid=-4.6, liquid=-4.4) == pytest.approx(1.0)


def test_a_crystal_that_melts_alone_lowers_the_guess_and_one_that_lasts_raises_it(copper):
    hot = Search(
        EMT(),
        copper * 2,
        QUICK.model_copy(update={"temperature": 9000.0, "preparation": 300.0}),
        STIFF,
        seed=0,
    )
    while not hot.rounds:
        hot.advance()
    assert hot.rounds[0].outcome == "the crystal melts without a liquid beside it"
    assert hot.guess == pytest.approx(6300)
    cold = Search(EMT(), copper * 2, QUICK.model_copy(update={"temperature": 100.0}), STIFF, seed=0)
    while not cold.rounds:
        cold.advance()
    assert cold.rounds[0].outcome == "the crystal lasts where it should melt"
    assert (cold.guess, cold.stage) == (pytest.approx(130), "solid")


def test_a_killed_search_goes_on_from_its_state_to_the_bit(copper):
    config = QUICK.model_copy(update={"temperature": 1200.0, "overheating": 5.0, "preparation": 300.0})
    whole, first = (Search(EMT(), copper * 2, config, STIFF, seed=3) for _ in range(2))
    stages = set()
    while not whole.rounds:
        stages.add(whole.stage)
        whole.advance()
    assert stages == set(STAGES)
    assert whole.rounds[0].heat > 0.05
    assert whole.rounds[0].volumes[1] > whole.rounds[0].volumes[0]
    while first.stage != "joined":
        first.advance()
    second = Search(EMT(), copper * 2, config, STIFF, seed=3)
    second.restore(first.state())
    while not second.rounds:
        second.advance()
    assert second.rounds == whole.rounds


def _round(guess, temperature, outcome="both phases", trace=(1300.0, 1310.0)):
    return Round(guess, temperature, outcome, 0.5, 0.001 * GPa, 0.13, (11.0, 11.55), trace * 10)


def test_rounds_count_that_end_with_both_phases_near_their_guess():
    found = Melting(
        (_round(1000, 1250), _round(1250, 1320, "all became solid"), _round(1310, 1300), _round(1290, 1310)),
        length=20.0,
        num_atoms=64,
    )
    assert found.temperature == pytest.approx(1305)
    assert found.uncertainty == pytest.approx(5.0)  # standard error of 1300 and 1310 K
    values = found.as_dict()
    assert (values["num_runs"], len(values["rounds"])) == (2, 4)
    assert values["volume_change"] == pytest.approx(5.0)
    assert values["pressure"] == pytest.approx(0.001)
    steady = Melting((_round(1310, 1305, trace=(1300.0, 1300.0)),), length=20.0, num_atoms=64)
    assert steady.uncertainty == pytest.approx(0.0)


def test_the_figure_shows_temperatures_and_where_they_end():
    result = Melting((_round(1310, 1300), _round(1290, 1310)), length=20.0, num_atoms=64).as_dict()
    (drawn,) = figures({"models": {"EMT": {"melting": result}}, "reference": None})
    assert drawn.name == "melting"
    axes = drawn.figure.axes[0]
    assert len(axes.lines) == 3
    assert axes.get_legend().get_texts()[0].get_text() == "EMT: 1305 ± 5 K"


def test_what_has_no_melting_point_is_told_in_one_line(copper):
    with pytest.raises(PropertyError, match="expected a crystal for a melting point"):
        melting_point(EMT(), molecule("N2"))
    told: list[float] = []
    with pytest.raises(PropertyError, match="expected 2 rounds that end with solid and liquid, got from"):
        melting_point(
            EMT(),
            copper,
            config=QUICK.model_copy(update={"temperature": 50.0, "rounds": 2}),
            watch=Watch(told.append),
        )
    assert told
    with pytest.raises(PropertyError, match="expected dynamics that last for the melting point, got"):
        melting_point(EMT(), copper, config=QUICK.model_copy(update={"timestep": 100.0, "time": 9000.0}))
    assert "melting" not in DEFAULT
