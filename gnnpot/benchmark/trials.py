"""Results of a comparison of models: trainings, measurements, statistics over seeds, Pareto front."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from gnnpot.units import ERROR_UNITS

PROPERTIES = "properties"  # the mean deviation of properties from their values, beside errors of labels
UNITS = {**ERROR_UNITS, PROPERTIES: "%"}


def score_words(quantity: str) -> str:
    """What is compared, without its unit."""
    return "deviation of properties" if quantity == PROPERTIES else f"{quantity} RMSE"


class Point(NamedTuple):
    """Validation errors of the best model at one moment of a training."""

    seconds: float
    energy: float  # RMSE, meV/atom; NaN without labels
    forces: float  # RMSE, meV/Å; NaN without labels


@dataclass(frozen=True)
class Trial:
    """One training of one model.

    Attributes:
        model: Name of the model.
        size: Number of frames, validation included.
        seed: Seed of subset, initial weights and batch order.
        errors: MAE and RMSE on the test set by quantity, as in ``metrics.json``; of properties both are
            their mean deviation (%).
        seconds: Training time.
        epochs: Number of completed epochs.
        history: Validation errors of the best model against time.
        failure: Reason why there is no model, or "".
    """

    model: str
    size: int
    seed: int
    errors: Mapping[str, Mapping[str, float] | None]
    seconds: float = math.nan
    epochs: int = 0
    history: Sequence[Point] = ()
    failure: str = ""

    def rmse(self, quantity: str) -> float:
        """Test RMSE of a quantity, or NaN if there is none."""
        error = self.errors.get(quantity)
        return math.nan if error is None else error["rmse"]


@dataclass(frozen=True)
class Measurement:
    """Speed, energy drift and smoothness at the cutoff of a model trained on the largest size.

    Attributes:
        model: Name of the model.
        kind: Name in the registry.
        parameters: Number of weights.
        cutoff: Longest edge (Å).
        microseconds: Wall time of dynamics per atom and step (µs); NaN if they failed.
        drift: Slope of the total energy in NVE dynamics (meV/atom/ps); NaN if they failed.
        energy_jump: Largest change of the energy as an atom passes the cutoff (meV).
        forces_jump: Largest change of a force component as an atom passes the cutoff (meV/Å).
        failure: Reason why the dynamics failed, or "".
    """

    model: str
    kind: str
    parameters: int
    cutoff: float
    microseconds: float
    drift: float
    energy_jump: float
    forces_jump: float
    failure: str = ""


class SeedStatistics(NamedTuple):
    """Mean and standard deviation over the successful seeds; the deviation of a single one is NaN."""

    mean: float
    deviation: float


@dataclass(frozen=True)
class Comparison:
    """Results of a comparison of models.

    Attributes:
        title: Title of the report.
        trials: All trainings.
        measurements: One measurement for each model.
        facts: Table of settings for the report.
        warnings: Warnings about the data and the trainings.
    """

    title: str
    trials: Sequence[Trial]
    measurements: Sequence[Measurement]
    facts: Mapping[str, str]
    warnings: Sequence[str] = ()

    @property
    def models(self) -> list[str]:
        """Names of the models in the order of the configuration."""
        return list(dict.fromkeys(trial.model for trial in self.trials))

    @property
    def sizes(self) -> list[int]:
        """Numbers of frames, ascending."""
        return sorted({trial.size for trial in self.trials})

    @property
    def quantities(self) -> list[str]:
        """Quantities with labels in the test set, and properties if they are compared."""
        return [name for name in UNITS if any(t.rmse(name) == t.rmse(name) for t in self.trials)]

    @property
    def headline(self) -> str:
        """The quantity by which models are ranked: properties if compared, forces if labeled."""
        if PROPERTIES in self.quantities:
            return PROPERTIES
        return "forces" if "forces" in self.quantities else "energy"

    def spread(self, model: str, size: int, quantity: str) -> SeedStatistics:
        """Test RMSE of a model on a size over the seeds that could be trained; NaN if none could."""
        values = [trial.rmse(quantity) for trial in self._of(model, size) if not trial.failure]
        deviation = float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
        return SeedStatistics(float(np.mean(values)) if values else math.nan, deviation)

    def failed(self, model: str, size: int) -> int:
        """Number of seeds whose training failed."""
        return sum(bool(trial.failure) for trial in self._of(model, size))

    def _of(self, model: str, size: int) -> list[Trial]:
        return [trial for trial in self.trials if (trial.model, trial.size) == (model, size)]

    def measurement(self, model: str) -> Measurement | None:
        """Measurement of a model, or None if no seed could be trained."""
        return next((one for one in self.measurements if one.model == model), None)

    @property
    def front(self) -> list[str]:
        """Models on the Pareto front of error and speed at the largest size."""
        size = self.sizes[-1]
        names = [one.model for one in self.measurements]
        points = [
            (one.microseconds, self.spread(one.model, size, self.headline).mean) for one in self.measurements
        ]
        return [name for name, is_best in zip(names, pareto_front(points), strict=True) if is_best]

    def as_dict(self) -> dict[str, Any]:
        """Convert to plain JSON; NaN becomes None."""
        trials = [
            {
                "model": trial.model, "frames": trial.size, "seed": trial.seed,
                **{name: trial.errors.get(name) for name in self._told},
                "seconds": _plain(trial.seconds), "epochs": trial.epochs, "failure": trial.failure or None,
                "history": [{k: _plain(v) for k, v in point._asdict().items()} for point in trial.history],
            }
            for trial in self.trials
        ]  # fmt: skip
        return {
            "ranked_by": self.headline,
            "table": [self._row(model, size) for model in self.models for size in self.sizes],
            "models": [self._model(one) for one in self.measurements],
            "pareto_front": self.front,
            "trainings": trials,
            "facts": dict(self.facts),
            "warnings": list(self.warnings),
        }

    @property
    def _told(self) -> list[str]:
        """Quantities in the JSON object."""
        return [*ERROR_UNITS, *([PROPERTIES] if PROPERTIES in self.quantities else [])]

    def _row(self, model: str, size: int) -> dict[str, Any]:
        spreads = {name: self.spread(model, size, name) for name in self._told}
        errors = {
            name: {"rmse": _plain(spread.mean), "deviation": _plain(spread.deviation)}
            if name in self.quantities
            else None
            for name, spread in spreads.items()
        }
        return {"model": model, "frames": size, **errors, "failed_seeds": self.failed(model, size)}

    def _model(self, one: Measurement) -> dict[str, Any]:
        return {
            "model": one.model,
            "kind": one.kind,
            "parameters": one.parameters,
            "cutoff": one.cutoff,
            "microseconds_per_atom_step": _plain(one.microseconds),
            "drift_mev_per_atom_per_ps": _plain(one.drift),
            "energy_jump_mev": _plain(one.energy_jump),
            "forces_jump_mev_per_angstrom": _plain(one.forces_jump),
            "failure": one.failure or None,
        }


def pareto_front(points: Iterable[tuple[float, float]]) -> list[bool]:
    """Which points are Pareto optimal when both coordinates are minimized; NaN never is."""
    points = list(points)
    return [
        all(math.isfinite(value) for value in point)
        and not any(
            all(b <= a for a, b in zip(point, other, strict=True)) and other != point for other in points
        )
        for point in points
    ]


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None
