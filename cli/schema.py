"""Print the schema of configuration files."""

from __future__ import annotations

import json
from importlib import import_module
from typing import Annotated, Literal

import typer

_SECTIONS = {
    "train": ("gnnpot.training.run_config", "RunConfig"),
    "transfer": ("gnnpot.transferring.config", "TransferConfig"),
    "sample": ("gnnpot.sampling.config", "SampleConfig"),
    "label": ("gnnpot.labeling.config", "LabelConfig"),
    "distill": ("gnnpot.learning.distillation_config", "DistillConfig"),
    "learn": ("gnnpot.learning.config", "LearnConfig"),
}
_OPTIONAL = {
    "transfer": ("model",),
    "learn": ("potential.model",),
}  # what a file may leave out although the section has it always


def schema(
    command: Annotated[
        Literal["train", "transfer", "sample", "label", "distill", "learn"],
        typer.Argument(help="Whose configuration files."),
    ] = "train",
) -> None:
    """Print the JSON schema of the configuration files of a command, for editors."""
    from gnnpot.config.base import json_schema

    module, name = _SECTIONS[command]
    found = json_schema(getattr(import_module(module), name), optional=_OPTIONAL.get(command, ()))
    typer.echo(json.dumps(found, indent=1))
