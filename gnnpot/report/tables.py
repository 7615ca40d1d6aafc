"""Tables of the report; numbers of one column have the same number of decimals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape


def number(value: float, *others: float) -> str:
    """A number with the decimals that the largest of itself and ``others`` needs; a dash for NaN."""
    if math.isnan(value):
        return "–"
    largest = max((abs(one) for one in (value, *others) if not math.isnan(one)), default=0.0)
    decimals = 3 if largest < 1 else 2 if largest < 10 else 1 if largest < 1000 else 0
    return f"{value:,.{decimals}f}".replace("-", "−")


def facts_table(facts: Mapping[str, str]) -> str:
    """What was done, one fact a row."""
    rows = [
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>'
        for name, value in facts.items()
    ]
    return f'<table class="facts"><tbody>{"".join(rows)}</tbody></table>'


def table_row(name: str, cells: Sequence[str]) -> str:
    """A row with its name in front."""
    return f'<tr><th scope="row">{escape(name)}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'


def scrolled(head: str, body: Sequence[str], *, kind: str = "") -> str:
    """A table that scrolls where the screen is narrow."""
    table = f'<table class="{kind}"><thead>{head}</thead><tbody>{"".join(body)}</tbody></table>'
    return f'<div class="scroll">{table}</div>'
