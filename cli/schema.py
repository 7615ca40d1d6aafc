"""Print the schema of configuration files."""

from __future__ import annotations

import json
from typing import Annotated, Literal

import typer


def schema(
    command: Annotated[
        Literal["train", "transfer", "sample", "label"], typer.Argument(help="Whose configuration files.")
    ] = "train",
) -> None:
    """Print the JSON schema of the configuration files of a command, for editors."""
    from gnnpot.config.base import json_schema

    if command == "transfer":
        from gnnpot.transfer.config import TransferConfig

        found = json_schema(TransferConfig, optional=("model",))
    elif command == "sample":
        from gnnpot.sampling import SampleConfig

        found = json_schema(SampleConfig)
    elif command == "label":
        from gnnpot.labeling.config import LabelConfig

        found = json_schema(LabelConfig)
    else:
        from gnnpot.training.run_config import RunConfig

        found = json_schema(RunConfig)
    typer.echo(json.dumps(found, indent=1))
