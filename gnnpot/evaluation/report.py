"""Report of a training run or an evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from gnnpot.evaluation.evaluation import Evaluation
from gnnpot.evaluation.figures import calibration_images, history_images, parity_images
from gnnpot.evaluation.free_atoms import free_atoms_in_words
from gnnpot.evaluation.tables import metrics_table, worst_table
from gnnpot.evaluation.temperatures import temperature_image
from gnnpot.report.figures import BLUE, GREY, ORANGE
from gnnpot.report.page import page, panels, warnings_list
from gnnpot.report.tables import facts_table, number
from gnnpot.system.files import write_text
from gnnpot.units import ERROR_UNITS

_MANY_GROUPS = 25  # more are folded


@dataclass(frozen=True)
class Report:
    """Content of a report.

    Attributes:
        title: Title of the page.
        evaluations: Results by name of the set; the last gives the headline.
        history: A row of errors for each epoch, or empty.
        best_epoch: Whose model was kept.
        facts: Table of settings and data.
        warnings: Warnings of the data report.
        model: Name of the model file, for the lines that show its use.
        sections: Further parts as HTML, after the errors.
        verdict: Sentences for the top of the page.
        unseen_groups: Groups of the headline's structures of which none was trained on.
    """

    title: str
    evaluations: Mapping[str, Evaluation]
    history: Sequence[dict[str, float]] = ()
    best_epoch: float = 0.0
    facts: Mapping[str, str] | None = None
    warnings: Sequence[str] = ()
    model: str = "model.safetensors"
    sections: Sequence[str] = ()
    unseen_groups: Sequence[str] = ()
    verdict: Sequence[str] = ()


def _calibration(evaluation: Evaluation) -> str:
    """Figures of errors against the uncertainty, or nothing of a potential without."""
    images = calibration_images(evaluation)
    return f"<h2>Is the uncertainty honest?</h2>{panels(images)}" if images else ""


def write_report(path: Path, report: Report) -> None:
    """Write ``report`` as one self-contained HTML file.

    Raises:
        OutputError: The disk is full, or the folder cannot be written to.
    """
    headline = list(report.evaluations)[-1]
    metrics = {name: evaluation.metrics() for name, evaluation in report.evaluations.items()}
    parts = [
        f"<h1>{escape(report.title)}</h1>",
        _lead(report, headline),
        *(f'<p class="verdict">{escape(text)}</p>' for text in report.verdict),
        _cards(metrics[headline]),
        warnings_list(report.warnings),
        _tables(metrics, headline, report),
        _calibration(report.evaluations[headline]),
        *report.sections,
        "<h2>Predicted against reference</h2>",
        *(_parity(name, evaluation) for name, evaluation in reversed(list(report.evaluations.items()))),
        '<p class="note">Where points are many, color tells how many, on a logarithmic scale. Below each: how '
        "the errors are spread; the outermost bars hold what lies beyond.</p>",
        _history(report),
        _worst(report.evaluations[headline], headline),
        _facts(report.facts or {}),
        _usage(report.model),
    ]
    write_text(path, page(report.title, parts))


def _lead(report: Report, headline: str) -> str:
    said = f"Errors on {_extent(report.evaluations[headline], headline)}."
    judged = report.evaluations[headline]
    if judged.num_isolated:
        said += f" Isolated atoms are left out: {judged.num_isolated:,}."
    if judged.free_atoms:
        said += f" Errors of free atoms: {free_atoms_in_words(judged.free_atoms)}."
    if headline == "validation" and report.history:
        said += " They also picked the best epoch: structures kept apart for a test would say more."
    return f'<p class="lead">{escape(said)}</p>'


def _cards(metrics: Mapping[str, Any]) -> str:
    cards = []
    for name, unit in ERROR_UNITS.items():
        error, labeled, every = metrics[name], metrics["num_labeled"][name], metrics["num_structures"]
        if error is None:
            continue
        note = "" if labeled == every else f'<p class="note">on {labeled:,} of {every:,} structures</p>'
        cards.append(
            f'<section class="card"><h2>{name.capitalize()}</h2><dl>'
            f'<dt>RMSE</dt><dd class="main">{number(error["rmse"], error["mae"])} <span class="unit">{unit}</span></dd>'
            f'<dt>MAE</dt><dd>{number(error["mae"], error["rmse"])} <span class="unit">{unit}</span></dd></dl>{note}</section>'
        )
    return f'<div class="cards">{"".join(cards)}</div>'


def _tables(metrics: Mapping[str, Mapping[str, Any]], headline: str, report: Report) -> str:
    of_headline, parts = metrics[headline], []
    sets = dict(metrics)
    if unseen := report.unseen_groups:
        sets[f"{headline}, but for groups not trained on"] = report.evaluations[headline].metrics_without(
            unseen
        )
    if len(sets) > 1:
        parts.append(metrics_table(sets, "set"))
    groups = {
        f"{name} (not trained on)" if name in unseen else name: errors
        for name, errors in of_headline["groups"].items()
    }
    if len(groups) > 1 or unseen:
        title, table = f"By group, {escape(headline)}", metrics_table(groups, "group")
        folded = f"<details><summary>{title} ({len(groups)} groups)</summary>{table}</details>"
        parts.append(folded if len(groups) > _MANY_GROUPS else f"<h3>{title}</h3>{table}")
    if len(of_headline["elements"]) > 1 and of_headline["forces"] is not None:
        rows = {symbol: {"forces": error} for symbol, error in of_headline["elements"].items()}
        parts.append(f"<h3>By element, {escape(headline)}</h3>{metrics_table(rows, 'forces on')}")
    return "\n".join(["<h2>Errors</h2>", *parts]) if parts else ""


def _parity(name: str, evaluation: Evaluation) -> str:
    said = f"{name.capitalize()}: {_extent(evaluation)}"
    heat = temperature_image({name: evaluation})
    return f"<h3>{escape(said)}</h3>{panels([*parity_images(evaluation), *([heat] if heat else [])])}"


def _history(report: Report) -> str:
    if not report.history:
        return ""
    keys = (("training", GREY, "solid"), ("validation", BLUE, "solid"), ("model kept", ORANGE, "dashed"))
    key = "".join(
        f'<span class="key" style="--color:{color};--style:{style}">{name}</span>'
        for name, color, style in keys
    )
    note = (
        f"Training errors are of the weights as they were during the epoch. The model of epoch "
        f"{report.best_epoch:.0f} of {len(report.history)} was kept."
    )
    images = history_images(report.history, report.best_epoch)
    return f'<h2>Training</h2><p class="note">{key}</p>{panels(images)}<p class="note">{note}</p>'


def _worst(evaluation: Evaluation, headline: str) -> str:
    worst = evaluation.worst(8)
    if not worst:
        return ""
    return f"<h2>Largest force errors, {escape(headline)}</h2>{worst_table(worst)}"


def _facts(facts: Mapping[str, str]) -> str:
    return f"<h2>How it was made</h2>{facts_table(facts)}" if facts else ""


def _usage(model: str) -> str:
    python = (
        "from ase.io import read\nfrom gnnpot import GNNPotCalculator\n\n"
        f'atoms = read("structure.xyz")\natoms.calc = GNNPotCalculator({model!r})\n'
        "print(atoms.get_potential_energy(), atoms.get_forces())"
    )
    shell = f"gnnpot evaluate {model!r} other.xyz" if " " in model else f"gnnpot evaluate {model} other.xyz"
    return f"<h2>Use it</h2><pre>{escape(python)}</pre><pre>{escape(shell)}</pre>"


def _extent(evaluation: Evaluation, name: str = "") -> str:
    """Describe the size of a set, e.g. "25 test structures of 1,525 atoms"."""
    structures, atoms = len(evaluation.sizes), len(evaluation.atomic_numbers)
    kind = f"{name} structure".strip() + ("" if structures == 1 else "s")
    return f"{structures:,} {kind} of {atoms:,} {'atom' if atoms == 1 else 'atoms'}"
