"""What is said before a training, and in its report, about its data and budget."""

from __future__ import annotations

from gnnpot.potential.potential import Potential
from gnnpot.training.budget import few_epochs
from gnnpot.training.from_data import unused_labels
from gnnpot.training.preparation import PreparedData
from gnnpot.training.run_config import RunConfig


def notes(config: RunConfig, data: PreparedData, potential: Potential) -> list[str]:
    """Remarks for the user before training."""
    model = potential.model
    return [
        *(f"warning: {warning}" for report in data.reports for warning in report.warnings),
        f"{len(data.train)} structures to train on, {len(data.validation)} for validation",
        *cautions(data),
        *([said] if (said := few_epochs(config.training)) else []),
        *unused_labels(config, data.train, data.validation),
        f"reference energies: {data.references}",
        *([f"stress: {data.stress_offset}"] if data.stress_offset else []),
        f"{model.config.kind} with {model.num_parameters:,} parameters, cutoff {model.cutoff:g} Å",
    ]


def cautions(data: PreparedData) -> list[str]:
    """What of the division of the structures makes errors say less."""
    said = []
    if len(data.validation) > len(data.train):
        said.append(
            f"warning: {len(data.validation)} structures for validation and only {len(data.train)} to train "
            "on; lower validation.fraction"
        )
    if data.unseen_groups:
        said.append(
            f"warning: no structure of {', '.join(data.unseen_groups)} is trained on, and the test has some; "
            "errors are given with and without"
        )
    return said
