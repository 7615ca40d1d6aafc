"""YAML and JSON documents, read within bounds: no file takes long, fills the memory or runs code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

_LARGEST = 2_000_000  # characters
_DEEPEST = 50  # lists and mappings within each other
_MOST = 200_000  # values, those that aliases repeat counted each time
_LONGEST_WORDS = 200  # characters of a parser's message
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # several times faster where it is built


def parse_yaml(text: str) -> Any:
    """The values of a YAML document.

    Raises:
        ValueError: It is no YAML, holds a value that no Python value can be, gives one key twice, or is
            too large, too deep or expands to too much.
    """
    if len(text) > _LARGEST:
        raise ValueError(f"{len(text):,} characters, more than {_LARGEST:,}")
    try:
        _check_depth(text)
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            _check_node(node, {}, set())
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        raise ValueError(_in_short(error)) from error
    except (ValueError, TypeError, OverflowError, RecursionError) as error:  # of values, such as dates
        raise ValueError(_in_short(error)) from error


def read_yaml(path: Path) -> Any:
    """The values of a YAML file.

    Raises:
        OSError: The file cannot be read.
        ValueError: The file is not text, or :func:`parse_yaml` refuses it.
    """
    return parse_yaml(_text_of(path))


def parse_json(text: str) -> Any:
    """The values of a JSON document.

    Raises:
        ValueError: The text is no JSON, or is nested too deep.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("lists or objects nested too deep") from error


def read_json(path: Path) -> Any:
    """The values of a JSON file.

    Raises:
        OSError: The file cannot be read.
        ValueError: The file is not text, or :func:`parse_json` refuses it.
    """
    try:
        return parse_json(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise ValueError("bytes that are no text") from error


def _text_of(path: Path) -> str:
    with path.open("rb") as file:
        data = file.read(4 * _LARGEST + 1)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError("bytes that are no text") from error


def _check_depth(text: str) -> None:
    """Refuse what is nested too deep before a recursive composer sees it."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _DEEPEST:
                raise ValueError(f"values nested more than {_DEEPEST} deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _check_node(node: yaml.Node, sizes: dict[int, int], above: set[int]) -> int:
    """The number of values below ``node`` with aliases written out.

    Args:
        node: Part of a document.
        sizes: What was counted before, by identity of the node.
        above: Identities of the nodes that lead here.

    Raises:
        ValueError: The node contains itself, expands to too much, or has a key twice.
    """
    if isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) in above:
        raise ValueError(f"an alias to what it is a part of (line {node.start_mark.line + 1})")
    if id(node) not in sizes:
        pairs = node.value if isinstance(node, yaml.MappingNode) else [(child,) for child in node.value]
        if isinstance(node, yaml.MappingNode):
            _check_keys(node)
        above = {*above, id(node)}
        sizes[id(node)] = 1 + sum(_check_node(child, sizes, above) for pair in pairs for child in pair)
    if sizes[id(node)] > _MOST:
        raise ValueError(f"aliases that expand to more than {_MOST:,} values")
    return sizes[id(node)]


def _check_keys(node: yaml.MappingNode) -> None:
    seen: set[str] = set()
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
            if key.value in seen:
                raise ValueError(f"the key {key.value!r} twice, again in line {key.start_mark.line + 1}")
            seen.add(key.value)


def _in_short(error: Exception) -> str:
    words = " ".join(str(error).split()) or type(error).__name__
    return words if len(words) <= _LONGEST_WORDS else f"{words[:_LONGEST_WORDS]} …"
