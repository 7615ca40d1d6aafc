"""Output folder of an evaluation: ``metrics.json``, ``predictions.xyz`` and ``report.html``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from ase import Atoms

from gnnpot.evaluation.evaluation import Evaluation
from gnnpot.evaluation.predictions import PREDICTIONS_FILE, write_predictions
from gnnpot.evaluation.report import Report, write_report
from gnnpot.potential.committee import Committee
from gnnpot.potential.potential import Potential
from gnnpot.system.files import write_text
from gnnpot.system.run_folder import RunFolder
from gnnpot.version import __version__


def evaluation_folder(output: Path) -> RunFolder:
    """The folder of an evaluation, which is always new."""
    return RunFolder(output, "evaluation", advice="choose another --output")


def write_evaluation(
    evaluation: Evaluation,
    output: Path,
    *,
    potential: Potential | Committee,
    model: str | Path,
    data: Sequence[str],
    frames: Sequence[Atoms] = (),
) -> Path:
    """Write metrics, predictions and report of one evaluation, and return the path of the report.

    Args:
        evaluation: Labels and predictions.
        output: New folder.
        potential: Potential that was judged.
        model: Its file, or what it is called.
        data: Names of the files that it was judged on.
        frames: The structures, to be written with labels and predictions; without isolated atoms.

    Raises:
        OutputError: The folder holds results, or cannot be written to.
    """
    report = Report(
        title=f"Errors of {Path(model).name}",
        evaluations={"evaluated": evaluation},
        facts=_facts(potential, model, data),
        model=str(model),
    )
    with evaluation_folder(output).held(resume=False) as folder:
        write_text(folder.path / "metrics.json", json.dumps(evaluation.metrics(), indent=1) + "\n")
        if frames:
            write_predictions(folder.path / PREDICTIONS_FILE, frames, evaluation)
        write_report(folder.path / "report.html", report)
    return folder.path / "report.html"


def model_facts(potential: Potential | Committee) -> dict[str, str]:
    """Describe a potential for the table of settings."""
    if isinstance(potential, Committee):
        first = model_facts(potential.potentials[0])["model"]
        return {
            "model": f"committee of {len(potential.potentials)} potentials, the first: {first}",
            "elements": ", ".join(potential.elements),
        }
    model = potential.model
    return {
        "model": f"{model.config.kind}, {model.num_parameters:,} parameters, cutoff {model.cutoff:g} Å",
        "elements": ", ".join(potential.elements),
    }


def _facts(potential: Potential | Committee, model: str | Path, data: Sequence[str]) -> dict[str, str]:
    return {
        "model file": str(model),
        **model_facts(potential),
        "data": ", ".join(data),
        "precision": str(potential.dtype).removeprefix("torch."),
        "gnnpot": __version__,
    }
