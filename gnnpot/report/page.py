"""The HTML page of a report: one file, without scripts or network access."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterable, Iterator, Sequence
from html import escape, unescape

from gnnpot.report.figures import Image
from gnnpot.report.style import STYLE

_PICTURE = re.compile(r'<img src="data:image/svg\+xml;base64,([^"]+)" alt="([^"]*)"')
_LONGEST = 48  # letters of a file's name


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


def figure_files(text: str) -> Iterator[tuple[str, bytes]]:
    """The pictures of a page in its order, each as the name of an SVG file and its content."""
    for place, (source, alt) in enumerate(_PICTURE.findall(text), start=1):
        words = re.sub(r"[^a-z0-9]+", "-", unescape(alt).lower())[:_LONGEST].strip("-")
        yield f"{place:02d}-{words}.svg", b64decode(source)
