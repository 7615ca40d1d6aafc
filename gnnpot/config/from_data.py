"""Values that a configuration leaves to the data: keys left out, ``auto``, and lengths such as ``2.1 nn``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from pydantic import (
    GetJsonSchemaHandler,
    ModelWrapValidatorHandler,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)
from pydantic_core import CoreSchema

from gnnpot.config.base import Section

AUTO = "auto"
_NEIGHBORS = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*nn\s*")


class SectionFromData(Section):
    """A section some of whose values are chosen by the data, where a file leaves them out or says ``auto``.

    Rates of the optimizer are chosen in the same way by the kind of the model.

    Until :meth:`filled` is called such a value has the default of its class as an attribute, and is written
    as ``auto``.

    Attributes:
        FROM_DATA: Names of these values.
        LENGTHS: Names of those that may be told in nearest-neighbor distances.
    """

    FROM_DATA: ClassVar[tuple[str, ...]] = ()
    LENGTHS: ClassVar[tuple[str, ...]] = ()

    _relative: dict[str, float] = PrivateAttr(default_factory=dict)

    @model_validator(mode="wrap")
    @classmethod
    def _left_to_the_data(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if not isinstance(value, Mapping):
            return handler(value)
        texts = {name: value[name] for name in cls.FROM_DATA if _is_word(value.get(name))}
        factors = {name: _factor(name, text, cls.LENGTHS) for name, text in texts.items() if text != AUTO}
        section = handler({name: given for name, given in value.items() if name not in texts})
        section._relative = factors
        return section

    @property
    def left_open(self) -> tuple[str, ...]:
        """Names of the values that the data choose."""
        return tuple(name for name in self.FROM_DATA if name not in self.model_fields_set)

    @property
    def relative(self) -> dict[str, float]:
        """Lengths that were told in nearest-neighbor distances."""
        return dict(self._relative)

    def filled(self, values: Mapping[str, Any]) -> Self:
        """The section with ``values`` where it leaves them to the data, and nothing left open."""
        found = {name: values[name] for name in self.left_open if name in values}
        given = {name: getattr(self, name) for name in type(self).model_fields}
        return type(self).model_validate({**given, **found})

    def open_names(self) -> list[str]:
        """Dotted names of the values that are left to the data."""
        return [*self.left_open, *super().open_names()]

    @model_serializer(mode="wrap")
    def _as_told(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """All values; those that are left to the data as a file says it."""
        told = {
            name: f"{self._relative[name]:g} nn" if name in self._relative else AUTO
            for name in self.left_open
        }
        return {**handler(self), **told}

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Let editors accept ``auto`` and lengths in nearest-neighbor distances."""
        found = super().__get_pydantic_json_schema__(schema, handler)
        properties = handler.resolve_ref_schema(found).get("properties", {})
        for name in cls.FROM_DATA:
            told: dict[str, Any] = {"const": AUTO}
            if name in cls.LENGTHS:
                told = {"type": "string", "pattern": rf"^({AUTO}|{_NEIGHBORS.pattern})$"}
            kept = properties[name]
            outside = {key: kept.pop(key) for key in ("default", "description", "title") if key in kept}
            properties[name] = {"anyOf": [kept, told], **outside}
        return found


def _is_word(value: Any) -> bool:
    """Whether a value is a text that is no number; YAML takes 5e-3, without a point, for a text."""
    if not isinstance(value, str):
        return False
    try:
        float(value)
    except ValueError:
        return True
    return False


def _factor(name: str, text: str, lengths: tuple[str, ...]) -> float:
    """The number of nearest-neighbor distances that a text says."""
    found = _NEIGHBORS.fullmatch(text) if name in lengths else None
    if found is None or not float(found[1]) > 0:
        others = ", auto or nearest-neighbor distances such as 2.1 nn" if name in lengths else " or auto"
        raise ValueError(f"expected {name} as a number{others}, got {text!r}")
    return float(found[1])
