"""The report as HTML: one file, no network, no script."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from gnnpot.evaluation import Evaluation
from gnnpot.files import write_text
from gnnpot.report.figures import history_figure, parity_figure

_QUANTITIES = (("energy", "meV/atom"), ("forces", "meV/Å"), ("stress", "MPa"))
_STYLE = """
:root { color-scheme: light; --ink: #111827; --soft: #4b5563; --line: #e5e7eb; --accent: #0072B2; }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; color: var(--ink);
  background: #fff; max-width: 66rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.7rem; margin: 0 0 .2rem; letter-spacing: -.01em; }
h2 { font-size: 1.15rem; margin: 2.6rem 0 .8rem; padding-top: .9rem; border-top: 1px solid var(--line); }
p.lead, figcaption, .unit { color: var(--soft); }
p.lead { margin: 0 0 1.4rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr)); gap: .9rem; }
.card { border: 1px solid var(--line); border-radius: .6rem; padding: .9rem 1.1rem; }
.card h3 { margin: 0; font-size: .85rem; font-weight: 600; color: var(--soft); }
.card .value { font-size: 1.75rem; font-weight: 650; letter-spacing: -.02em; font-variant-numeric: tabular-nums; }
.card .value .unit { font-size: .95rem; font-weight: 400; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; width: 100%; }
th, td { padding: .32rem .7rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
thead th { font-weight: 600; color: var(--soft); }
table.facts td { text-align: left; white-space: normal; }
table.facts td:first-child { color: var(--soft); width: 13rem; }
figure { margin: .6rem 0 1.2rem; }
figure svg { width: 100%; height: auto; display: block; }
pre { background: #f6f8fa; border-radius: .5rem; padding: .9rem 1.1rem; overflow-x: auto; font-size: .88rem; }
ul.warnings { background: #fff7ed; border-left: 4px solid #D55E00; border-radius: .3rem; padding: .7rem 1rem .7rem 2rem; }
@media print { body { max-width: none; padding: 0; } h2 { break-after: avoid; } figure { break-inside: avoid; } }
"""


@dataclass(frozen=True)
class Report:
    """What a report tells.

    Attributes:
        title: Of the page.
        evaluations: By name of the set; the last gives the headline.
        history: A row of errors for each epoch, or empty.
        best_epoch: Whose model was kept.
        facts: What was trained on what, and how.
        warnings: What the reader should know of the data.
        model: Name of the model file, for the lines that show its use.
    """

    title: str
    evaluations: Mapping[str, Evaluation]
    history: Sequence[dict[str, float]] = ()
    best_epoch: float = 0.0
    facts: Mapping[str, str] | None = None
    warnings: Sequence[str] = ()
    model: str = "model.safetensors"


def write_report(path: Path, report: Report) -> None:
    """Write ``report`` as one self-contained HTML file.

    Raises:
        OutputError: The disk is full, or the folder cannot be written to.
    """
    headline = list(report.evaluations)[-1]
    metrics = {name: evaluation.metrics() for name, evaluation in report.evaluations.items()}
    parts = [
        f"<h1>{escape(report.title)}</h1>",
        f'<p class="lead">Errors on the {escape(headline)} structures '
        f"({metrics[headline]['num_structures']} of them).</p>",
        _cards(metrics[headline]),
        _warnings(report.warnings),
        "<h2>Errors</h2>",
        _sets_table(metrics),
        _groups_table(metrics[headline], headline),
        "<h2>Predicted against reference</h2>",
        *(_parity(name, evaluation) for name, evaluation in reversed(list(report.evaluations.items()))),
        _history(report),
        "<h2>Worst structures</h2>",
        _worst_table(report.evaluations[headline], headline),
        _facts(report.facts or {}),
        _usage(report.model),
    ]
    write_text(path, _page(report.title, parts))


def _page(title: str, parts: Iterable[str]) -> str:
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    body = "\n".join(part for part in parts if part)
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}<style>{_STYLE}</style></head>\n<body>{body}</body></html>\n'


def _cards(metrics: Mapping[str, Any]) -> str:
    cards = []
    for name, unit in _QUANTITIES:
        error = metrics[name]
        if error is not None:
            cards.append(
                f'<div class="card"><h3>{name} RMSE</h3><div class="value">{_number(error["rmse"])} '
                f'<span class="unit">{unit}</span></div><span class="unit">MAE {_number(error["mae"])}</span></div>'
            )
    return f'<div class="cards">{"".join(cards)}</div>'


def _warnings(warnings: Sequence[str]) -> str:
    if not warnings:
        return ""
    items = "".join(f"<li>{escape(warning)}</li>" for warning in warnings)
    return f'<h2>What to know of the data</h2><ul class="warnings">{items}</ul>'


def _sets_table(metrics: Mapping[str, Mapping[str, Any]]) -> str:
    return _table([(name, errors) for name, errors in metrics.items()], "set")


def _groups_table(metrics: Mapping[str, Any], headline: str) -> str:
    rows = list(metrics["groups"].items())
    if len(metrics["elements"]) > 1:
        empty = {"energy": None, "stress": None, "num_structures": "–"}
        rows += [
            (f"on {symbol}", {**empty, "forces": error}) for symbol, error in metrics["elements"].items()
        ]
    return f"<h3>By group, {escape(headline)}</h3>{_table(rows, 'group')}" if rows else ""


def _table(rows: Sequence[tuple[str, Mapping[str, Any]]], noun: str) -> str:
    head = "".join(f"<th>{name} MAE<br>{unit}</th><th>RMSE<br>{unit}</th>" for name, unit in _QUANTITIES)
    body = []
    for name, errors in rows:
        cells = [f"<td>{escape(name)}</td><td>{errors['num_structures']}</td>"]
        for quantity, _ in _QUANTITIES:
            error = errors[quantity]
            cells += [
                f"<td>{'–' if error is None else _number(error[kind])}</td>" for kind in ("mae", "rmse")
            ]
        body.append(f"<tr>{''.join(cells)}</tr>")
    return (
        f'<div class="scroll"><table><thead><tr><th>{noun}</th><th>structures</th>{head}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def _parity(name: str, evaluation: Evaluation) -> str:
    note = f"{name}: {len(evaluation.sizes)} structures, {len(evaluation.atomic_numbers)} atoms"
    return (
        f'<figure role="img" aria-label="Predicted against reference values, {escape(note)}">'
        f"{parity_figure(evaluation)}<figcaption>{escape(note)}. Below: how the errors are spread; the "
        "outermost bars hold what lies beyond.</figcaption></figure>"
    )


def _history(report: Report) -> str:
    if not report.history:
        return ""
    return (
        '<h2>Training</h2><figure role="img" aria-label="Loss and errors over the epochs">'
        f"{history_figure(report.history, report.best_epoch)}<figcaption>Grey: training, with the weights as "
        f"they were during the epoch. Blue: validation. Dashed: epoch {report.best_epoch:.0f}, whose model was "
        "kept.</figcaption></figure>"
    )


def _worst_table(evaluation: Evaluation, headline: str) -> str:
    rows = "".join(
        f"<tr><td>{escape(origin)}</td><td>{_number(1000 * error)}</td></tr>"
        for origin, error in evaluation.worst(8)
    )
    return (
        f'<div class="scroll"><table><thead><tr><th>{escape(headline)} structure</th><th>force RMSE<br>meV/Å</th>'
        f"</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _facts(facts: Mapping[str, str]) -> str:
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>" for name, value in facts.items()
    )
    return f'<h2>How it was made</h2><table class="facts"><tbody>{rows}</tbody></table>' if rows else ""


def _usage(model: str) -> str:
    lines = [
        "from ase.io import read",
        "from gnnpot import GNNPotCalculator",
        "",
        'atoms = read("structure.xyz")',
        f'atoms.calc = GNNPotCalculator("{model}")',
        "print(atoms.get_potential_energy(), atoms.get_forces())",
    ]
    return f"<h2>Use it</h2><pre>{escape(chr(10).join(lines))}</pre>"


def _number(value: float) -> str:
    return f"{value:.2f}" if value < 100 else f"{value:,.0f}"
