"""A commented configuration from files of labeled structures."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Sequence
from typing import Any

from gnnpot.config.registry import nearest
from gnnpot.data.keys import LabelKeys
from gnnpot.data.reading import read_frames
from gnnpot.data.scales import evenly_spread
from gnnpot.data.survey import Survey
from gnnpot.errors import DataError, UnknownNameError, listed
from gnnpot.graph.graph import LABELS
from gnnpot.models import MODEL_CONFIGS
from gnnpot.training.init.estimate import training_seconds
from gnnpot.training.init.first_config import as_text, blank_config, first_config
from gnnpot.training.run_config import RunConfig

_MOST_TIMED = 64  # structures
_FILE = "run.yaml"
_MANY = 8  # groups are not named


def first_text(
    kind: str,
    files: Sequence[str],
    *,
    test: Sequence[str] = (),
    keys: LabelKeys | None = None,
    watch: Callable[[str, float], None] = lambda text, share: None,
) -> tuple[str, str]:
    """The text of a configuration file that suits the structures in ``files``, and what it goes by.

    Args:
        kind: Kind of the model.
        files: Files of labeled structures.
        test: Files of structures to test on; without, a part of the others is kept apart.
        keys: Names and units of the labels where they are not the usual ones.
        watch: Receives what is being done, and the share of all that is behind.

    Raises:
        UnknownNameError: There is no such kind.
        DataError: The structures cannot be read, have no labels, or there is only one.
    """
    check_kind(kind)
    watch(f"reading {', '.join(files)}", 0.0)
    survey = Survey.of(read_frames(files, keys or LabelKeys()))
    _check_enough(survey, files)
    values = first_config(kind, files, survey, test=test, keys=keys)
    config = RunConfig.from_dict(values, source="the new configuration")
    watch("timing training steps, for which loops may have to be compiled", 0.0)
    seconds = _seconds(config, survey)
    facts, duration = _in_words(survey, kind), _duration(seconds)
    command = shlex.join(["gnnpot", "init", *files, *(["--model", kind] if kind != "ani" else [])])
    head = [
        facts,
        f"Written by `{command}`. `gnnpot train {_FILE}` takes {duration} on this machine.",
    ]
    return as_text(values, head, survey), f"{facts} {duration.capitalize()} to train on this machine."


def template_text(kind: str) -> str:
    """The text of a configuration file for a kind of model, before there are data.

    Raises:
        UnknownNameError: There is no such kind.
    """
    check_kind(kind)
    head = [
        f"{kind}, with lengths and weights chosen by the data that `train` names; "
        f"`gnnpot init data.xyz --model {kind}` writes the numbers down.",
    ]
    return as_text(blank_config(kind), head)


def check_kind(kind: str) -> None:
    """Refuse what is no kind of a model.

    Raises:
        UnknownNameError: Naming the nearest.
    """
    if kind not in MODEL_CONFIGS:
        raise UnknownNameError(f"no model is called {kind!r}; {nearest(kind, MODEL_CONFIGS)}")


def _check_enough(survey: Survey, files: Sequence[str]) -> None:
    """Refuse structures from which nothing can be learned.

    Raises:
        DataError: No structure has energy or forces, or there is only one.
    """
    if not survey.labeled.get("energy") and not survey.labeled.get("forces"):
        raise DataError(
            f"expected energies or forces in {', '.join(files)}, got none; name their keys, as --keys "
            "energy=dft_energy, or label the structures with `gnnpot label`"
        )
    if survey.num_structures < 2:
        raise DataError(
            "expected two structures or more, one of them for validation, got 1; `gnnpot sample` makes more"
        )


def _seconds(config: RunConfig, survey: Survey) -> float:
    held = [one.fraction or 0.0 for one in (config.validation, config.test) if not isinstance(one, tuple)]
    test = held[1] if len(held) > 1 else 0.0
    left = survey.num_structures * (1 - test)
    validation = max(round(left * held[0]), 1)
    frames = [survey.frames[place] for place in evenly_spread(len(survey.frames), _MOST_TIMED)]
    return training_seconds(
        config, frames, num_train=max(round(left) - validation, 1), num_validation=validation
    )


def _in_words(survey: Survey, kind: str) -> str:
    elements = listed(survey.elements)
    labels = listed([label for label in LABELS if survey.labeled.get(label)]) or "no labels"
    extent = f"{survey.num_structures:,} structures of {survey.num_atoms:,} atoms (median) with {labels}"
    if survey.scales is not None:
        extent += f"; nearest neighbors are {survey.scales.nearest:.2f} Å apart"
    if survey.widths is not None:
        least, largest = (f"{width:.1f}" for width in survey.widths)
        extent += f", cells {least if least == largest else f'{least} to {largest}'} Å wide"
    groups = sorted(name for name in survey.groups if name)
    extent += f", in groups {listed(groups)}" if 1 < len(groups) < _MANY else ""
    return f"{MODEL_CONFIGS[kind](kind=kind).name} potential of {elements}: {extent}."


def _duration(seconds: float) -> str:
    """In words, to one or two digits."""
    for unit, size in (("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 1.5 * size:
            value: Any = seconds / size
            return f"about {value:.0f} {unit}" if value >= 10 else f"about {value:.1f} {unit}"
    return f"about {max(math.ceil(seconds / 10) * 10, 10)} seconds"
