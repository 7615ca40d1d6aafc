"""The folder that an evaluation leaves: ``metrics.json`` and ``report.html``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from gnnpot.errors import OutputError
from gnnpot.evaluation.evaluation import Evaluation
from gnnpot.evaluation.report import Report, write_report
from gnnpot.potential.potential import Potential
from gnnpot.system.files import make_folder, write_text
from gnnpot.version import __version__

_RESULTS = ("config.yaml", "metrics.json", "report.html")


def check_folder(output: Path) -> None:
    """Refuse a folder that holds results, before time is spent on new ones.

    Raises:
        OutputError: It holds a run or an evaluation, or is a file.
    """
    output = Path(output)
    if output.exists() and not output.is_dir():
        raise OutputError(f"expected a folder to write to, got the file {output}; choose another --output")
    there = [name for name in _RESULTS if (output / name).exists()]
    if there:
        raise OutputError(f"expected a new folder, got {output} with {there[0]}; choose another --output")


def write_evaluation(
    evaluation: Evaluation, output: Path, *, potential: Potential, model: Path, data: Sequence[str]
) -> Path:
    """Write the metrics and the report of one evaluation; gives the path of the report.

    Args:
        evaluation: Labels and predictions.
        output: New folder.
        potential: Potential that was judged.
        model: File of the potential.
        data: Names of the files that it was judged on.

    Raises:
        OutputError: The folder holds results, or cannot be written to.
    """
    output = Path(output)
    check_folder(output)
    make_folder(output)
    write_text(output / "metrics.json", json.dumps(evaluation.metrics(), indent=1) + "\n")
    report = Report(
        title=f"Errors of {Path(model).name}",
        evaluations={"evaluated": evaluation},
        facts=_facts(potential, model, data),
        model=str(model),
    )
    write_report(output / "report.html", report)
    return output / "report.html"


def model_facts(potential: Potential) -> dict[str, str]:
    """What a potential is, for the table of facts."""
    model = potential.model
    return {
        "model": f"{model.config.kind}, {model.num_parameters:,} parameters, cutoff {model.cutoff:g} Å",
        "elements": ", ".join(potential.elements),
    }


def _facts(potential: Potential, model: Path, data: Sequence[str]) -> dict[str, str]:
    return {
        "model file": str(model),
        **model_facts(potential),
        "data": ", ".join(data),
        "precision": str(potential.dtype).removeprefix("torch."),
        "gnnpot": __version__,
    }
