"""The names of the properties."""

from __future__ import annotations

from typing import Literal, get_args

PropertyName = Literal[
    "relaxation", "phases", "equation_of_state", "elastic", "vacancy", "interstitials", "surfaces",
    "migration", "phonons", "expansion", "dynamics", "melting", "certificate", "stability",
]  # fmt: skip
NAMES: tuple[PropertyName, ...] = get_args(PropertyName)
