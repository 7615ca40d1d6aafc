"""Element maps: what they say, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest

from gnnpot.errors import ConfigError
from gnnpot.transferring.element_map import (
    ElementMap,
    nearest_element,
    parse_element_map,
    resolve_element_map,
)


def resolved(text: str, source: str, target: str) -> ElementMap:
    return resolve_element_map(parse_element_map(text), source=source.split(), target=target.split())


def test_a_map_is_parsed_with_any_spaces():
    assert parse_element_map(" Ge = Si,Sn=0.5*Si + 0.5*Pb, ") == {"Ge": "Si", "Sn": "0.5*Si + 0.5*Pb"}


@pytest.mark.parametrize("text", ["Ge", "Ge=", "=Si", "Ge:Si"])
def test_what_is_no_pair_is_refused(text):
    with pytest.raises(ConfigError, match="expected TARGET=SOURCE"):
        parse_element_map(text)


def test_an_element_that_comes_twice_is_refused():
    with pytest.raises(ConfigError, match="got Ge twice"):
        parse_element_map("Ge=Si,Ge=Sn")


def test_weights_stand_in_rows_of_the_target_and_columns_of_the_source():
    elements = resolved("Ge=0.25*Si+0.75*Sn", "Sn Si", "Si Ge")
    np.testing.assert_array_equal(elements.matrix, [[0, 1], [0.75, 0.25]])
    assert str(elements) == "Si=Si, Ge=0.25*Si+0.75*Sn"


def test_without_a_map_elements_keep_themselves_or_take_the_nearest():
    assert resolved("", "C Ni Si", "Ni Ge Cu").words == {"Ni": "Ni", "Ge": "Si", "Cu": "Ni"}


def test_a_binary_is_made_of_a_unary():
    assert resolved("Ni=Ni, Al=Ni", "Ni", "Al Ni").words == {"Al": "Ni", "Ni": "Ni"}


def test_a_map_written_from_source_to_target_is_turned_around_and_said():
    elements = resolved("Si=Ge", "Si", "Ge")
    assert elements.words == {"Ge": "Si"}
    assert "was read as Ge=Si" in elements.notes[0]
    assert resolved("Ge=Si", "Si", "Ge").notes == ()


def test_fresh_and_dropped_elements_are_known():
    elements = resolved("Ge=fresh", "Si Sn", "Si Ge")
    assert (elements.fresh, elements.dropped) == (("Ge",), ("Sn",))


@pytest.mark.parametrize(
    ("symbol", "known", "nearest"),
    [
        ("Ge", ["Ga", "As", "C", "Si"], "Si"),  # the group counts before the period
        ("Ge", ["C", "Sn", "Ga"], "Sn"),
        ("Nb", ["Al", "Ni", "Fe"], "Fe"),
        ("Al", ["Ni", "Cu", "Na"], "Cu"),
        ("He", ["H", "Ne"], "Ne"),
        ("Hf", ["Zr", "La"], "Zr"),
        ("U", ["Nd", "Pb"], "Nd"),
        ("Mg", ["Na", "Ca"], "Ca"),
    ],
)
def test_the_nearest_element_is_of_the_nearest_group(symbol, known, nearest):
    assert nearest_element(symbol, known) == nearest


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Ge=Pb", r"element of the source \(Si, Sn\), nearest or fresh, got 'Pb'"),
        ("Ge=nearst", "did you mean 'nearest'"),
        ("Al=Si", r"elements of the data \(Ge\) on the left of the map, got Al.*sources Si, Sn"),
        ("Ge=0.5*Si+0.4*Sn", "weights above 0 that sum to 1 for Ge"),
        ("Ge=1.5*Si+-0.5*Sn", "weights above 0"),
        ("Ge=x*Si", "expected a number before"),
        ("Ge=Si+", "got 'Si\\+'"),
        ("Ge=nan*Si", "weights above 0"),
    ],
)
def test_an_impossible_map_is_refused_with_what_is_known(text, message):
    with pytest.raises(ConfigError, match=message):
        resolved(text, "Si Sn", "Ge")
