"""The page of properties: what several models predict, against a reference, with the figures behind it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from io import BytesIO
from itertools import groupby
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_svg import FigureCanvasSVG

from gnnpot.properties.figures import Curves, figures
from gnnpot.properties.table import FAILED, Row, deviation, number, problems, rows
from gnnpot.report.figures import Image, data_uri
from gnnpot.report.page import page, panels, warnings_list, wide_panel
from gnnpot.report.tables import facts_table, scrolled, table_row
from gnnpot.system.files import make_folder, write_bytes, write_text

FIGURES, REPORT = "figures", "report.html"
_MARKS = {"pass": "passes", "warn": "warning", "fail": "fails", "not applicable": "–"}


def write_report(summary: Mapping[str, Any], folder: Path, facts: Mapping[str, str]) -> None:
    """Write ``report.html`` and each figure as an SVG file.

    Args:
        summary: Of :func:`gnnpot.properties.run.properties`.
        folder: Where they go.
        facts: Of the run, for the last table of the page.
    """
    drawn = figures(summary)
    make_folder(folder / FIGURES)
    for one in drawn:
        buffer = BytesIO()
        FigureCanvasSVG(one.figure).print_svg(buffer, metadata={"Date": None})
        write_bytes(folder / FIGURES / f"{one.name}.svg", buffer.getvalue())
    title = f"Properties of {summary['structure']}"
    lead = f"<h1>{escape(title)}</h1><p class='lead'>{escape(_lead(summary))}</p>"
    parts = [lead, *sections(summary, drawn), "<h2>How it was made</h2>", facts_table(dict(facts))]
    write_text(folder / REPORT, page(title, parts))


def sections(summary: Mapping[str, Any], drawn: list[Curves]) -> Iterator[str]:
    """The parts of the page: what failed, numbers, figures, certificates."""
    told = [f"{one.model}: {one.property}: {one.reason}" for one in problems(summary)]
    yield warnings_list(told, "What could not be computed")
    yield f"<h2>Numbers</h2>{_numbers(summary)}"
    if drawn:
        images = [(one, Image(data_uri(one.figure), one.alt)) for one in drawn]
        yield "<h2>Figures</h2>" + "".join(wide_panel(image) for one, image in images if one.is_wide)
        yield panels([image for one, image in images if not one.is_wide])
    yield from _certificates(summary)


def _lead(summary: Mapping[str, Any]) -> str:
    against = ", against a reference" if summary["reference"] else ""
    return f"By {', '.join(summary['models'])}{against}."


def _numbers(summary: Mapping[str, Any]) -> str:
    names = [*summary["models"], *(["reference"] if summary["reference"] else [])]
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in ("", *names))
    body = []
    for noun, several in groupby(rows(summary), key=lambda row: row.property):
        heading = escape(noun[:1].upper() + noun[1:])
        body.append(f'<tr><th scope="row" colspan="{len(names) + 1}"><b>{heading}</b></th></tr>')
        body += [_row(row, names) for row in several]
    return scrolled(f'<tr class="only">{head}</tr>', body, kind="stack")


def _row(row: Row, names: Sequence[str]) -> str:
    cells = [f"{escape(number(value))}{_told(deviation(row, value))}" for value in row.values]
    if len(names) > len(row.values):
        cells.append(escape(number(row.reference)))
    return table_row(row.quantity, cells, names)


def _told(words: str) -> str:
    return f' <span class="unit">{escape(words).replace(" ", "&nbsp;")}</span>' if words else ""


def _certificates(summary: Mapping[str, Any]) -> Iterator[str]:
    """What each model was held against; verdicts side by side, the words of what does not pass below."""
    found = {
        name: results["certificate"]["checks"]
        for name, results in summary["models"].items()
        if "checks" in results.get("certificate", {})
    }
    if not found:
        return
    checks = dict.fromkeys(check for one in found.values() for check in one)
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in ("demand", *found))
    body = [
        table_row(check, [_verdict(one.get(check)) for one in found.values()], list(found))
        for check in checks
    ]
    table = scrolled(f'<tr class="only">{head}</tr>', body, kind="stack")
    yield f"<h2>Certificate</h2>{table}"
    told = [
        f"{name}: {check}: {one['says']}"
        for name, several in found.items()
        for check, one in several.items()
        if one["verdict"] in ("warn", "fail")
    ]
    if told:
        yield f"<h3>What does not pass</h3><ul>{''.join(f'<li>{escape(text)}</li>' for text in told)}</ul>"


def _verdict(check: Mapping[str, Any] | None) -> str:
    if check is None:
        return FAILED
    value = "" if check["value"] is None else f"{number(check['value'])} {check['unit']}".strip()
    return f"{_MARKS[check['verdict']]}{_told(value)}"
