"""The first configuration for a set of data: `gnnpot init`, and the same without data: `gnnpot template`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from gnnpot.config.from_data import AUTO
from gnnpot.data.keys import QUANTITIES, LabelKeys
from gnnpot.data.survey import Survey
from gnnpot.models import MODEL_CONFIGS, ModelConfig
from gnnpot.training.budget import batch_and_epochs
from gnnpot.training.config import TrainingConfig
from gnnpot.training.init.commented_yaml import SECTION, Entry, commented_yaml
from gnnpot.training.optimizer_config import CosineSchedule

_MANY_GROUPS = 20  # are trajectories rather than kinds of structures
_FEW_TO_TEST = 30  # structures, of which none are kept apart

_SHOWN: dict[str, tuple[str, ...]] = {  # sizes of the models, at their defaults
    "ani": ("zeta", "angle_shifts", "envelope", "hidden", "activation"),
    "schnet": ("channels", "num_filters", "num_basis", "num_interactions"),
    "dimenet++": ("channels", "interaction_channels", "output_channels"),
    "nequip": ("channels", "l_max", "num_interactions"),
}
_MEANINGS = {
    "train": "labeled structures; a list for several files",
    "keys": "where the labels are, and in which units",
    "validation": "structures that pick the best epoch, taken out of those above",
    "test": "structures that are only evaluated, in the end",
    "fraction": "their share of the structures",
    "by": "stratified: the same share of every group; grouped: whole groups; or random",
    "model": "what gives the energy of an atom",
    "model.kind": f"one of {', '.join(MODEL_CONFIGS)}",
    "cutoff": "longest distance between neighbors (Å)",
    "angular_cutoff": "the same for the angles (Å)",
    "radial_eta": "sharpness of the radial shells (1/Å²)",
    "radial_shifts": "radii of the radial shells (Å)",
    "angular_eta": "sharpness of the angular shells (1/Å²)",
    "angular_shifts": "radii of the angular shells (Å)",
    "zeta": "sharpness of the angles",
    "angle_shifts": "centers of the angles (radians)",
    "envelope": "form of the fall to zero at the cutoff",
    "hidden": "widths of the hidden layers",
    "activation": "between the layers",
    "channels": "width of the features",
    "num_filters": "width of the convolutions",
    "num_basis": "number of radial functions",
    "num_interactions": "number of interaction blocks",
    "interaction_channels": "width of the products with angles",
    "output_channels": "width before the energies",
    "l_max": "largest degree of the features and spherical harmonics",
    "training": "loss, optimizer and budget",
    "batch_size": "structures of one step",
    "max_epochs": "passes over the training structures; max_time: 30m limits the time",
    "loss": "weights of the mean squared errors",
    "energy": "of the energy per atom (eV²)",
    "forces": "of the components of the forces (eV²/Å²)",
    "stress": "of the components of the stress (eV²/Å⁶)",
    "optimizer": "how the weights are changed",
    "optimizer.kind": "or adam+sgd",
    "learning_rate": "largest size of a step",
    "weight_decay": "pull of the weights to zero",
    "schedule": "of the learning rate",
    "schedule.kind": "or constant, exponential, plateau",
    "warmup_epochs": "rise from zero (epochs)",
    "final": "last rate in units of the first",
    "ema_decay": "the model that is kept is an average over the last steps",
    "seed": "of the first weights, the split and the order of the structures",
}


def first_config(
    kind: str,
    files: Sequence[str],
    survey: Survey,
    *,
    test: Sequence[str] = (),
    keys: LabelKeys | None = None,
) -> dict[str, Any]:
    """The values of a configuration that suits a set of data.

    Args:
        kind: Kind of the model.
        files: Files of the structures.
        survey: What they are like.
        test: Files of structures to test on; without, a part of the others is kept apart.
        keys: Names and units of the labels where they are not the usual ones.
    """
    count = survey.num_structures
    apart = not test and count >= _FEW_TO_TEST
    batch, epochs = batch_and_epochs(count, survey.num_atoms)
    by = "grouped" if len(survey.groups) > _MANY_GROUPS else "stratified"
    config = MODEL_CONFIGS[kind].model_validate({"kind": kind})
    model = config.filled({}) if survey.scales is None else config.fitted(survey.scales)
    share = {"fraction": 0.1, "by": by}
    values = {
        "train": _one_or_several(files),
        "keys": {} if keys is None else keys.model_dump(mode="json", exclude_unset=True),
        "validation": share,
        "test": _one_or_several(test) if test else (share if apart else []),
        "model": {"kind": kind, **_values(model, model.FROM_DATA), **_values(model, _SHOWN.get(kind, ()))},
        "training": _training(kind, batch, epochs, _weights(survey)),
        "seed": 0,
    }
    return {name: value for name, value in values.items() if value not in ({}, [])}


def blank_config(kind: str) -> dict[str, Any]:
    """The values of a configuration before there are data."""
    model = MODEL_CONFIGS[kind].model_validate({"kind": kind})
    lengths = dict.fromkeys(model.FROM_DATA, "auto")
    return {
        "train": "data.xyz",
        "validation": {"fraction": 0.1, "by": "stratified"},
        "test": {"fraction": 0.1, "by": "stratified"},
        "model": {"kind": kind, **lengths, **_values(model, _SHOWN.get(kind, ()))},
        "training": _training(kind, AUTO, AUTO, dict.fromkeys(QUANTITIES, "auto")),
        "seed": 0,
    }


def as_text(values: dict[str, Any], head: Sequence[str], survey: Survey | None = None) -> str:
    """A configuration file with a comment on every key.

    Args:
        values: Of :func:`first_config` or :func:`blank_config`.
        head: Sentences at the top.
        survey: What the comments say of the data.
    """
    return commented_yaml(head, _entries(values, survey))


def _values(model: ModelConfig, names: Sequence[str]) -> dict[str, Any]:
    return {name: _plain(getattr(model, name)) for name in names}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _weights(survey: Survey) -> dict[str, float]:
    """Weights of the loss for the labels that are there; of stress where every structure has it."""
    weights = {"energy": 4.0, "forces": 1.0, "stress": 100.0}
    there = {label: survey.labeled.get(label, 0) for label in QUANTITIES}
    if there["stress"] < survey.num_structures:
        there["stress"] = 0
    return {label: weights[label] if there[label] else 0.0 for label in QUANTITIES}


def _training(kind: str, batch: int | str, epochs: int | str, weights: dict[str, Any]) -> dict[str, Any]:
    model = MODEL_CONFIGS[kind]
    return {
        "batch_size": batch,
        "max_epochs": epochs,
        "loss": weights,
        "optimizer": {
            "kind": "adamw", "learning_rate": model.LEARNING_RATE, "weight_decay": model.WEIGHT_DECAY
        },
        "schedule": CosineSchedule().model_dump(),
        "ema_decay": TrainingConfig.model_fields["ema_decay"].default,
    }  # fmt: skip


def _one_or_several(files: Sequence[str]) -> str | list[str]:
    return str(files[0]) if len(files) == 1 else [str(file) for file in files]


def _entries(values: dict[str, Any], survey: Survey | None, above: str = "") -> Iterator[Entry]:
    for key, value in values.items():
        name = f"{above}.{key}" if above else key
        meaning = _MEANINGS.get(".".join(name.split(".")[-2:]), _MEANINGS.get(key, ""))
        if isinstance(value, dict) and key != "keys":
            yield Entry(name, SECTION, meaning)
            yield from _entries(value, survey, name)
        else:
            yield Entry(name, value, meaning + ("" if survey is None else _reason(key, value, survey)))


def _reason(key: str, value: Any, survey: Survey) -> str:
    """What a value comes from."""
    if key.endswith("cutoff") and survey.scales is not None:
        factor = f"{value / survey.scales.nearest:.1f} nearest-neighbor distances"
        return f": {survey.scales.neighbors_within(value):.0f} neighbors, {factor}"
    if key in QUANTITIES and not value:
        count = survey.labeled.get(key, 0)
        return f": {count} of {survey.num_structures} structures have it" if count else ": none has it"
    return ""
