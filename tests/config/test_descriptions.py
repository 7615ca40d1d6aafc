"""Editors can show what each key of a configuration means."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from gnnpot.config.base import Section, json_schema
from gnnpot.config.descriptions import setting_texts
from gnnpot.labeling.config import LabelConfig
from gnnpot.sampling.config import SampleConfig
from gnnpot.training.run_config import RunConfig
from gnnpot.transferring.config import TransferConfig


class Base(Section):
    """A section.

    Args:
        length: How long (Å).
        width: How wide,
            on several lines (Å).

    Attributes of another kind are not settings.
    """

    length: float = 1.0
    width: float = 2.0


class Derived(Base):
    """Another section.

    Args:
        length: Longer (Å).

    Raises:
        height: Not a setting.
    """


@pytest.mark.parametrize("section", [RunConfig, TransferConfig, LabelConfig, SampleConfig])
def test_every_key_of_every_schema_has_a_description(section):
    missing = [
        f"{part['title']}.{name}"
        for part in sections(json_schema(section))
        for name, setting in part["properties"].items()
        if not setting.get("description", "").strip()
    ]
    assert missing == []


def sections(schema: Any) -> Iterator[dict[str, Any]]:
    """All parts of a schema that have keys, wherever they are."""
    if isinstance(schema, dict):
        if "properties" in schema and "title" in schema:
            yield schema
        schema = list(schema.values())
    if isinstance(schema, list):
        for part in schema:
            yield from sections(part)


def test_texts_of_derived_sections_come_before_those_of_their_bases():
    assert setting_texts(Derived) == {"length": "Longer (Å).", "width": "How wide, on several lines (Å)."}


def test_the_description_of_a_section_leaves_out_the_list_of_keys():
    text = json_schema(RunConfig)["description"]
    assert text.startswith("One training run.")
    assert "Args:" not in text
    assert "seed" not in text
