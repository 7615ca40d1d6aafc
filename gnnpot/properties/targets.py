"""How far the properties of a potential are from what they should be, as one number."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from ase.calculators.calculator import Calculator
from pydantic import ValidationError, model_validator

from gnnpot.config.base import Section
from gnnpot.errors import ConfigError, one_line
from gnnpot.properties.calculation import FAILURES, plain
from gnnpot.properties.catalog import NO_REST, PROPERTIES
from gnnpot.properties.rest import at_rest
from gnnpot.properties.table import compared, rows
from gnnpot.properties.watch import NO_WATCH
from gnnpot.sampling.crystals import structure
from gnnpot.system.documents import read_json

CERTIFICATE = "certificate"
_MODEL = "model"
_WARNING = 0.01  # of a failure


class TargetsConfig(Section):
    """Properties by which potentials are judged, and the values that they should have.

    Args:
        structure: A crystal such as ``Ni:fcc``, or a file with one structure.
        values: By property and quantity, such as ``{elastic: {C11: 240.2}}``, or a JSON file of them, as
            ``gnnpot properties METHOD --json`` prints; not needed for the certificate.
        settings: Of properties, such as ``{elastic: {strain: 0.1}}``.
    """

    structure: str
    values: dict[str, dict[str, Any]] | Path = {}  # noqa: RUF012
    settings: dict[str, dict[str, Any]] = {}  # noqa: RUF012

    @model_validator(mode="after")
    def _known(self) -> Self:
        given = {} if isinstance(self.values, Path) else self.values
        for name in {*given, *self.settings}:
            if name not in PROPERTIES:
                raise ValueError(f"expected a property, got {name!r}; there are {', '.join(PROPERTIES)}")
        for name in self.settings:
            self.section(name)
        return self

    def section(self, name: str) -> Any:
        """The settings of one property.

        Raises:
            ValueError: They do not fit.
        """
        try:
            return PROPERTIES[name].section.model_validate(self.settings.get(name, {}))
        except ValidationError as error:
            raise ValueError(f"{name}: {error.errors()[0]['msg']}") from error

    @cached_property
    def targets(self) -> dict[str, Any]:
        """The values by property and quantity.

        Raises:
            ConfigError: The file does not hold them.
        """
        return given_values(self.values) if isinstance(self.values, Path) else dict(self.values)

    def names(self, word: str) -> list[str]:
        """The properties that ``word`` stands for: all with values, one, or one of its quantities.

        Args:
            word: ``properties``, ``elastic``, ``elastic.C44``, ``certificate``.

        Raises:
            ConfigError: There is no value of them.
        """
        name = word.partition(".")[0]
        known = [one for one in self.targets if one in PROPERTIES]
        found = known if word == "properties" else [name] if name in (*known, CERTIFICATE) else []
        if not found:
            raise ConfigError(
                f"expected values of what {word} stands for, got {', '.join(known) or 'none'}; give them, "
                "such as properties.values: {elastic: {C44: 123.5}}"
            )
        return found


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


def given_values(path: Path) -> dict[str, Any]:
    """Values of a reference by property and quantity, from a file.

    Raises:
        ConfigError: The file does not hold them.
    """
    try:
        values = read_json(path)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"expected JSON of values in {path}, got {one_line(error)}; mend the file"
        ) from error
    if isinstance(values, dict):
        values.pop("reference", None)  # of `gnnpot properties METHOD --json`
    known = isinstance(values, dict) and all(
        name in {*PROPERTIES, "units", "structure"} and isinstance(values[name], dict | str)
        for name in values
    )
    if not known:
        raise ConfigError(
            f'expected values by property in {path}, such as {{"elastic": {{"C11": 240.2}}}}, got others; '
            f"properties are {', '.join(PROPERTIES)}"
        )
    return values
