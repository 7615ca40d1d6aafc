"""The log of dynamics: what was measured after which step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray

_QUANTITIES = {
    "kinetic_temperature": "temperature_K",
    "potential_energy": "potential_energy_eV",
    "total_energy": "total_energy_eV",
    "volume": "volume_A3",
    "pressure_GPa": "pressure_GPa",
}


def read_log(path: Path) -> Array:
    """The rows of ``log.csv`` as a structured array, one field a column."""
    return np.atleast_1d(np.genfromtxt(path, delimiter=",", names=True, deletechars=""))


def means_of(rows: Array) -> dict[str, dict[str, Any]]:
    """Mean and standard deviation of each quantity over the second half of a run."""
    late = rows[len(rows) // 2 :]
    return {
        with_unit: {"mean": _finite(late[name].mean()), "std": _finite(late[name].std())}
        for name, with_unit in _QUANTITIES.items()
    }


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
