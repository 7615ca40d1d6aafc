"""What the commands give back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any, Self

from ase import Atoms
from matplotlib.figure import Figure

from gnnpot.calculator.calculator import GNNPotCalculator
from gnnpot.commands.error_table import ErrorTable
from gnnpot.data.reading import read_as_found
from gnnpot.evaluation.evaluation import Evaluation
from gnnpot.evaluation.figures import history_figures, parity_figures
from gnnpot.potential.folder import MODEL_FILE
from gnnpot.potential.model_file import load_potential
from gnnpot.potential.potential import Potential
from gnnpot.training.run import HISTORY_FILE


class EvaluationResult(Evaluation):
    """Labels and predictions of a set, with tables and figures of the errors."""

    @classmethod
    def of(cls, evaluation: Evaluation) -> Self:
        """The same labels and predictions."""
        return cls(**{field.name: getattr(evaluation, field.name) for field in fields(evaluation)})

    @cached_property
    def errors(self) -> ErrorTable:
        """Errors of all structures and of each group, with units."""
        metrics = self.metrics()
        groups = metrics["groups"]
        return ErrorTable({"all": metrics, **(groups if len(groups) > 1 else {})}, "group")

    def figures(self) -> dict[str, Figure]:
        """Predictions against labels, by quantity."""
        return parity_figures(self)

    def __repr__(self) -> str:
        return str(self.errors)

    def _repr_html_(self) -> str:
        return self.errors._repr_html_()


@dataclass(frozen=True)
class TrainingResult:
    """A trained potential in its folder.

    Attributes:
        folder: Folder with ``model.safetensors``, ``report.html``, ``metrics.json``, ``splits.json``, ….
        metrics: Content of ``metrics.json``; its ``units`` names the units.
    """

    folder: Path
    metrics: dict[str, Any]

    @property
    def model(self) -> Path:
        """The model file."""
        return self.folder / MODEL_FILE

    @cached_property
    def potential(self) -> Potential:
        """The best potential of the training, on the CPU."""
        return load_potential(self.model)

    def calculator(self, *, device: str = "auto") -> GNNPotCalculator:
        """A calculator for ASE."""
        return GNNPotCalculator(self.model, device=device)

    @property
    def errors(self) -> ErrorTable:
        """Errors on the structures of each set, with units."""
        return ErrorTable(self.metrics["splits"])

    @property
    def history(self) -> list[dict[str, float]]:
        """Errors by epoch: energy in meV/atom, forces in meV/Å, stress in MPa."""
        return list(json.loads((self.folder / HISTORY_FILE).read_text()))

    def figures(self) -> dict[str, Figure]:
        """Loss, errors and learning rate over the epochs."""
        return history_figures(self.history)

    def __repr__(self) -> str:
        return f"{type(self).__name__} in {self.folder}\n{self.errors}"

    def _repr_html_(self) -> str:
        report = (self.folder / "report.html").resolve()
        link = f'<p>{escape(str(self.model))}, <a href="file://{escape(str(report))}">report</a></p>'
        return self.errors._repr_html_() + link


@dataclass(frozen=True, repr=False)
class TransferResult(TrainingResult):
    """A potential that was carried to other elements or another level of theory.

    Attributes:
        comparison: Content of ``transfer.json``: errors before training, after it and from scratch.
    """

    comparison: dict[str, Any]

    @property
    def errors(self) -> ErrorTable:
        """Errors before training, after it, and of training from scratch if that was asked for."""
        names = {"baseline": "before training", "transferred": "transferred", "scratch": "from scratch"}
        return ErrorTable(
            {words: self.comparison[name] for name, words in names.items() if self.comparison[name]}
        )


@dataclass(frozen=True)
class StructuresResult:
    """Structures in a file.

    Attributes:
        path: The file.
        summary: Figures of the run.
    """

    path: Path
    summary: dict[str, Any]

    @cached_property
    def frames(self) -> Sequence[Atoms]:
        """The structures; labels are in their calculators."""
        return list(read_as_found([str(self.path)])) if self.path.exists() else []

    def __repr__(self) -> str:
        return f"{len(self.frames):,} structures in {self.path}"

    def _repr_html_(self) -> str:
        return f"<p>{len(self.frames):,} structures in {escape(str(self.path))}</p>"
