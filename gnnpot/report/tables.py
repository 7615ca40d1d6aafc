"""Tables of the report; numbers of one column have the same number of decimals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape


def number(value: float, *others: float) -> str:
    """Format a number with as many decimals as the largest of itself and ``others`` needs; NaN is a dash."""
    if math.isnan(value):
        return "–"
    largest = max((abs(one) for one in (value, *others) if not math.isnan(one)), default=0.0)
    decimals = 3 if largest < 1 else 2 if largest < 10 else 1 if largest < 1000 else 0
    return f"{value:,.{decimals}f}".replace("-", "−")


def facts_table(facts: Mapping[str, str]) -> str:
    """A table of names and values, one pair in each row."""
    rows = [
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>'
        for name, value in facts.items()
    ]
    return f'<table class="facts"><tbody>{"".join(rows)}</tbody></table>'


def table_row(name: str, cells: Sequence[str], labels: Sequence[str] = ()) -> str:
    """A table row with a header cell.

    Args:
        name: Text of the header cell.
        cells: HTML of the others.
        labels: What each cell is, shown beside it on a narrow screen.
    """
    said = [f' data-label="{escape(label)}"' for label in labels] or [""] * len(cells)
    inner = "".join(f"<td{label}>{cell}</td>" for label, cell in zip(said, cells, strict=True))
    return f'<tr><th scope="row">{escape(name)}</th>{inner}</tr>'


def scrolled(head: str, body: Sequence[str], *, kind: str = "") -> str:
    """A table that scrolls sideways on a narrow screen, or with kind ``stack`` puts cells in a column."""
    table = f'<table class="{kind}"><thead>{head}</thead><tbody>{"".join(body)}</tbody></table>'
    return f'<div class="scroll">{table}</div>'
