"""Configuration files for people: every key with a comment beside it, or above it where the line is long."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import yaml

_COLUMN = 34  # where comments begin
_WIDTH = 100  # characters of a line


class Entry(NamedTuple):
    """A key of a configuration.

    Attributes:
        name: Dotted name.
        value: Plain data; None for a section, whose keys follow.
        comment: Meaning and unit.
    """

    name: str
    value: Any
    comment: str


SECTION = None


def commented_yaml(head: Iterable[str], entries: Iterable[Entry]) -> str:
    """The text of a configuration file.

    Args:
        head: Sentences at the top.
        entries: Keys in their order, each section before its keys.
    """
    lines = [f"# {line}" for text in head for line in textwrap.wrap(text, _WIDTH - 2)]
    for entry in entries:
        if "." not in entry.name and (entry.value is SECTION or lines[-1].startswith((" ", "#"))):
            lines.append("")
        lines.extend(_lines(entry))
    return "\n".join(lines) + "\n"


def flow(value: Any) -> str:
    """A value as YAML in one line."""
    text = yaml.safe_dump([value], default_flow_style=True, width=float("inf"), allow_unicode=True)
    return text.strip()[1:-1]


def _lines(entry: Entry) -> Iterator[str]:
    *above, key = entry.name.split(".")
    indent = "  " * len(above)
    text = f"{indent}{key}:" + ("" if entry.value is SECTION else f" {flow(entry.value)}")
    if len(text) < _COLUMN and _COLUMN + 2 + len(entry.comment) <= _WIDTH:
        yield f"{text:{_COLUMN}s}# {entry.comment}".rstrip()
        return
    yield from textwrap.wrap(
        entry.comment, _WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# "
    )
    yield from textwrap.wrap(
        text, _WIDTH, subsequent_indent=f"{indent}  ", break_long_words=False, break_on_hyphens=False
    )
