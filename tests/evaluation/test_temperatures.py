"""Errors are told by the temperature of the structures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from potentials import small_potential
from structures import silicon

from gnnpot.evaluation.evaluation import evaluate
from gnnpot.evaluation.temperatures import temperature_classes, temperature_image, temperature_of


@pytest.fixture(scope="module")
def evaluation():
    """Silicon at two temperatures, and a frame that tells none."""
    frames = []
    for seed, told in enumerate([{"temperature": 300}, {"temperature": 900.0}, {"temperature": 300.0}, {}]):
        atoms = silicon(seed=seed)
        atoms.info.update(told, origin=f"a.xyz:{seed}", group="")
        atoms.calc = SinglePointCalculator(atoms, energy=0.0, forces=np.full((8, 3), 0.1 * seed))
        frames.append(atoms)
    return evaluate(small_potential(), frames)


def test_errors_at_each_temperature_are_those_of_its_structures(evaluation):
    assert evaluation.temperatures[:3] == (300.0, 900.0, 300.0)
    assert np.isnan(evaluation.temperatures[3])
    found = evaluation.metrics()["temperatures"]
    assert {name: errors["num_structures"] for name, errors in found.items()} == {"300": 2, "900": 1}
    squares = np.square(1000 * evaluation.force_errors)
    assert found["900"]["forces"]["rmse"] == pytest.approx(np.sqrt(squares[1]))
    assert found["300"]["forces"]["rmse"] == pytest.approx(np.sqrt((squares[0] + squares[2]) / 2))


def test_boxes_are_drawn_of_several_potentials_where_there_are_two_temperatures(evaluation):
    image = temperature_image({"first": evaluation, "second": evaluation})
    median = 1000 * evaluation.force_errors[1]
    assert f"{median:.3g} at 900 K; second: " in image.alt
    assert temperature_image({"first": replace(evaluation, temperatures=(300.0,) * 4)}) is None
    assert temperature_image({"first": replace(evaluation, temperatures=())}) is None


def test_many_temperatures_go_into_bins_and_what_is_no_number_is_none():
    ramp = np.append(np.linspace(300, 1100, 50), np.nan)
    classes = temperature_classes(ramp)
    assert np.unique(classes[:-1]).tolist() == [350, 450, 550, 650, 750, 850, 950, 1050]
    assert np.isnan(classes[-1])
    atoms = silicon()
    for value in ("hot", float("inf"), None):
        atoms.info["temperature"] = value
        assert np.isnan(temperature_of(atoms))
