"""Descriptions of settings in a JSON schema, which editors show, from the docstrings of their sections."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

_HEADINGS = ("Args:", "Attributes:")
_ENTRY = re.compile(r"    (\w+): (.*)")


def describe(schema: dict[str, Any], section: type[BaseModel]) -> None:
    """Add to each setting in the JSON schema of a section, in place, what its docstring says.

    The description of the section is then its docstring without the list of settings.

    Args:
        schema: Schema of the section.
        section: Class of the section.
    """
    texts = setting_texts(section)
    for name, setting in schema.get("properties", {}).items():
        text = texts.get(name, texts.get(f"{name}_"))  # a keyword of Python, as an attribute
        if text is None and "const" in setting:
            text = f"Selects this section: always {setting['const']!r}."
        if text is not None:
            setting["description"] = text
    schema["description"] = _introduction(section)


def setting_texts(section: type) -> dict[str, str]:
    """What the docstrings of a class and its bases say of each setting."""
    texts: dict[str, str] = {}
    for owner in reversed(section.__mro__):
        if owner is not BaseModel:
            texts |= dict(_entries(inspect.cleandoc(owner.__doc__ or "")))
    return texts


def _entries(docstring: str) -> Iterator[tuple[str, str]]:
    """Names and texts of the list of settings in a docstring."""
    name, words, is_listed = "", list[str](), False
    for line in [*docstring.splitlines(), ""]:
        found = _ENTRY.fullmatch(line)
        if found or not line.startswith("     "):  # a new entry, or the end of the list
            if name:
                yield name, " ".join(words)
            name, words = "", []
        if line in _HEADINGS:
            is_listed = True
        elif found and is_listed:
            name, words = found[1], [found[2]]
        elif name:
            words.append(line.strip())
        elif line and not line.startswith(" "):
            is_listed = False


def _introduction(section: type) -> str:
    text = inspect.cleandoc(section.__doc__ or "")
    return re.split(r"\n(?:Args|Attributes|Source|Raises):", text)[0].strip()
