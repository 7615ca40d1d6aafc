"""The report of a training."""

from __future__ import annotations

from gnnpot.errors import listed
from gnnpot.evaluation.evaluation import Evaluation
from gnnpot.evaluation.folder import model_facts
from gnnpot.evaluation.report import Report
from gnnpot.potential.potential import Potential
from gnnpot.training.budget import still_falling
from gnnpot.training.module import PotentialModule
from gnnpot.training.notes import cautions
from gnnpot.training.preparation import PreparedData
from gnnpot.training.run_config import RunConfig
from gnnpot.version import __version__


def run_report(
    config: RunConfig,
    data: PreparedData,
    evaluations: dict[str, Evaluation],
    *,
    potential: Potential,
    module: PotentialModule,
) -> Report:
    """Assemble the report of a run."""
    falling = still_falling(config.training, module.history)
    return Report(
        title=f"{config.model.name} potential of {listed(potential.elements)}",
        evaluations=evaluations,
        history=module.history,
        best_epoch=module.best["epoch"],
        facts=_facts(config, data, potential, module.seconds),
        warnings=[
            *(text.removeprefix("warning: ") for text in cautions(data)),
            *([falling.removeprefix("warning: ")] if falling else []),
            *(warning for report in data.reports for warning in report.warnings),
        ],
        unseen_groups=data.unseen_groups,
    )


def _test_words(config: RunConfig, data: PreparedData) -> str:
    if data.test is None:
        return "none"
    files = ", ".join(map(str, config.test_files)) or "taken out of the training data"
    return f"{files}: {len(data.test)} structures"


def _facts(config: RunConfig, data: PreparedData, potential: Potential, seconds: float) -> dict[str, str]:
    return {
        **model_facts(potential),
        "training data": f"{', '.join(map(str, config.train))}: {len(data.train)} structures",
        "validation data": f"{len(data.validation)} structures",
        "test data": _test_words(config, data),
        "reference energies": str(data.references),
        "unit of the output": f"{data.scale:.4g} eV",
        **({"stress labels": str(data.stress_offset)} if data.stress_offset else {}),
        "seed": str(config.seed),
        "precision": config.training.dtype,
        "time": f"{seconds / 60:.1f} min",
        "gnnpot": __version__,
    }
