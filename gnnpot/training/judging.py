"""Properties of a potential while it is trained."""

from __future__ import annotations

import math
from collections.abc import Callable

from gnnpot.calculator.calculator import GNNPotCalculator
from gnnpot.potential.potential import Potential
from gnnpot.properties.judgment import judged
from gnnpot.training.config import TrainingConfig


def add_deviation(
    row: dict[str, float], potential: Potential, config: TrainingConfig, *, tell: Callable[[str], None]
) -> None:
    """Add to a row of the history how far the properties of ``potential`` are from their values.

    Args:
        row: Of the epoch; it stays as it is where a property could not be computed.
        potential: The potential that would be kept.
        config: Properties and their values.
        tell: Told what could not be computed.
    """
    assert config.properties is not None
    calculator = GNNPotCalculator(potential, default_dtype="float64", device=config.device)
    judgment = judged(calculator, config.properties, config.select_by)
    if math.isfinite(judgment.deviation):
        row["validation_deviation"] = judgment.deviation
    for name, reason in judgment.failures.items():
        tell(f"epoch {int(row['epoch'])}: {name}: {reason}")
