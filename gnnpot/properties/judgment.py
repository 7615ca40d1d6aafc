"""How far the properties of a potential are from what they should be."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ase.calculators.calculator import Calculator

from gnnpot.errors import ConfigError, one_line
from gnnpot.properties.calculation import FAILURES, plain
from gnnpot.properties.catalog import NO_REST, PROPERTIES
from gnnpot.properties.rest import at_rest
from gnnpot.properties.table import compared, rows
from gnnpot.properties.targets import CERTIFICATE, TargetsConfig
from gnnpot.properties.watch import NO_WATCH
from gnnpot.sampling.crystals import structure

_MODEL = "model"
_WARNING = 0.01  # of a failure


@dataclass(frozen=True)
class Judgment:
    """How far a potential is from its targets.

    Attributes:
        deviation: Mean over the quantities of |value − target| / |target| (%), or of the certificate the
            number of failed checks and a hundredth for each warning; infinite where something could not be
            computed.
        parts: Deviation of each quantity (%).
        failures: Reasons by property.
    """

    deviation: float
    parts: Mapping[str, float]
    failures: Mapping[str, str]


def judged(calculator: Calculator, config: TargetsConfig, word: str = "properties") -> Judgment:
    """Compute the properties that ``word`` names and compare them with their targets.

    Args:
        calculator: Of the potential, in float64 if it can.
        config: Structure and targets.
        word: ``properties`` for all with values, ``elastic``, ``elastic.C44``, ``certificate``, ….

    Raises:
        ConfigError: There are no values of them.
        DataError: The structure cannot be read.
    """
    names = config.names(word)
    found = results(calculator, config, names)
    failures = {name: one["failure"] for name, one in found.items() if "failure" in one}
    if word == CERTIFICATE and not failures:
        counts = found[CERTIFICATE]["counts"]
        return Judgment(counts["fail"] + _WARNING * counts["warn"], {}, {})
    quantity = word.partition(".")[2]
    parts = {}
    for name in names:
        summary = {"models": {_MODEL: found}, "reference": config.targets, "units": {name: {}}}
        for row in rows(summary):
            percent = compared(row, row.values[0])
            if percent is not None and quantity in ("", row.path[-1], ".".join(row.path)):
                parts[".".join((name, *row.path))] = abs(percent)
    if not parts and not failures:
        raise ConfigError(
            f"expected numbers of what {word} stands for, got none that can be compared; quantities of "
            f"{names[0]} are {', '.join(PROPERTIES[names[0]].shown)}"
        )
    deviation = math.inf if failures else sum(parts.values()) / len(parts)
    return Judgment(deviation, parts, failures)


def results(calculator: Calculator, config: TargetsConfig, names: Iterable[str]) -> dict[str, Any]:
    """Properties of the structure at rest by name, as plain data; a failure is its reason."""
    atoms = structure(config.structure)
    found: dict[str, Any] = {}
    try:
        rest = at_rest(calculator, atoms, config.section("relaxation"))
    except FAILURES as error:
        return {name: {"failure": one_line(error)} for name in names}
    if rest.failure:
        return {name: {"failure": f"{NO_REST}: {rest.failure}"} for name in names}
    for name in names:
        if name == "relaxation":
            found[name] = plain(rest.as_dict())
            continue
        try:
            computed = PROPERTIES[name].compute(calculator, rest.atoms, config.section(name), NO_WATCH)
            found[name] = plain(computed.as_dict())
        except FAILURES as error:
            found[name] = {"failure": one_line(error)}
    return found
