"""What does not fit in a configuration, in words of the configuration."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from itertools import accumulate
from typing import Any

from pydantic import BaseModel, ValidationError

from gnnpot.config.registry import nearest
from gnnpot.errors import shortened

_DEEPEST = 4  # sections within sections
_SHOWN, _ENOUGH = 10, 700  # faults that a message tells, and characters after which it ends
_MANY = 100  # letters of the names that a value may have: of more the nearest is told
_OWN = ("value_error", "assertion_error")  # of our validators, which say it all
_TYPES = {
    "boolean": "true or false",
    "integer": "a whole number",
    "null": "null",
    "number": "a number",
    "object": "a section",
    "string": "a text",
}
_LIMITS = {
    "exclusiveMinimum": "above {}",
    "minimum": "of at least {}",
    "exclusiveMaximum": "below {}",
    "maximum": "of at most {}",
}


def faults_of(error: ValidationError, section: type[BaseModel]) -> str:
    """What does not fit, in one line."""
    schema = section.model_json_schema()
    keys = _Keys(schema)
    faults = list(dict.fromkeys(_fault(entry, keys) for entry in _without_branches(error, keys)))
    lines = [shortened(fault, str) for fault in faults[:_SHOWN]]
    shown = max(1, sum(length <= _ENOUGH for length in accumulate(map(len, lines))))
    more = f"; and {len(faults) - shown} more" if len(faults) > shown else ""
    return "; ".join(lines[:shown]) + more


class _Keys:
    """The keys of a configuration."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self.schema, self.named = schema, schema.get("$defs", {})
        self.paths = list(_key_paths(schema, self.named))
        self.names = {path.rpartition(".")[2] for path in self.paths}

    def place(self, parts: Iterable[Any]) -> list[str]:
        """The part of a location that a file shows: kinds of sections and branches of unions are dropped."""
        return [str(part) for part in parts if isinstance(part, int) or part in self.names]

    def expected(self, place: Sequence[str]) -> str:
        """What belongs at a place, in words; "" if that cannot be told."""
        nodes: list[Any] = [self.schema]
        for name in place:
            nodes = [inner for node in nodes for inner in self._inside(node, name)]
        return " or ".join(dict.fromkeys(words for node in nodes for words in self._words(node)))

    def _inside(self, node: Any, name: str) -> Iterator[Any]:
        for choice in self._choices(node):
            if name in choice.get("properties", {}):
                yield choice["properties"][name]
            elif name.isdecimal():
                items = choice.get("prefixItems", [])
                inner = items[int(name)] if int(name) < len(items) else choice.get("items")
                if isinstance(inner, dict):
                    yield inner

    def _choices(self, node: Any) -> Iterator[Any]:
        """A node and what it may be instead."""
        if "$ref" in node:
            yield from self._choices(self.named[node["$ref"].rpartition("/")[2]])
            return
        several = [*node.get("anyOf", ()), *node.get("oneOf", ()), *node.get("allOf", ())]
        for choice in several:
            yield from self._choices(choice)
        if not several:
            yield node

    def _words(self, node: Any) -> Iterator[str]:
        for choice in self._choices(node):
            if "enum" in choice or "const" in choice:
                yield " or ".join(map(str, choice.get("enum", [choice.get("const")])))
            elif choice.get("type") == "array":
                yield self._list_in_words(choice)
            elif choice.get("type") in _TYPES:
                limits = [words.format(f"{choice[key]:g}") for key, words in _LIMITS.items() if key in choice]
                yield f"{_TYPES[choice['type']]} {' and '.join(limits)}".rstrip()

    def _list_in_words(self, node: Any) -> str:
        each = node["prefixItems"][0] if node.get("prefixItems") else node.get("items") or {}
        count = node.get("minItems")
        inner = " or ".join(dict.fromkeys(self._words(each)))
        exact = f" of {count}" if count and count == node.get("maxItems") else ""
        return f"a list{exact}" + (f", each {inner}" if inner else "")


def _without_branches(error: ValidationError, keys: _Keys) -> Iterator[Any]:
    """The faults of an error, one for all branches of a union."""
    entries = error.errors()
    unions: dict[tuple[Any, ...], set[Any]] = {}
    for entry in entries:
        where = entry["loc"]
        for depth, part in enumerate(where[:-1] if entry["type"] == "extra_forbidden" else where):
            if isinstance(part, str) and part not in keys.names:
                unions.setdefault(where[:depth], set()).add(part)
    several = [place for place, branches in unions.items() if len(branches) > 1]
    for entry in entries:
        place = next((one for one in several if entry["loc"][: len(one)] == one), None)
        if place is None or entry["type"] in _OWN:
            yield entry
        elif len(entry["loc"]) == len(place) + 1:
            yield {**entry, "loc": place, "type": "union"}
    for place in several:  # whose branches all failed deeper inside
        branches = [entry for entry in entries if entry["loc"][: len(place)] == place]
        if all(len(entry["loc"]) > len(place) + 1 and entry["type"] not in _OWN for entry in branches):
            yield branches[0]


def _fault(entry: Any, keys: _Keys) -> str:
    """One fault in words, with the nearest name for an unknown key."""
    *above, last = entry["loc"] or ("",)
    place = keys.place(above)
    if entry["type"] == "extra_forbidden":
        name = shortened(".".join([*place, str(last)]), str)
        return f"no key is called {name}; {_suggestion(str(last), place, keys.paths)}"
    place = keys.place(entry["loc"])
    where = f"{'.'.join(place)}: " if place else ""
    if entry["type"] in _OWN:
        message = entry["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
        said = "got" in message or ";" in message or not entry["loc"]  # the whole section is no answer
        return where + message + ("" if said else f", got {_short(entry['input'])}")
    if entry["type"] == "missing":
        return f"{where}expected {keys.expected(place) or 'a value'}, got nothing"
    expected = "a finite number" if entry["type"] == "finite_number" else keys.expected(place)
    if entry["type"] == "literal_error" and len(expected) > _MANY and isinstance(entry["input"], str):
        known = expected.split(" or ")
        return f"{where}expected a known name, got {_short(entry['input'])}; {nearest(entry['input'], known)}"
    said = entry["msg"].removeprefix("Input should be ")
    return f"{where}expected {expected or said}, got {_short(entry['input'])}"


def _short(value: Any) -> str:
    return "null" if value is None else shortened(value)


def _suggestion(name: str, place: Sequence[str], paths: Iterable[str]) -> str:
    """The nearest key of the same section, else of another, with its place."""
    here, elsewhere = set[str](), dict[str, str]()
    for path in paths:
        *above, key = path.split(".")
        if above == list(place):
            here.add(key)
        else:
            elsewhere.setdefault(key, path)
    for known in (here - {name}, elsewhere):
        if close := get_close_matches(name, known, n=1):
            return f"did you mean {elsewhere[close[0]] if known is elsewhere else close[0]!r}?"
    return "remove it"


def _key_paths(schema: Any, named: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[str]:
    """The dotted paths of all keys in a JSON schema, the outer ones of a section first.

    Args:
        schema: The schema, or a part of it.
        named: The parts that others refer to.
        above: Keys that lead to this part.
    """
    if len(above) > _DEEPEST:
        return
    reference = schema.get("$ref")
    if reference is not None:
        yield from _key_paths(named[reference.rpartition("/")[2]], named, above)
    properties = schema.get("properties", {})
    yield from (".".join((*above, name)) for name in properties)
    for name, inner in properties.items():
        yield from _key_paths(inner, named, (*above, name))
    for choice in (*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())):
        yield from _key_paths(choice, named, above)
    if isinstance(schema.get("items"), dict):
        yield from _key_paths(schema["items"], named, above)
