"""Origin of the element-specific weights in a transfer.

A map names, for each element of the target, elements of the source: ``Ge=Si``, a weighted average
``Ge=0.5*Si+0.5*Sn``, ``Ge=nearest`` (in the periodic table), or ``Ge=fresh`` (untrained).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from ase.data import atomic_numbers
from jaxtyping import Float

from gnnpot.config.registry import nearest
from gnnpot.errors import ConfigError

NEAREST, FRESH = "nearest", "fresh"
_NOBLE = (2, 10, 18, 36, 54, 86, 118)
_TOLERANCE = 1e-6  # of the sum of weights

Array = np.ndarray


@dataclass(frozen=True)
class ElementMap:
    """Source elements of which each target element is made.

    Attributes:
        source: Symbols that the source knows, in its order.
        weights: Weights of source elements by target element, in the order of the target; none where
            it starts fresh.
        notes: Remarks where the map was not taken literally.
    """

    source: tuple[str, ...]
    weights: dict[str, dict[str, float]]
    notes: tuple[str, ...] = ()

    @property
    def target(self) -> tuple[str, ...]:
        """Element symbols of the target."""
        return tuple(self.weights)

    @property
    def fresh(self) -> tuple[str, ...]:
        """Target elements that start from random weights."""
        return tuple(symbol for symbol, parts in self.weights.items() if not parts)

    @property
    def dropped(self) -> tuple[str, ...]:
        """Source elements that are not used."""
        used = {symbol for parts in self.weights.values() for symbol in parts}
        return tuple(symbol for symbol in self.source if symbol not in used)

    @property
    def matrix(self) -> Float[Array, "T S"]:
        """Weight of each source element in each target element."""
        return np.array(
            [[parts.get(symbol, 0.0) for symbol in self.source] for parts in self.weights.values()]
        )

    @property
    def words(self) -> dict[str, str]:
        """Origin of each target element in the notation of the map."""
        return {symbol: _spelled(parts) for symbol, parts in self.weights.items()}

    def __str__(self) -> str:
        return ", ".join(f"{symbol}={origin}" for symbol, origin in self.words.items())


def parse_element_map(text: str) -> dict[str, str]:
    """Origins by symbol of ``"Ge=Si, Sn=0.5*Si+0.5*Pb"``.

    Raises:
        ConfigError: A part is no TARGET=SOURCE, or a target comes twice.
    """
    origins: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        target, equals, origin = (word.strip() for word in part.partition("="))
        if not (target and equals and origin):
            raise ConfigError(f"expected TARGET=SOURCE in the element map, got {part!r}; e.g. Ge=Si")
        if target in origins:
            raise ConfigError(f"expected each element once in the map, got {target} twice; remove one")
        origins[target] = origin
    return origins


def resolve_element_map(
    origins: Mapping[str, str], *, source: Sequence[str], target: Sequence[str]
) -> ElementMap:
    """Resolve a map to weights; elements that it does not name map to themselves or to the nearest element.

    ``Si=Ge`` where Si is of the source alone and Ge of the target alone is read as ``Ge=Si``.

    Args:
        origins: Origin of target elements, as :func:`parse_element_map` gives them.
        source: Elements of the trained potential.
        target: Elements of the data.

    Raises:
        ConfigError: An element that the source lacks, a target element without data, or weights that
            are no average.
    """
    origins, notes = _target_first(origins, source, target)
    for symbol in origins:
        if symbol not in target:
            raise ConfigError(
                f"expected elements of the data ({', '.join(target)}) on the left of the map, got {symbol}, "
                f"which no structure has; the map is TARGET=SOURCE with sources {', '.join(source)}"
            )
    default = {symbol: symbol if symbol in source else NEAREST for symbol in target}
    weights = {symbol: _weights(symbol, {**default, **origins}[symbol], source) for symbol in target}
    return ElementMap(tuple(source), weights, notes)


def nearest_element(symbol: str, known: Iterable[str]) -> str:
    """The element of ``known`` that is closest in the periodic table.

    The same group counts most, then the difference of groups, then that of periods, then that of
    atomic numbers.  Lanthanides and actinides stand in group 3.
    """
    group, period = _place(symbol)

    def distance(other: str) -> tuple[int, int, int]:
        g, p = _place(other)
        return abs(g - group), abs(p - period), abs(atomic_numbers[other] - atomic_numbers[symbol])

    return min(known, key=distance)


def _target_first(
    origins: Mapping[str, str], source: Sequence[str], target: Sequence[str]
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Turn entries written SOURCE=TARGET around, and note them."""
    turned: dict[str, str] = {}
    notes = []
    for left, right in origins.items():
        backward = left in source and left not in target and right in target and right not in source
        turned[right if backward else left] = left if backward else right
        if backward:
            notes.append(f"the map {left}={right} was read as {right}={left}: {right} starts from {left}")
    return turned, tuple(notes)


def _weights(symbol: str, origin: str, source: Sequence[str]) -> dict[str, float]:
    if origin == FRESH:
        return {}
    if origin == NEAREST:
        return {nearest_element(symbol, source): 1.0}
    weights: dict[str, float] = {}
    for term in origin.split("+"):
        factor, star, name = (word.strip() for word in term.rpartition("*"))
        if name not in source:
            known = [*source, NEAREST, FRESH]
            close = "" if name in atomic_numbers or not name else f"; {nearest(name, known)}"
            raise ConfigError(
                f"expected {symbol} to start from an element of the source ({', '.join(source)}), "
                f"{NEAREST} or {FRESH}, got {origin!r}{close or '; choose of these'}"
            )
        weights[name] = weights.get(name, 0.0) + (_factor(factor, origin) if star else 1.0)
    if not (min(weights.values()) > 0 and abs(sum(weights.values()) - 1) < _TOLERANCE):  # or NaN
        raise ConfigError(
            f"expected weights above 0 that sum to 1 for {symbol}, got {origin!r}; e.g. 0.5*A+0.5*B"
        )
    return weights


def _factor(text: str, origin: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"expected a number before * in the map, got {origin!r}; e.g. 0.5*Si") from None


def _spelled(parts: Mapping[str, float]) -> str:
    if not parts:
        return FRESH
    if len(parts) == 1:
        return next(iter(parts))
    return "+".join(f"{weight:g}*{symbol}" for symbol, weight in parts.items())


def _place(symbol: str) -> tuple[int, int]:
    """Group and period."""
    number = atomic_numbers[symbol]
    period = 1 + sum(number > noble for noble in _NOBLE)
    if number in _NOBLE:
        return 18, period
    column = number - (_NOBLE[period - 2] if period > 1 else 0)
    length = _NOBLE[period - 1] - (_NOBLE[period - 2] if period > 1 else 0)
    if column <= 2:
        return column, period
    if length == 32:
        return (3, period) if column <= 17 else (column - 14, period)
    return column + 18 - length, period
