"""Rows of a table of properties: one quantity a row, one model a column, deviations from the reference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from gnnpot.properties.catalog import NO_REST, PROPERTIES

FAILED = "failed"
_WORDS = {
    "C_prime": "(C11 − C12)/2",
    "C11_clamped": "C11, clamped ions",
    "C12_clamped": "C12, clamped ions",
    "C44_clamped": "C44, clamped ions",
    "bulk_voigt": "bulk modulus, Voigt",
    "bulk_hill": "bulk modulus, Hill",
    "bulk_reuss": "bulk modulus, Reuss",
    "shear_voigt": "shear modulus, Voigt",
    "shear_hill": "shear modulus, Hill",
    "shear_reuss": "shear modulus, Reuss",
    "young_hill": "Young's modulus, Hill",
    "born_stable": "Born stable",
    "strain": "largest strain",
    "linear_expansion": "linear expansion at 300 K",
    "volume_change": "volume at 300 K over that at rest",
}


_SETTINGS = ("strain", "temperature", "num_runs", "length")  # no deviation is told of these


class Row(NamedTuple):
    """One quantity of all models.

    Attributes:
        property: Words of the property.
        quantity: Words of the quantity, with its unit.
        path: Its names in the results, of which the last is the quantity's.
        values: Of each model, in the order of the names: a number, a word, :data:`FAILED`, or None.
        reference: Of the reference, likewise.
    """

    property: str
    quantity: str
    path: tuple[str, ...]
    values: tuple[Any, ...]
    reference: Any


class Problem(NamedTuple):
    """A property that could not be computed."""

    model: str
    property: str
    reason: str


def rows(summary: Mapping[str, Any]) -> list[Row]:
    """The rows of what :func:`gnnpot.properties.run.properties` gives."""
    models, reference = summary["models"], summary["reference"] or {}
    found = []
    for name in summary["units"]:
        every = [results.get(name, {}) for results in (*models.values(), reference)]
        for path in _paths(name, every):
            *values, known = [_value(results, path) for results in every]
            found.append(Row(PROPERTIES[name].noun, _words(name, path), path, tuple(values), known))
    return found


def problems(summary: Mapping[str, Any]) -> list[Problem]:
    """What failed, of models and of the reference, and parts of what did not."""
    found = []
    for model, results in {**summary["models"], "reference": summary["reference"] or {}}.items():
        for name, numbers in results.items():
            noun = PROPERTIES[name].noun if name in PROPERTIES else name
            if not isinstance(numbers, Mapping):
                continue
            if numbers.get("failure", NO_REST) != NO_REST:
                found.append(Problem(model, noun, numbers["failure"]))
            for part, reason in (numbers.get("not_relaxed") or {}).items():
                found.append(Problem(model, f"{noun}, {part}", reason))
    return found


def number(value: Any) -> str:
    """A value as tables show it; a dash where there is none."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | str):
        return str(value)
    size = abs(value)
    if size < 5e-5:
        return "0"
    decimals = 4 if size < 0.1 else 3 if size < 10 else 2 if size < 100 else 1
    return f"{value:.{decimals}f}".replace("-", "−")


def compared(row: Row, value: Any) -> float | None:
    """By how much a number differs from the reference (%); None where that says nothing."""
    is_setting = bool(row.path) and row.path[-1] in _SETTINGS
    if is_setting or not (_is_number(value) and _is_number(row.reference)) or abs(row.reference) < 1e-3:
        return None
    return float(100 * (value - row.reference) / abs(row.reference))


def deviation(row: Row, value: Any) -> str:
    """What :func:`compared` gives, in words; nothing where that is nothing."""
    percent = compared(row, value)
    if percent is None:
        return ""
    words = f"{percent:+.0f} %" if abs(percent) >= 9.95 else f"{percent:+.1f} %"
    return words.replace("-", "−")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _paths(name: str, every: list[Mapping[str, Any]]) -> Iterator[tuple[str, ...]]:
    """Where in the results the numbers to show are, in order."""
    failed = True
    for key in PROPERTIES[name].shown:
        inner = dict.fromkeys(
            part
            for results in every
            for part in (results.get(key) if isinstance(results.get(key), Mapping) else ()) or ()
        )
        phases = [] if name != "phases" else list(dict.fromkeys(p for r in every for p in r.get("order", ())))
        if phases:
            yield from ((phase, key) for phase in phases)
        elif inner:
            yield from ((key, part) for part in inner)
        elif any(key in results for results in every):
            yield (key,)
        else:
            continue
        failed = False
    if failed:
        yield ()


def _value(results: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    if "failure" in results:
        return FAILED
    found: Any = results
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return None if isinstance(found, Mapping) else found


def _words(name: str, path: tuple[str, ...]) -> str:
    """The quantity with its unit."""
    if not path:
        return ""
    units = PROPERTIES[name].units
    unit = next((units[key] for key in path if key in units), "")
    key = path[-1] if name != "phases" else path[0]
    words = _WORDS.get(key, key.replace("_", " "))
    return f"{words} ({unit})" if unit not in ("", "1") else words
