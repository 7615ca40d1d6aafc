"""Values that properties should have."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError, model_validator

from gnnpot.config.base import Section
from gnnpot.errors import ConfigError, one_line
from gnnpot.properties.names import NAMES
from gnnpot.system.documents import read_json

CERTIFICATE = "certificate"


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
            if name not in NAMES:
                raise ValueError(f"expected a property, got {name!r}; there are {', '.join(NAMES)}")
        for name in self.settings:
            self.section(name)
        return self

    def section(self, name: str) -> Any:
        """The settings of one property.

        Raises:
            ValueError: They do not fit.
        """
        from gnnpot.properties.catalog import PROPERTIES  # torch, which configurations need not wait for

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
        known: list[str] = [one for one in self.targets if one in NAMES]
        found = known if word == "properties" else [name] if name in (*known, CERTIFICATE) else []
        if not found:
            raise ConfigError(
                f"expected values of what {word} stands for, got {', '.join(known) or 'none'}; give them, "
                "such as properties.values: {elastic: {C44: 123.5}}"
            )
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
        name in {*NAMES, "units", "structure"} and isinstance(values[name], dict | str) for name in values
    )
    if not known:
        raise ConfigError(
            f'expected values by property in {path}, such as {{"elastic": {{"C11": 240.2}}}}, got others; '
            f"properties are {', '.join(NAMES)}"
        )
    return values
