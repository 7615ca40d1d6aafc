"""A training run from files to a report."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import torch
import yaml

from gnnpot import __version__
from gnnpot.checkpoint import load_potential, save_potential
from gnnpot.config import RunConfig, data_paths
from gnnpot.data.inspection import DataReport, inspect
from gnnpot.data.reading import read_frames
from gnnpot.errors import ConfigError, OutputError
from gnnpot.evaluation import evaluate
from gnnpot.files import make_folder, write_text
from gnnpot.potential import Potential
from gnnpot.preparation import PreparedData, initial_potential, is_first_process, prepare
from gnnpot.report import Report, model_facts, write_report
from gnnpot.training import Observer, RunSettings, fit
from gnnpot.training.module import PotentialModule

MODEL_FILE = "model.safetensors"
_FREE_TO_CHANGE = ("max_epochs", "max_time", "devices", "num_nodes", "num_workers", "device")


def check_output(output: Path, *, resume: bool) -> None:
    """Refuse to write over a run.

    Raises:
        OutputError: The folder holds a run that is not to be resumed, or cannot be made.
    """
    if (output / "config.yaml").exists() and not resume:
        raise OutputError(f"expected a new folder, got the run in {output}; use --resume or another --output")
    make_folder(output)


def train(
    config: RunConfig, output: Path, *, resume: bool = False, observer: Observer | None = None
) -> dict[str, Any]:
    """Check the data, train, evaluate the best model, and write the report.

    Args:
        config: What to do.
        output: Folder for everything that is written.
        resume: Go on with the run in ``output``, if there is one.
        observer: Is told how the training goes.

    Returns:
        What ``metrics.json`` holds.

    Raises:
        GnnpotError: Bad data, configuration, output folder or device, or a loss that is not finite.
    """
    output = Path(output)
    if is_first_process():
        check_output(output, resume=resume)
        _check_same_config(config, output)
        reports = inspect_files(config)
        data = prepare(config, output)
        config.to_yaml(output / "config.yaml")
    else:
        _wait_for(output / "config.yaml")
        data, reports = prepare(config, output), []
    potential = initial_potential(config, data)
    keeper = _Keeper(config, data, output, observer or Observer())
    for text in _notes(data, potential, reports):
        keeper.observer.note(text)
    module = fit(
        potential,
        data.train,
        data.validation,
        config=config.training,
        settings=RunSettings(output, config.seed, keeper),
    )
    if not module.trainer.is_global_zero:
        return {}
    if config.training.loss.kind == "force_matching":
        _set_energy_offset(output / MODEL_FILE, data, keeper)
    return _conclude(config, data, output, module=module, reports=reports)


def inspect_files(config: RunConfig) -> list[DataReport]:
    """Look through all files before anything is trained.

    Raises:
        DataError: A fault in the data; the first, and how many more there are.
    """
    named = [config.train, config.validation if isinstance(config.validation, tuple) else (), config.test]
    reports = [inspect(read_frames(data_paths(names), config.keys), config.keys) for names in named if names]
    for report in reports:
        report.check()
    return reports


def provenance(config: RunConfig, data: PreparedData, row: dict[str, float]) -> dict[str, Any]:
    """Where a potential comes from, for its file."""
    return {
        "config": config.model_dump(mode="json"),
        "reference_energies_source": data.references.source,
        "train_hash": data.train.content_hash(),
        "validation_hash": data.validation.content_hash(),
        "num_train": len(data.train),
        "num_validation": len(data.validation),
        "metrics": row,
    }


class _Keeper(Observer):
    """Writes the best model and passes the news on."""

    def __init__(self, config: RunConfig, data: PreparedData, output: Path, observer: Observer) -> None:
        self.config, self.data, self.output, self.observer = config, data, output, observer

    def step(self, progress: float, seconds: float) -> None:
        self.observer.step(progress, seconds)

    def epoch(self, row: dict[str, float], best: dict[str, float]) -> None:
        self.observer.epoch(row, best)

    def better(self, potential: Potential, row: dict[str, float]) -> None:
        self.save(potential, row)
        self.observer.better(potential, row)

    def save(self, potential: Potential, row: dict[str, float]) -> None:
        """Write the model file."""
        save_potential(
            potential, self.output / MODEL_FILE, provenance=provenance(self.config, self.data, row)
        )


def _set_energy_offset(path: Path, data: PreparedData, keeper: _Keeper) -> None:
    """Shift all reference energies by the mean error per atom over the training data."""
    potential = load_potential(path)
    store, total, atoms = data.train.store, 0.0, 0
    with torch.no_grad():
        for place, row in enumerate(data.train.rows):
            if store.energy[row] == store.energy[row]:
                graph = data.train[place]
                total += float(store.energy[row]) - float(potential(graph).energy)
                atoms += len(graph.atomic_numbers)
    if atoms:
        potential.reference_energies += total / atoms
        keeper.save(potential, {"energy_offset": total / atoms})


def _conclude(
    config: RunConfig,
    data: PreparedData,
    output: Path,
    *,
    module: PotentialModule,
    reports: list[DataReport],
) -> dict[str, Any]:
    """Evaluate the best model and write ``metrics.json`` and ``report.html``."""
    potential = load_potential(output / MODEL_FILE)
    evaluations = {
        "train": evaluate(potential, data.train.frames()),
        "validation": evaluate(potential, data.validation.frames()),
    }
    if config.test:
        evaluations["test"] = evaluate(potential, read_frames(data_paths(config.test), config.keys))
    headline = list(evaluations)[-1]
    splits = {name: evaluation.metrics() for name, evaluation in evaluations.items()}
    metrics = {**splits[headline], "split": headline, "splits": splits}
    write_text(output / "metrics.json", json.dumps(metrics, indent=1) + "\n")
    facts = _facts(config, data, potential, module.seconds)
    warnings = [warning for report in reports for warning in report.warnings]
    write_report(
        output / "report.html",
        Report(
            title=f"{config.model.kind} potential of {', '.join(potential.elements)}",
            evaluations=evaluations,
            history=module.history,
            best_epoch=module.best["epoch"],
            facts=facts,
            warnings=warnings,
        ),
    )
    return metrics


def _notes(data: PreparedData, potential: Potential, reports: list[DataReport]) -> list[str]:
    """What a user should know before the training starts."""
    return [
        *(f"warning: {warning}" for report in reports for warning in report.warnings),
        f"{len(data.train)} structures to train on, {len(data.validation)} for validation",
        f"reference energies: {data.references}",
        f"{potential.model.config.kind} with {potential.model.num_parameters:,} parameters",
    ]


def _facts(config: RunConfig, data: PreparedData, potential: Potential, seconds: float) -> dict[str, str]:
    return {
        **model_facts(potential),
        "training data": f"{', '.join(config.train)}: {len(data.train)} structures",
        "validation data": f"{len(data.validation)} structures",
        "test data": ", ".join(config.test) or "none",
        "reference energies": str(data.references),
        "unit of the output": f"{data.scale:.4g} eV",
        "seed": str(config.seed),
        "precision": config.training.dtype,
        "time": f"{seconds / 60:.1f} min",
        "gnnpot": __version__,
    }


def _check_same_config(config: RunConfig, output: Path) -> None:
    """Refuse to resume a run as another one.

    Raises:
        ConfigError: Naming what differs.
    """
    path = output / "config.yaml"
    if not path.exists():
        return
    old, new = yaml.safe_load(path.read_text()), config.model_dump(mode="json")
    for values in (old, new):
        for name in _FREE_TO_CHANGE:
            values["training"].pop(name, None)
    different = sorted(_leaves(old).items() ^ _leaves(new).items())
    if different:
        names = sorted({name for name, _ in different})
        raise ConfigError(
            f"expected the configuration of the run in {output}, got other values of {', '.join(names)}; "
            "resume with the same, or use another --output"
        )


def _leaves(values: Any, prefix: str = "") -> dict[str, str]:
    if isinstance(values, dict):
        parts = [
            _leaves(value, f"{prefix}.{name}" if prefix else str(name)) for name, value in values.items()
        ]
        return {name: leaf for part in parts for name, leaf in part.items()}
    return {prefix: repr(values)}


def _wait_for(path: Path, timeout: float = 3600.0) -> None:
    """Let other processes wait until the first has prepared the data."""
    deadline = time.monotonic() + timeout
    while not path.exists():
        if time.monotonic() > deadline or os.getppid() == 1:
            raise OutputError(f"expected {path} from the first process, got none; look at its output")
        time.sleep(0.2)
