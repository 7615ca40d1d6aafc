"""YAML and JSON are read within bounds of time and output."""

from __future__ import annotations

import time

import pytest

from gnnpot.config.base import Configuration
from gnnpot.errors import ConfigError
from gnnpot.system.documents import parse_json, parse_yaml

BOMB = (
    "a0: &a0 ["
    + "x, " * 9
    + "x]\n"
    + "".join(f"a{n}: &a{n} [" + f"*a{n - 1}, " * 9 + f"*a{n - 1}]\n" for n in range(1, 30))
)
REFUSED = {
    "a day that no month has": ("a: 2020-13-45", "month must be in 1..12"),
    "too many digits": (f"a: {'9' * 5000}", "limit"),
    "nested lists": ("a: " + "[" * 100_000 + "]" * 100_000, "nest"),
    "nested dashes": ("- " * 100_000, "nested more than 50 deep"),
    "nested mappings": ("".join(f"{' ' * n}a:\n" for n in range(300)), "nested more than 50 deep"),
    "an alias bomb": (BOMB, "aliases that expand to more than 200,000 values"),
    "an alias to itself": ("a: &a [*a]", "a part of"),
    "a key twice": ("a: 1\nb: 2\na: 3", "the key 'a' twice, again in line 3"),
    "a class": ("a: !!python/object:os.system x", "could not determine a constructor"),
    "no character": ("a: \x00", "not allowed"),
    "far too much": ("a" * 3_000_000, "more than 2,000,000"),
    "a list as a key": ("? [1]\n: 2", "unhashable"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_document_is_one_short_line_soon(name):
    text, message = REFUSED[name]
    begun = time.process_time()
    with pytest.raises(ValueError, match=message) as refused:
        parse_yaml(text)
    assert time.process_time() - begun < 2.0
    assert len(str(refused.value)) < 300
    assert "\n" not in str(refused.value)


def test_aliases_and_merges_that_people_write_are_read():
    text = "base: &base {a: 1, b: [2, 3]}\nother: {<<: *base, a: 4}\nagain: *base\n"
    base = {"a": 1, "b": [2, 3]}
    assert parse_yaml(text) == {"base": base, "other": {"a": 4, "b": [2, 3]}, "again": base}
    assert parse_yaml("") is None


class _Two(Configuration):
    a: int = 0
    b: int = 0


def test_a_configuration_that_repeats_itself_is_one_line(tmp_path):
    (tmp_path / "config.yaml").write_text(BOMB)
    with pytest.raises(ConfigError, match="expected YAML in") as refused:
        _Two.from_yaml(tmp_path / "config.yaml")
    assert len(str(refused.value)) < 400


def test_large_values_are_cut_in_messages(tmp_path):
    (tmp_path / "config.yaml").write_text(f"a: {'x' * 100_000}\nb: [{'y' * 90_000}]\n")
    with pytest.raises(ConfigError, match=r"a: .*; b: ") as refused:
        _Two.from_yaml(tmp_path / "config.yaml", [f"{'c' * 9_000}={'d' * 9_000}"])
    assert len(str(refused.value)) < 1000
    (tmp_path / "config.yaml").write_text(f"[{'1, ' * 50_000}1]")
    with pytest.raises(ConfigError, match="expected sections in") as refused:
        _Two.from_yaml(tmp_path / "config.yaml")
    assert len(str(refused.value)) < 500


def test_nested_json_is_an_error_of_its_value():
    with pytest.raises(ValueError, match="too deep"):
        parse_json("[" * 100_000)
    assert parse_json('{"a": [1, 2.5]}') == {"a": [1, 2.5]}
