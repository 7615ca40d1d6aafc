"""What folders of results hold: errors, history, transfer, properties."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gnnpot.errors import DataError, GnnpotError, one_line
from gnnpot.properties.run import SUMMARY
from gnnpot.system.documents import read_json, read_yaml
from gnnpot.system.files import CONFIG
from gnnpot.training.checkpoint import CHECKPOINT, read_checkpoint

METRICS, TRANSFER = "metrics.json", "transfer.json"
_OF_STUDIES = frozenset({"outcomes", "trainings"})  # of transfers, of models


@dataclass(frozen=True)
class Results:
    """One folder.

    Attributes:
        name: On the page.
        path: The folder.
        metrics: Content of ``metrics.json`` of a run or a transfer; empty without.
        config: Content of ``config.yaml``.
        history: A row of errors for each epoch.
        transfer: Content of ``transfer.json``; empty of what is no transfer.
        properties: Content of ``properties.json``; empty of what is no folder of properties.
        study: Content of ``metrics.json`` of a benchmark; empty of what is none.
    """

    name: str
    path: Path
    metrics: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    history: Sequence[Mapping[str, float]] = ()
    transfer: Mapping[str, Any] = field(default_factory=dict)
    properties: Mapping[str, Any] = field(default_factory=dict)
    study: Mapping[str, Any] = field(default_factory=dict)


def results_in(folders: Sequence[Path]) -> list[Results]:
    """The results in each folder, in the order given; names are as short as tell them apart.

    Raises:
        DataError: A folder is not there, holds no results, or a file in it is damaged.
    """
    names = [path.resolve().name for path in folders]
    if len(set(names)) < len(names):
        names = [str(path) for path in folders]
    return [_read(path, name) for path, name in zip(folders, names, strict=True)]


def _read(path: Path, name: str) -> Results:
    if not path.is_dir():
        raise DataError(f"expected a folder of results, got {path}; check the path")
    metrics = _document(path / METRICS)
    is_study = not _OF_STUDIES.isdisjoint(metrics)
    found = Results(
        name,
        path,
        metrics={} if is_study else metrics,
        config=_document(path / CONFIG),
        history=_history(path / CHECKPOINT),
        transfer=_document(path / TRANSFER),
        properties=_document(path / SUMMARY),
        study=metrics if is_study else {},
    )
    if not (found.metrics or found.properties or found.study):
        raise DataError(
            f"expected a finished run, transfer, benchmark or folder of properties, got {path} without "
            f"{METRICS} and {SUMMARY}; finish it with --resume"
        )
    return found


def _document(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        found = read_yaml(path) if path.name == CONFIG else read_json(path)
    except (OSError, ValueError) as error:
        raise DataError(f"expected results in {path}, got {one_line(error)}; make them again") from error
    if not isinstance(found, dict):
        raise DataError(f"expected results in {path}, got {type(found).__name__}; make them again")
    return found


def _history(path: Path) -> list[dict[str, float]]:
    """Rows of the training; none where its checkpoint is gone or cannot be read."""
    if not path.exists():
        return []
    try:
        return list(read_checkpoint(path)["gnnpot"]["history"])
    except GnnpotError:
        return []
