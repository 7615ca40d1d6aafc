"""A training run from files to a report."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from gnnpot.data.structure_set import Structures
from gnnpot.evaluation.evaluation import BATCH_ATOMS, Evaluation, evaluate_graphs
from gnnpot.evaluation.report import write_report
from gnnpot.potential.folder import MODEL_FILE as MODEL_FILE
from gnnpot.potential.header import read_header
from gnnpot.potential.last_layer import LastLayerUncertainty
from gnnpot.potential.model_file import add_provenance, load_potential, save_potential
from gnnpot.potential.potential import Potential
from gnnpot.system.devices import choose_device
from gnnpot.system.files import CONFIG, write_text
from gnnpot.system.run_folder import RunFolder
from gnnpot.training.budget import short_time, still_falling
from gnnpot.training.checkpoint import CHECKPOINT
from gnnpot.training.fit import Observer, RunSettings, check_trainable, fit
from gnnpot.training.from_data import fitted
from gnnpot.training.members import (
    Judged,
    MemberProcesses,
    judge_members,
    report_members,
    train_members,
)
from gnnpot.training.module import PotentialModule
from gnnpot.training.notes import notes
from gnnpot.training.preparation import PreparedData, initial_potential, prepare
from gnnpot.training.ranks import is_first_process, shared_folder
from gnnpot.training.refit import refit
from gnnpot.training.run_config import RunConfig
from gnnpot.training.run_graphs import RunGraphs, read_graphs
from gnnpot.training.run_report import run_report
from gnnpot.training.uncertainty import with_uncertainty

HISTORY_FILE = "history.json"


_IN_CONFIG = Structures()


def train(
    config: RunConfig,
    output: Path,
    *,
    structures: Structures = _IN_CONFIG,
    resume: bool = False,
    observer: Observer | None = None,
    jobs: int | MemberProcesses = 1,
) -> dict[str, Any]:
    """Check the data, train, evaluate the best model, and write the report.

    Each file is read once, and the neighbor list of each structure is built once, whether it comes from a
    file or from memory::

        train(config, Path("run"), structures=Structures(train=frames))

    ``config.yaml`` then says ``train: [memory:]``, and the graphs in the folder stand for the structures when
    the run is resumed without them.

    Args:
        config: Configuration of the run.
        output: Folder for everything that is written.
        structures: Structures in memory, in place of the files of the configuration.
        resume: Go on with the run in ``output``, if there is one.
        observer: Receives progress events.
        jobs: Number of members of a committee that are trained at a time, each in a process of its own, or
            the processes, which may have trained others before.

    Returns:
        Content of ``metrics.json``.

    Raises:
        GnnpotError: Bad data, configuration, output folder or device, or a loss that is not finite.
    """
    observer = observer or Observer()
    config = config.model_copy(update=structures.named())
    with shared_folder(folder_of(output), resume=resume) as folder:
        config, graphs = _read(config, folder, structures, observer)
        if config.members is None:
            return train_on(graphs, config, folder, observer=observer)
        judged = _committee(graphs, config, folder, observer=observer, jobs=jobs)
        report_members(config, folder.path, judged)
        return judged.metrics


def train_committee(
    config: RunConfig, output: Path, *, observer: Observer, jobs: int | MemberProcesses
) -> dict[str, Any]:
    """Train a committee as :func:`train` does, or go on with it, without its report.

    For loops that train many; :func:`report_committee` writes the report of one of them.
    """
    with shared_folder(folder_of(output), resume=True) as folder:
        config, graphs = _read(config, folder, _IN_CONFIG, observer)
        return _committee(graphs, config, folder, observer=observer, jobs=jobs).metrics


def report_committee(output: Path) -> None:
    """Write the report of the committee that was trained in ``output``."""
    config = RunConfig.from_yaml(output / CONFIG)
    graphs = read_graphs(config, output, cutoff=config.model.cutoff)
    report_members(config, output, judge_members(config, graphs, output))


def _read(
    config: RunConfig, folder: RunFolder, structures: Structures, observer: Observer
) -> tuple[RunConfig, RunGraphs]:
    """The configuration with all that is left to the data, and the graphs."""
    config = config.completed(folder)
    check_run(config, folder)
    observer.stage("reading and checking structures")
    graphs = read_graphs(
        config, folder.path, cutoff=config.model.cutoff, structures=structures, watch=observer.stage
    )
    config = fitted(config, graphs)
    observer.stage("building neighbor lists")
    return config, graphs.with_cutoff(config.model.cutoff)


def _committee(
    graphs: RunGraphs,
    config: RunConfig,
    folder: RunFolder,
    *,
    observer: Observer,
    jobs: int | MemberProcesses,
) -> Judged:
    record_config(config, folder)
    train_members(config, graphs, folder, observer=observer, jobs=jobs, train_one=train_member)
    return judge_members(config, graphs, folder.path)


def folder_of(output: Path) -> RunFolder:
    """The folder of a training."""
    return RunFolder(output, "training", files=(MODEL_FILE, CHECKPOINT))


def train_on(
    graphs: RunGraphs, config: RunConfig, folder: RunFolder, *, observer: Observer
) -> dict[str, Any]:
    """Train as :func:`train` does, on structures that were read.

    Args:
        graphs: Graphs of all structures, with edges up to the cutoff of the model.
        config: Configuration of the run.
        folder: Folder of the run, which this process holds.
        observer: Receives progress events.

    Returns:
        Content of ``metrics.json``.
    """
    data = prepare(config, graphs, folder.path)
    module = _fitted(config, data, folder, observer=observer)
    if not module.trainer.is_global_zero:
        return {}
    observer.stage("evaluating the best model")
    potential = load_potential(folder.path / MODEL_FILE)
    evaluations = evaluate_splits(with_uncertainty(potential, config.training, data, folder.path), data)
    metrics = metrics_of(evaluations, data.unseen_groups)
    observer.stage("writing the report")
    write_metrics(metrics, folder.path)
    write_text(folder.path / HISTORY_FILE, json.dumps(module.history) + "\n")
    report = run_report(config, data, evaluations, potential=potential, module=module)
    write_report(folder.path / "report.html", report)
    return metrics


def train_member(graphs: RunGraphs, config: RunConfig, folder: RunFolder, *, observer: Observer) -> None:
    """Train a member of a committee as :func:`train_on` does; the committee has the report."""
    data = prepare(config, graphs, folder.path)
    _fitted(config, data, folder, observer=observer)
    potential = load_potential(folder.path / MODEL_FILE)
    judged = with_uncertainty(potential, config.training, data, folder.path)
    write_metrics(metrics_of(evaluate_splits(judged, data)), folder.path)


def _fitted(
    config: RunConfig, data: PreparedData, folder: RunFolder, *, observer: Observer
) -> PotentialModule:
    """Begin a training in its folder, and go through all of it."""
    check_trainable(config.training, data.train, data.validation)
    record_config(config, folder)
    potential = initial_potential(config, data)
    for text in notes(config, data, potential):
        observer.note(text)
    return fit_and_keep(potential, config, data, output=folder.path, observer=observer)


def check_run(config: RunConfig, folder: RunFolder) -> None:
    """Check the configuration of a run that has begun, and the device.

    Raises:
        GnnpotError: A folder that holds another run, or a device that is not there.
    """
    if not is_first_process():
        return
    config.check_same(folder)
    choose_device(config.training.device)


def record_config(config: RunConfig, folder: RunFolder, inputs: Mapping[str, str] | None = None) -> None:
    """Note what the run is, which tells other processes that the data are ready."""
    if is_first_process():
        folder.begin(config.as_yaml(), inputs)


def fit_and_keep(
    potential: Potential, config: RunConfig, data: PreparedData, *, output: Path, observer: Observer
) -> PotentialModule:
    """Train ``potential`` and keep the best as the model file in ``output``."""
    keeper = _Keeper(config, data, output, observer)
    settings = RunSettings(output, config.seed_of("order"), keeper)
    module = fit(potential, data.train, data.validation, config=config.training, settings=settings)
    if said := still_falling(config.training, module.history):
        observer.note(said)
    if module.trainer.is_global_zero and config.training.refit is not None:
        _refit(output / MODEL_FILE, data, keeper, module.best)
    if module.trainer.is_global_zero and config.training.loss.kind == "force_matching":
        _set_energy_offset(output / MODEL_FILE, data, keeper, module.best)
    return module


def provenance(config: RunConfig, data: PreparedData, row: dict[str, float]) -> dict[str, Any]:
    """Provenance of a potential, for its file."""
    return {
        "config": config.model_dump(mode="json"),
        "reference_energies_source": data.references.source,
        "train_hash": data.train.content_hash(),
        "validation_hash": data.validation.content_hash(),
        "num_train": len(data.train),
        "num_validation": len(data.validation),
        "stress_offset": data.stress_offset.setting if data.stress_offset else config.keys.stress_offset,
        "metrics": row,
    }


class _Keeper(Observer):
    """Observer that writes the best model and forwards all events."""

    def __init__(self, config: RunConfig, data: PreparedData, output: Path, observer: Observer) -> None:
        self.config, self.data, self.output, self.observer = config, data, output, observer

    def stage(self, text: str) -> None:
        self.observer.stage(text)

    def step(self, progress: float, seconds: float) -> None:
        self.observer.step(progress, seconds)

    def epoch(self, row: dict[str, float], best: dict[str, float]) -> None:
        if row["epoch"] == 1 and (said := short_time(self.config.training, row["seconds"])):
            self.observer.note(said)
        self.observer.epoch(row, best)

    def better(self, potential: Potential, row: dict[str, float]) -> None:
        self.save(potential, row)
        self.observer.better(potential, row)

    def save(self, potential: Potential, row: dict[str, float]) -> None:
        """Write the model file."""
        save_potential(
            potential, self.output / MODEL_FILE, provenance=provenance(self.config, self.data, row)
        )


def _refit(path: Path, data: PreparedData, keeper: _Keeper, best: dict[str, float]) -> None:
    """Fit the last layer of the model file anew, unless that was done before."""
    config = keeper.config.training
    if config.refit is None or "refit_after" in read_header(path).provenance["metrics"]:
        return
    potential = load_potential(path)
    found = refit(potential, data.train, data.validation, loss=config.loss, config=config.refit)
    keeper.observer.note(f"last layer fitted anew: {found}")
    row = {"refit_ridge": found.ridge or 0.0, "refit_before": found.before, "refit_after": found.after}
    keeper.save(potential, {**best, **row})


def _set_energy_offset(path: Path, data: PreparedData, keeper: _Keeper, best: dict[str, float]) -> None:
    """Shift all reference energies by the mean error per atom over the training data."""
    potential = load_potential(path)
    total, atoms = 0.0, 0
    for graph in data.train.batches(BATCH_ATOMS):
        labeled = ~torch.isnan(graph.energy)
        with torch.no_grad():
            left = graph.energy - potential(graph).energy
        total += float(left[labeled].sum())
        atoms += int(graph.num_atoms[labeled].sum())
    if atoms:
        potential.reference_energies += total / atoms
        keeper.save(potential, {**best, "energy_offset": total / atoms})


def evaluate_splits(potential: Potential | LastLayerUncertainty, data: PreparedData) -> dict[str, Evaluation]:
    """Labels and predictions of all sets of a run; the last one is the headline."""
    sets = {"train": data.train, "validation": data.validation, "test": data.test}
    return {name: evaluate_graphs(potential, graphs) for name, graphs in sets.items() if graphs is not None}


def metrics_of(evaluations: dict[str, Evaluation], unseen_groups: Sequence[str] = ()) -> dict[str, Any]:
    """Content of ``metrics.json``: errors of the headline set, and of all sets.

    Args:
        evaluations: By name of the set; the last is the headline.
        unseen_groups: Groups of the test structures of which none is trained on.
    """
    headline = list(evaluations)[-1]
    splits = {name: evaluation.metrics() for name, evaluation in evaluations.items()}
    metrics: dict[str, Any] = {**splits[headline], "split": headline, "splits": splits}
    if unseen_groups:
        metrics["unseen_groups"] = list(unseen_groups)
        metrics["without_unseen_groups"] = evaluations[headline].metrics_without(unseen_groups)
    return metrics


def write_metrics(metrics: dict[str, Any], output: Path) -> None:
    """Write ``metrics.json``; the model file beside it tells the errors, too."""
    if (output / MODEL_FILE).exists():
        add_provenance(
            output / MODEL_FILE,
            {"errors": metrics["splits"], "date": datetime.now(UTC).isoformat(timespec="minutes")},
        )
    write_text(output / "metrics.json", json.dumps(metrics, indent=1) + "\n")
