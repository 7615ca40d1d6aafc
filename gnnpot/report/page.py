"""The HTML page of a report: one file, without scripts or network access."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from gnnpot.report.figures import Image
from gnnpot.report.style import STYLE


def page(title: str, parts: Iterable[str]) -> str:
    """Join HTML fragments to a complete page."""
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style>"
    )
    body = "\n".join(part for part in parts if part)
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head>\n<body><main>\n{body}\n</main></body></html>\n'
    )


def warnings_list(warnings: Sequence[str], title: str = "What to know of the data") -> str:
    """A list of warnings, or nothing if there are none."""
    if not warnings:
        return ""
    items = "".join(f"<li>{escape(warning)}</li>" for warning in warnings)
    return f'<h2>{title}</h2><ul class="warnings">{items}</ul>'


def wide_panel(image: Image) -> str:
    """A picture as wide as the page allows it to be read."""
    return f'<div class="wide"><img src="{image.source}" alt="{escape(image.alt)}"></div>'


def panels(images: Sequence[Image]) -> str:
    """Pictures side by side, stacked on a narrow screen."""
    shown = "".join(f'<img src="{image.source}" alt="{escape(image.alt)}">' for image in images)
    return f'<div class="panels">{shown}</div>'
