"""One number says how far properties are from what they should be."""

from __future__ import annotations

import math

import pytest
from ase.calculators.emt import EMT

from gnnpot.errors import ConfigError
from gnnpot.properties.judgment import judged
from gnnpot.properties.targets import TargetsConfig

VALUES = {"relaxation": {"a": 3.6}, "elastic": {"C11": 180.0, "C44": 90.0}}


def targets(**more) -> TargetsConfig:
    return TargetsConfig.model_validate({"structure": "Cu", "values": VALUES, **more})


def test_the_deviation_is_the_mean_over_the_quantities_that_a_word_names():
    every = judged(EMT(), targets())
    assert set(every.parts) == {"relaxation.a", "elastic.C11", "elastic.C44"}
    assert every.parts["elastic.C11"] == pytest.approx(100 * (180 - 172.6) / 180, abs=0.05)
    assert every.deviation == pytest.approx(sum(every.parts.values()) / 3)
    one = judged(EMT(), targets(), "elastic.C11")
    assert one.deviation == pytest.approx(every.parts["elastic.C11"])
    strained = judged(EMT(), targets(settings={"elastic": {"strain": 0.02}}), "elastic.C11")
    assert strained.deviation != pytest.approx(one.deviation, abs=0.05)


def test_what_fails_is_infinitely_far_and_says_why():
    found = judged(EMT(), targets(settings={"elastic": {"strain": 0.4}}), "elastic")
    assert math.isinf(found.deviation)
    assert "breaks Cu4" in found.failures["elastic"]
    still = judged(EMT(), targets(settings={"relaxation": {"steps": 1, "force": 1e-12}}))
    assert "did not suffice" in still.failures["relaxation"]


def test_a_certificate_counts_what_fails_and_what_warns():
    settings = {"certificate": {"steps": 0, "size": 3}}
    found = judged(EMT(), TargetsConfig(structure="Cu", settings=settings), "certificate")
    assert 0 <= found.deviation < 1
    assert round(100 * found.deviation) == pytest.approx(100 * found.deviation)


def test_values_may_come_from_what_the_command_prints(command, tmp_path):
    words = ("properties", "ase:calculator_class=ase.calculators.emt.EMT", "--structure", "Cu")
    code, out, _ = command(*words, "--only", "relaxation", "elastic", "--output", tmp_path / "out", "--json")
    assert code == 0
    path = tmp_path / "reference.json"
    path.write_text(out)
    found = judged(EMT(), TargetsConfig(structure="Cu", values=path))
    assert found.deviation == pytest.approx(0.0, abs=1e-3)
    assert {"elastic.C11", "relaxation.a", "elastic.bulk_hill"} <= set(found.parts)


def test_what_cannot_be_compared_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="expected values of what vacancy stands for, got relaxation"):
        judged(EMT(), targets(), "vacancy")
    with pytest.raises(ConfigError, match="none that can be compared; quantities of elastic are C11"):
        judged(EMT(), targets(), "elastic.C66")
    path = tmp_path / "values.json"
    path.write_text("[1]")
    with pytest.raises(ConfigError, match="expected values by property in"):
        judged(EMT(), TargetsConfig(structure="Cu", values=path))
