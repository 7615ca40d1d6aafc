"""A configuration that does not fit is refused in the words of configurations, in one sentence a fault."""

from __future__ import annotations

from typing import Any

import pytest

from gnnpot.config.base import json_schema, read_values
from gnnpot.errors import ConfigError
from gnnpot.labeling.config import LabelConfig
from gnnpot.models import MODEL_CONFIGS
from gnnpot.sampling.config import SampleConfig
from gnnpot.training.run_config import RunConfig
from gnnpot.transferring.config import TransferConfig

RUN = {"model": {"kind": "schnet"}, "train": "data.xyz"}
CRYSTAL = {"element": "Cu", "crystal": "fcc", "lattice_constant": 3.6}
SAMPLING = {"structures": CRYSTAL, "sampler": {"kind": "noise"}}


def said(values: dict[str, Any], section: type = RunConfig) -> str:
    with pytest.raises(ConfigError) as refused:
        section.from_dict(values, source="x.yaml")
    message = str(refused.value).removeprefix("x.yaml does not fit: ")
    for word in ("Input should", "pydantic", "valid dictionary", "Config", "tuple"):
        assert word not in message
    return message


def test_a_bare_kind_stands_for_a_section():
    training = {"optimizer": "adam+sgd", "schedule": "plateau", "loss": "low2high"}
    run = RunConfig.from_dict({**RUN, "model": "ani", "training": training}, source="x")
    assert run.model.kind == "ani"
    kinds = (run.training.optimizer.kind, run.training.schedule.kind, run.training.loss.kind)
    assert kinds == ("adam+sgd", "plateau", "low2high")
    emt = {"kind": "ase", "calculator_class": "ase.calculators.emt.EMT"}
    sampler = {"kind": "md", "steps": 9, "interval": 3, "temperatures": 300, "ensemble": "npt-flexible"}
    sampling = SampleConfig.from_dict({**SAMPLING, "sampler": sampler, "calculator": emt}, source="x")
    assert sampling.sampler.ensemble.kind == "npt-flexible"
    assert SampleConfig.from_dict({**SAMPLING, "sampler": "rattle"}, source="x").sampler.kind == "rattle"


def test_an_unknown_kind_names_the_nearest():
    assert said({**RUN, "model": "shcnet"}) == "model: no model is called 'shcnet'; did you mean 'schnet'?"
    assert said({**RUN, "training": {"schedule": "cosin"}}).startswith(
        "training.schedule: no schedule is called 'cosin'; did you mean 'cosine'?"
    )
    assert "choose from ani, dimenet++, nequip, schnet" in said({**RUN, "model": {"cutoff": 3.0}})


def test_keys_of_another_kind_are_told_in_one_sentence():
    ani = {"kind": "schnet", "hidden": [8], "radial_shifts": [1.0], "zeta": 3.0}
    assert said({**RUN, "model": ani}) == (
        "model: expected keys of schnet, got hidden, radial_shifts, zeta of ani; remove them, or set "
        "kind: ani"
    )


def test_a_wrong_key_names_the_nearest():
    assert said({**RUN, "model": {"kind": "schnet", "cutof": 3.0}}) == (
        "no key is called model.cutof; did you mean 'cutoff'?"
    )
    assert "did you mean 'training.max_epochs'?" in said({**RUN, "max_epochs": 3})


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"model": 3}, "model: expected a section, or one of ani, dimenet++, nequip, schnet, got 3"),
        (
            {"training": {"batch_size": 0}},
            "training.batch_size: expected a whole number above 0 or auto, got 0",
        ),
        ({"training": {"dtype": "half"}}, "training.dtype: expected float32 or float64, got 'half'"),
        (
            {"training": {"ema_decay": 1.5}},
            "training.ema_decay: expected a number above 0 and below 1 or null",
        ),
        ({"repulsion": {"reach": float("inf")}}, "repulsion.reach: expected a finite number, got inf"),
        ({"seed": [0, 1, 2]}, "seed: expected one seed, got [0, 1, 2]; for a committee set members.count=3"),
        ({"validation": 3}, "validation: expected"),
        ({"test": 3}, "test: expected"),
    ],
)
def test_values_are_refused_by_what_belongs_there(values, words):
    assert said({**RUN, **values}).startswith(words)


def test_unions_are_refused_in_one_sentence():
    crystal = {**CRYSTAL, "repeats": "many"}
    assert said({**SAMPLING, "structures": crystal}, SampleConfig) == (
        "structures.repeats: expected a whole number above 0 or a list of 3, each a whole number above 0, "
        "got 'many'"
    )
    assert said({**RUN, "source": None, "lattice_scale": "wide"}, TransferConfig).startswith(
        "lattice_scale: expected a number above 0, two lattice constants [target, source] or fit"
    )
    said({"method": "xtb", "structures": 3}, LabelConfig)


def test_a_fraction_on_the_command_line_replaces_a_number_of_frames(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("validation: {frames: 14, by: random}")
    assert read_values(path, ["validation.fraction=0.1"])["validation"] == {"fraction": 0.1, "by": "random"}
    assert read_values(path, ["validation.frames=3"])["validation"] == {"frames": 3, "by": "random"}


@pytest.mark.parametrize("kind", MODEL_CONFIGS)
def test_editors_accept_a_bare_kind(kind):
    from jsonschema import Draft202012Validator

    schema = Draft202012Validator(json_schema(RunConfig))
    assert schema.is_valid({**RUN, "model": kind})
    assert schema.is_valid({**RUN, "model": {"kind": kind, "cutoff": "2.1 nn"}})
    assert schema.is_valid({**RUN, "model": {"kind": kind, "cutoff": "auto"}})
    assert not schema.is_valid({**RUN, "model": {"kind": kind, "cutoff": "far"}})
    assert not schema.is_valid({**RUN, "model": "shcnet"})


def test_of_many_faults_some_are_told():
    keys = {f"a_key_of_nobody_{number}_{'x' * 120}": 1 for number in range(40)}
    message = said({**RUN, **keys})
    assert message.endswith(" more")
    assert len(message) < 1000


def test_each_unknown_key_of_a_section_is_named():
    message = said({"modle": "ani", "tarin": "data.xyz", "training": {"batch": 4, "epoch": 3}})
    for name in ("modle", "tarin", "training.batch", "training.epoch"):
        assert f"no key is called {name}; did you mean " in message


def test_a_share_that_is_none_is_refused_in_plain_words():
    with pytest.raises(ConfigError) as raised:
        RunConfig.from_dict({"model": "ani", "train": "a.xyz", "validation": {"fraction": 2}}, source="run")
    assert str(raised.value).endswith(
        "validation.fraction: expected a number above 0 and below 1 or null, got 2"
    )
