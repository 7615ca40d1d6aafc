"""A transfer from files to a report: score the untuned start, train in stages, compare."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from gnnpot.calculator.calculator import GNNPotCalculator
from gnnpot.data.dataset import GraphDataset
from gnnpot.data.structure_set import Structures
from gnnpot.errors import ConfigError
from gnnpot.evaluation.evaluation import Evaluation
from gnnpot.evaluation.report import write_report
from gnnpot.evaluation.stability import Stability, stability, starting_structure
from gnnpot.potential.folder import MODEL_FILE
from gnnpot.potential.header import read_header
from gnnpot.potential.model_file import load_potential, save_potential
from gnnpot.potential.potential import Potential
from gnnpot.system.files import file_hash, make_folder, write_text
from gnnpot.system.run_folder import RunFolder
from gnnpot.training.checkpoint import CHECKPOINT
from gnnpot.training.fit import Observer, StepsOnly, check_trainable
from gnnpot.training.from_data import fitted
from gnnpot.training.module import PotentialModule
from gnnpot.training.notes import notes
from gnnpot.training.parameter_groups import GroupRow, group_rows
from gnnpot.training.preparation import (
    PreparedData,
    check_volumes,
    initial_potential,
    prepare,
)
from gnnpot.training.ranks import is_first_process, shared_folder
from gnnpot.training.run import (
    check_run,
    evaluate_splits,
    fit_and_keep,
    folder_of,
    metrics_of,
    record_config,
    train_on,
    write_metrics,
)
from gnnpot.training.run_config import RunConfig
from gnnpot.training.run_graphs import RunGraphs, read_graphs
from gnnpot.training.run_report import run_report
from gnnpot.training.uncertainty import with_uncertainty
from gnnpot.transferring.config import TransferConfig
from gnnpot.transferring.report import errors_in_words, gain, transfer_section, verdict
from gnnpot.transferring.start import TransferStart, find_start, first_cutoff, plain_run

START_FILE = "untuned.safetensors"
RESULT_FILE = "transfer.json"
_IN_CONFIG = Structures()


class Stage(NamedTuple):
    """One stage of a transfer."""

    config: RunConfig
    folder: Path
    rows: list[GroupRow]


@dataclass(frozen=True)
class Transfer:
    """A transfer with everything resolved, ready to train.

    Attributes:
        config: Configuration of the transfer.
        output: Folder of all results.
        start: How the source becomes the potential, or None if it starts from random weights.
        graphs: Graphs of all structures.
        data: Training, validation and test data.
        potential: Potential before any training.
        stages: The trainings.
    """

    config: TransferConfig
    output: Path
    start: TransferStart | None
    graphs: RunGraphs
    data: PreparedData
    potential: Potential
    stages: tuple[Stage, ...]


def transfer(
    config: TransferConfig,
    output: Path,
    *,
    structures: Structures = _IN_CONFIG,
    resume: bool = False,
    compare_scratch: bool = False,
    observer: Observer | None = None,
) -> dict[str, Any]:
    """Carry a potential to the target data, score it, train it in stages, score it again.

    Args:
        config: Configuration of the transfer.
        output: Folder for everything that is written.
        structures: Structures in memory, in place of the files of the configuration.
        resume: Go on with the transfer in ``output``, if there is one.
        compare_scratch: Whether to train the same model from scratch, too, for as many epochs.
        observer: Receives progress events.

    Returns:
        Content of ``transfer.json``.

    Raises:
        GnnpotError: Bad data, configuration, source, output folder or device, or a loss that is not
            finite.
    """
    observer = observer or Observer()
    observer.stage("reading and checking structures")
    if compare_scratch and config.source is None:
        raise ConfigError("expected a source to compare with training from scratch, got none; give --from")
    config = config.model_copy(update=structures.named())
    files = (MODEL_FILE, CHECKPOINT, START_FILE, RESULT_FILE)
    with shared_folder(RunFolder(output, "transfer", files=files), resume=resume) as folder:
        job = _begun(config, folder, structures)
        return _carried(job, observer, compare_scratch=compare_scratch)


def _begun(config: TransferConfig, folder: RunFolder, structures: Structures) -> Transfer:
    """Check that the folder, the data and the source fit, and note what the transfer is."""
    config = config.completed(folder)
    check_run(config, folder)
    inputs = {} if config.source is None else {"source": file_hash(Path(config.source))}
    folder.check_inputs(inputs)
    job = prepare_transfer(config, folder.path, structures)
    record_config(job.config, folder, inputs)
    return job


def _carried(job: Transfer, observer: Observer, *, compare_scratch: bool) -> dict[str, Any]:
    _tell(job, observer)
    baseline = _score_start(job, observer)
    module = _train_stages(job, observer)
    if not module.trainer.is_global_zero:
        return {}
    potential, evaluations = _keep_result(job)
    result = {**_said(job), "baseline": baseline, "transferred": metrics_of(evaluations), "scratch": None}
    if compare_scratch:
        result["scratch"] = _train_scratch(job, observer)
        result["stability"] = _dynamics(job)
    result["gain"], result["verdict"] = gain(result), verdict(result)
    _write(job, potential, evaluations, module=module, result=result)
    return result


def prepare_transfer(config: TransferConfig, output: Path, structures: Structures = _IN_CONFIG) -> Transfer:
    """Resolve map, scales, groups and data before anything is trained.

    Raises:
        GnnpotError: Something does not fit.
    """
    graphs = read_graphs(config, output, cutoff=first_cutoff(config), structures=structures)
    config = fitted(config, graphs)
    start = None if config.source is None else find_start(config, graphs.train.store)
    run = plain_run(config) if start is None else start.run(config)
    graphs = graphs.with_cutoff(run.model.cutoff)
    data = prepare(run, graphs, output)
    if start is None:
        potential = initial_potential(run, data)
    else:
        potential, data = start.potential(run, data)
    model = potential.model
    run = run.model_copy(update={"model": model.config})
    origins, stages = group_origins(potential, start), []
    for number, training in enumerate(config.trainings, start=1):
        folder = output / f"stage-{number}" if config.stages else output
        rows = group_rows(model, training, origins)
        stages.append(Stage(run.model_copy(update={"training": training}), folder, rows))
        origins = dict.fromkeys(origins, f"stage {number}")
        check_volumes(training, data.train, data.validation)
        check_trainable(training, data.train, data.validation)
    return Transfer(config, output, start, graphs, data, potential, tuple(stages))


def group_origins(potential: Potential, start: TransferStart | None) -> dict[str, str]:
    """Origin of the initial values of each group of parameters, in words."""
    groups = potential.model.parameter_groups()
    if start is None:
        return dict.fromkeys(groups, "random")
    patterns = [name.partition("*") for name in potential.model.element_axes()]

    def depends(name: str) -> bool:
        return any(name.startswith(head) and name.endswith(tail) for head, _, tail in patterns)

    return {
        group: f"source, {start.elements}" if any(map(depends, names)) else "source"
        for group, names in groups.items()
    }


def _tell(job: Transfer, observer: Observer) -> None:
    for text in notes(job.stages[-1].config, job.data, job.potential):
        observer.note(text)
    if job.start is None:
        return
    for text in job.start.elements.notes:
        observer.note(text)
    for step in job.start.steps:
        observer.note(f"{step.name} {step.choice}: {errors_in_words(step.metrics)} on fit structures")


def _score_start(job: Transfer, observer: Observer) -> dict[str, Any] | None:
    """Evaluate and keep the untuned potential; random weights are not evaluated."""
    if job.start is None or not is_first_process():
        return None
    said = _said(job)
    provenance = {"transfer": said, "reference_energies_source": job.data.references.source}
    save_potential(job.potential, job.output / START_FILE, provenance=provenance)
    untuned = load_potential(job.output / START_FILE)
    baseline = metrics_of(evaluate_splits(untuned, job.data))
    observer.note(f"before training: {errors_in_words(baseline)} on the {baseline['split']} structures")
    return baseline


def _train_stages(job: Transfer, observer: Observer) -> PotentialModule:
    """Train all stages; stages that are finished are not trained again."""
    potential = job.potential
    for number, stage in enumerate(job.stages, start=1):
        is_last = stage is job.stages[-1]
        if is_last or not (stage.folder / "metrics.json").exists():
            if is_first_process():
                make_folder(stage.folder)
            observer.note(f"stage {number} of {len(job.stages)}")
            observer.groups(stage.rows)
            module = fit_and_keep(potential, stage.config, job.data, output=stage.folder, observer=observer)
            if not is_last and is_first_process():
                _close_stage(stage, job, module)
        if not is_last:
            potential = load_potential(stage.folder / MODEL_FILE)
    return module


def _close_stage(stage: Stage, job: Transfer, module: PotentialModule) -> None:
    """Complete the folder of a stage like that of a training; its metrics are written last."""
    potential = load_potential(stage.folder / MODEL_FILE)
    evaluations = evaluate_splits(potential, job.data)
    report = run_report(stage.config, job.data, evaluations, potential=potential, module=module)
    write_report(stage.folder / "report.html", report)
    RunFolder(stage.folder).begin(stage.config.as_yaml())
    write_metrics(metrics_of(evaluations), stage.folder)


def _keep_result(job: Transfer) -> tuple[Potential, dict[str, Evaluation]]:
    """Write the model of the last stage as the result, with its provenance."""
    stage = job.stages[-1]
    path = stage.folder / MODEL_FILE
    provenance = {**read_header(path).provenance, "transfer": _said(job)}
    save_potential(load_potential(path), job.output / MODEL_FILE, provenance=provenance)
    potential = load_potential(job.output / MODEL_FILE)
    judged = with_uncertainty(potential, stage.config.training, job.data, job.output)
    return potential, evaluate_splits(judged, job.data)


def _train_scratch(job: Transfer, observer: Observer) -> dict[str, Any]:
    """Train the same model from random weights on the same data for as many epochs, and return its errors."""
    observer.note("the same model from scratch")
    run = job.stages[0].config
    config = plain_run(job.config, model=run.model, scale=None, training=job.config.scratch_training)
    with shared_folder(folder_of(job.output / "scratch"), resume=True) as folder:
        check_run(config, folder)
        return train_on(job.graphs, config, folder, observer=StepsOnly(observer))


def _dynamics(job: Transfer) -> dict[str, dict[str, Any]]:
    """Stability of dynamics before training, after it, and from scratch."""
    config, settings = job.stages[0].config, job.config.dynamics
    start = starting_structure(_judged(job.data).frames())
    files = {"baseline": START_FILE, "transferred": MODEL_FILE, "scratch": f"scratch/{MODEL_FILE}"}
    runs: dict[str, Stability] = {
        name: stability(
            GNNPotCalculator(job.output / file, device=config.training.device),
            start.atoms,
            temperature=settings.temperature,
            steps=settings.steps,
            timestep=settings.timestep or start.timestep,
        )
        for name, file in files.items()
    }
    return {name: {**run._asdict(), "stable": run.is_stable} for name, run in runs.items()}


def _judged(data: PreparedData) -> GraphDataset:
    """The structures of the headline, without isolated atoms."""
    if data.test is None:
        return data.validation
    store = data.test.store
    rows = [row for row in data.test.rows if not store.isolated[row]]
    return GraphDataset(store, rows, dtype=data.test.dtype)


def _said(job: Transfer) -> dict[str, Any]:
    """Description of the transfer, as plain JSON."""
    start, stages = job.start, [[row._asdict() for row in stage.rows] for stage in job.stages]
    said: dict[str, Any] = {
        "source": job.config.source,
        "num_train": len(job.data.train),
        "groups": stages,
    }
    if start is None:
        return said
    return {
        **said,
        "source_hash": file_hash(Path(str(job.config.source))),
        "map": start.elements.words,
        "notes": list(start.elements.notes),
        "lattice_scale": start.length_scale,
        "energy_scale": start.energy_scale,
        "reference_energies": job.data.references.values,
        "steps": [step._asdict() for step in start.steps],
    }


def _write(
    job: Transfer,
    potential: Potential,
    evaluations: dict[str, Evaluation],
    *,
    module: PotentialModule,
    result: dict[str, Any],
) -> None:
    """Write ``metrics.json``, ``transfer.json`` and ``report.html``."""
    write_metrics(result["transferred"], job.output)
    write_text(job.output / RESULT_FILE, json.dumps(result, indent=1) + "\n")
    config = job.stages[-1].config
    report = run_report(config, job.data, evaluations, potential=potential, module=module)
    source = {"started from": str(job.config.source or "random weights")}
    report = replace(
        report,
        facts={**source, **(report.facts or {})},
        sections=[transfer_section(result)],
        verdict=[text for text in (result["gain"], *result["verdict"]) if text],
    )
    write_report(job.output / "report.html", report)
