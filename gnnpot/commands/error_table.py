"""Errors with their units, for a terminal, a notebook and pandas."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gnnpot.evaluation.tables import metrics_table
from gnnpot.report.tables import number
from gnnpot.units import ERROR_UNITS


@dataclass(frozen=True)
class ErrorTable:
    """MAE and RMSE of energy per atom (meV/atom), forces (meV/Å) and stress (MPa), a row for each set.

    Attributes:
        rows: Errors as in ``metrics.json``, by name of the set.
        noun: What a row is.
    """

    rows: Mapping[str, Mapping[str, Any]]
    noun: str = "set"

    def __getitem__(self, name: str) -> Mapping[str, Any]:
        return self.rows[name]

    def records(self) -> list[dict[str, Any]]:
        """One dictionary a row, with units in the names: ``energy MAE (meV/atom)``."""
        return [{self.noun: name, **_named(errors)} for name, errors in self.rows.items()]

    def to_pandas(self) -> Any:
        """A ``pandas.DataFrame`` with the names of the rows as its index.

        Raises:
            ImportError: There is no pandas.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise ImportError("expected pandas, got none; pip install pandas, or use records()") from error

        return pd.DataFrame(self.records()).set_index(self.noun)

    def __str__(self) -> str:
        width = max(len(name) for name in (*self.rows, self.noun))
        found = {
            name: unit
            for name, unit in ERROR_UNITS.items()
            if any(row.get(name) for row in self.rows.values())
        }
        heads = "".join(f"  {f'{name} ({unit})':>18s}" for name, unit in found.items())
        lines = ["MAE, RMSE", f"{self.noun:{width}s}  structures{heads}"]
        for name, errors in self.rows.items():
            cells = "".join(f"  {_cell(errors.get(quantity)):>18s}" for quantity in found)
            lines.append(f"{name:{width}s}  {errors.get('num_structures', ''):>10}{cells}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return metrics_table(self.rows, self.noun)


def _cell(error: Mapping[str, float] | None) -> str:
    return "–" if error is None else f"{number(error['mae'])}, {number(error['rmse'])}"


def _named(errors: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"structures": errors.get("num_structures")}
    for name, unit in ERROR_UNITS.items():
        for kind in ("mae", "rmse"):
            error = errors.get(name)
            found[f"{name} {kind.upper()} ({unit})"] = None if error is None else error[kind]
    return found
