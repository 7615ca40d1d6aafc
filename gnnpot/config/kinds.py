"""Sections of several kinds: told apart by their key ``kind``, or named by it alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, get_args

from pydantic import BaseModel, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from gnnpot.config.registry import nearest

Sections = Mapping[str, type[BaseModel]]


class Kinds:
    """In an annotation such as ``Annotated[A | B, Kinds("schedule")]``: sections that have a ``kind``.

    A file may write the kind alone, as in ``schedule: cosine``.  Mistakes are told in the words of the
    configuration: a kind that there is not, and keys of another kind.

    Args:
        noun: Name of what a section describes, for messages.
        default: Kind of a section that does not name one; None demands it.
        known: Gives the sections by kind, where they are not those of the annotated union.
    """

    def __init__(
        self, noun: str, *, default: str | None = None, known: Callable[[], Sections] | None = None
    ) -> None:
        self.noun, self.default = noun, default
        self._known = known or dict

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Choose the section before pydantic looks at the value."""
        union = {str(one.model_fields["kind"].default): one for one in get_args(source)}
        if union:
            self._known = lambda: union
        return core_schema.no_info_wrap_validator_function(self._chosen, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Show editors the sections, and the kinds that need no other key."""
        sections, choices, alone = self._known(), [], []
        for kind, section in sections.items():
            choice = section.__get_pydantic_json_schema__(section.__pydantic_core_schema__, handler)
            choices.append({**choice, **({"required": ["kind"]} if kind != self.default else {})})
            if not any(field.is_required() for field in section.model_fields.values()):
                alone.append(kind)
        return {"anyOf": [*choices, *([{"enum": alone}] if alone else [])]}

    def _chosen(self, value: Any, validate: Callable[[Any], Any]) -> Any:
        sections = self._known()
        if isinstance(value, str):
            value = {"kind": value}
        if isinstance(value, BaseModel):
            return validate(value)
        if not isinstance(value, Mapping):
            raise ValueError(f"expected a section, or one of {', '.join(sections)}, got {value!r}")
        kind = value.get("kind", self.default)
        if kind is None:
            raise ValueError(f"expected a kind of {self.noun}, got none; choose from {', '.join(sections)}")
        if kind not in sections:
            raise ValueError(f"no {self.noun} is called {kind!r}; {nearest(str(kind), sections)}")
        self._check_keys(str(kind), value, sections)
        return validate(sections[str(kind)].model_validate(value))

    def _check_keys(self, kind: str, value: Mapping[str, Any], sections: Sections) -> None:
        """Say it in one sentence where the keys are those of another kind."""
        foreign = [name for name in value if name not in sections[kind].model_fields]
        owners = [
            other
            for other, section in sections.items()
            if foreign and all(name in section.model_fields for name in foreign)
        ]
        if owners:
            raise ValueError(
                f"expected keys of {kind}, got {', '.join(foreign)} of {owners[0]}; remove "
                f"{'them' if len(foreign) > 1 else 'it'}, or set kind: {owners[0]}"
            )
