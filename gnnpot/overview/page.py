"""The page of several runs: data, errors, training, transfers, benchmarks, properties, certificates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from gnnpot.evaluation.evaluation import Evaluation
from gnnpot.evaluation.figures import calibration_images, parity_images
from gnnpot.evaluation.tables import metrics_table
from gnnpot.evaluation.temperatures import temperature_image
from gnnpot.overview.results import Results
from gnnpot.overview.studies import study_section
from gnnpot.overview.warnings import warnings_of
from gnnpot.properties.figures import figures
from gnnpot.properties.report import sections
from gnnpot.report.figures import COLORS, FIGURE_STYLE, Image, data_uri, scale_by_range
from gnnpot.report.page import figure_files, page, panels, warnings_list
from gnnpot.report.tables import facts_table
from gnnpot.system.files import make_folder, write_bytes, write_text
from gnnpot.transferring.report import transfer_section
from gnnpot.units import ERROR_UNITS

_NAMED = 8  # groups or elements; of more the rest is left out


def write_overview(found: Sequence[Results], path: Path, evaluations: Mapping[str, Evaluation]) -> None:
    """Write one self-contained HTML page.

    Args:
        found: Of :func:`gnnpot.overview.results.results_in`.
        path: The page; figures go as files into a folder beside it, ``NAME-figures``.
        evaluations: Of models on data that all are judged on, by name; may be empty.

    Raises:
        OutputError: It cannot be written.
    """
    title = ", ".join(one.name for one in found)
    parts = [
        f"<h1>{escape(title)}</h1><p class='lead'>{escape(_lead(found))}</p>",
        warnings_list(warnings_of(found), "What to know"),
        _data(found),
        _errors(found, evaluations),
        _groups(found),
        _training(found),
        *_parity(evaluations),
        *_calibrations(evaluations),
        *(_transfer(one) for one in found if one.transfer),
        *(study_section(one) for one in found if one.study),
        *(_properties(one) for one in found if one.properties),
        _settings(found),
    ]
    text = page(title, parts)
    write_text(path, text)
    folder = path.with_name(f"{path.stem}-figures")
    make_folder(folder)
    for name, content in figure_files(text):
        write_bytes(folder / name, content)


def _lead(found: Sequence[Results]) -> str:
    kinds = {
        ("run", "runs"): sum(bool(one.metrics and not one.transfer) for one in found),
        ("transfer", "transfers"): sum(bool(one.transfer) for one in found),
        ("benchmark", "benchmarks"): sum(bool(one.study) for one in found),
        ("folder of properties", "folders of properties"): sum(bool(one.properties) for one in found),
    }
    return ", ".join(f"{count} {words[count > 1]}" for words, count in kinds.items() if count)


def _data(found: Sequence[Results]) -> str:
    """What each run learned from: structures of each set, groups, elements."""
    rows = {}
    for one in found:
        sets = one.metrics.get("splits", {})
        counts = [f"{errors['num_structures']:,} {name}" for name, errors in sets.items()]
        largest: Mapping[str, Any] = max(
            sets.values(), key=lambda errors: errors["num_structures"], default={}
        )
        for noun in ("groups", "elements"):
            if names := list(largest.get(noun) or {}):
                shown = ", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else "")
                counts.append(f"{noun} {shown}")
        if counts:
            rows[one.name] = "; ".join([f"structures: {counts[0]}", *counts[1:]])
    return f"<h2>Data</h2>{facts_table(rows)}" if rows else ""


def _calibrations(evaluations: Mapping[str, Evaluation]) -> Iterator[str]:
    """Errors against the uncertainty of committees, and of potentials that have one."""
    for name, one in evaluations.items():
        if images := calibration_images(one):
            yield f"<h2>Is the uncertainty honest? {escape(name)}</h2>{panels(images)}"


def _errors(found: Sequence[Results], evaluations: Mapping[str, Evaluation]) -> str:
    own = {f"{one.name}, {one.metrics['split']}": one.metrics for one in found if "split" in one.metrics}
    parts = [f"<h2>Errors</h2>{metrics_table(own, 'run, its set')}"] if own else []
    if evaluations:
        same = {name: one.metrics() for name, one in evaluations.items()}
        parts.append(f"<h3>On the same structures</h3>{metrics_table(same, 'run')}")
    return "".join(parts)


def _groups(found: Sequence[Results]) -> str:
    """Errors by group, one table a run."""
    tables = [
        f"<details open><summary>By group, {escape(one.name)}</summary>"
        f"{metrics_table(one.metrics['groups'], 'group')}</details>"
        for one in found
        if one.metrics.get("groups")
    ]
    return "".join(tables)


def _training(found: Sequence[Results]) -> str:
    there = [one for one in found if one.history]
    images = [image for name in ERROR_UNITS if (image := _history_image(there, name))]
    if not images:
        return ""
    note = "Errors of the validation structures; each run has its own, if splits differ."
    return f'<h2>Training</h2>{panels(images)}<p class="note">{note}</p>'


def _history_image(found: Sequence[Results], name: str) -> Image | None:
    key, drawn = f"validation_{name}_rmse", []
    with mpl.rc_context(FIGURE_STYLE):
        figure = Figure(figsize=(4.0, 3.0), layout="constrained")
        axes = figure.subplots()
        for place, one in enumerate(found):
            epochs = np.array([row["epoch"] for row in one.history])
            values = np.array([row.get(key, np.nan) for row in one.history], dtype=float)
            if np.isfinite(values).any():
                axes.plot(epochs, values, color=COLORS[place % len(COLORS)], lw=1.4, label=one.name)
                drawn.append(values[np.isfinite(values)])
        if not drawn:
            return None
        scale_by_range(axes, np.concatenate(drawn))
        axes.set(title=f"{name.capitalize()} RMSE ({ERROR_UNITS[name]})", xlabel="Epoch")
        axes.legend(frameon=False, fontsize="small")
        return Image(data_uri(figure), f"{name} RMSE over epochs of {len(drawn)} runs")


def _parity(evaluations: Mapping[str, Evaluation]) -> Iterator[str]:
    if evaluations:
        yield "<h2>Predicted against reference</h2>"
        if heat := temperature_image(evaluations):
            yield panels([heat])
    for name, one in evaluations.items():
        yield f"<h3>{escape(name)}</h3>{panels(parity_images(one))}"


def _transfer(one: Results) -> str:
    section = transfer_section(one.transfer).removeprefix("<h2>Transfer</h2>")
    return f"<h2>Transfer: {escape(one.name)}</h2>{section}"


def _properties(one: Results) -> str:
    parts = "".join(sections(one.properties, figures(one.properties))).replace("<h2>", "<h3>")
    parts = parts.replace("</h2>", "</h3>")
    return f"<h2>Properties of {escape(one.properties['structure'])}: {escape(one.name)}</h2>{parts}"


def _settings(found: Sequence[Results]) -> str:
    rows = {one.name: ", ".join(f"{key} {value}" for key, value in _facts(one).items()) for one in found}
    return f"<h2>How it was made</h2>{facts_table(rows)}"


def _facts(one: Results) -> dict[str, Any]:
    """The little that tells runs apart."""
    model = one.config.get("model") or {}
    facts = {"model": model.get("kind"), "cutoff (Å)": model.get("cutoff"), "seed": one.config.get("seed")}
    train = one.config.get("train")
    facts["train"] = ", ".join(map(str, train)) if isinstance(train, list) else train
    facts["folder"] = str(one.path)
    return {name: value for name, value in facts.items() if value is not None}
