"""Comparison of models on nested subsets of one data set, under one time budget."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from gnnpot.benchmark.models.config import Candidate, ComparisonConfig, candidates, fitting_loss
from gnnpot.benchmark.models.dynamics import StartingStructure, measured, starting_structure
from gnnpot.benchmark.models.report import write_comparison
from gnnpot.benchmark.study import StudyObserver, run_study
from gnnpot.benchmark.subsets import StructurePool, check_parts, nested_order, parts, read_pool, write_frames
from gnnpot.benchmark.trials import PROPERTIES, Comparison, Measurement, Point, Trial
from gnnpot.calculator.calculator import GNNPotCalculator
from gnnpot.data.files import data_paths
from gnnpot.errors import DataError, TrainingError
from gnnpot.potential.folder import MODEL_FILE
from gnnpot.potential.header import read_header
from gnnpot.potential.model_file import load_potential
from gnnpot.properties.judgment import judged
from gnnpot.properties.targets import TargetsConfig
from gnnpot.system.devices import choose_device
from gnnpot.system.files import write_text
from gnnpot.training.checkpoint import CHECKPOINT
from gnnpot.training.fit import StepsOnly
from gnnpot.training.run import folder_of, train
from gnnpot.training.run_config import RunConfig
from gnnpot.units import ERROR_UNITS
from gnnpot.version import __version__

_FAILED, _DEVIATION = "failure.txt", "deviation.json"
_FEW_EPOCHS = 50  # fewer end before the errors have settled


class ComparisonPlan(NamedTuple):
    """One planned training: a model, a size and a seed."""

    model: str
    size: int
    seed: int
    folder: Path
    run: RunConfig

    def __str__(self) -> str:
        return f"training {self.model} on {self.size} frames, seed {self.seed}"

    @property
    def has_failed(self) -> bool:
        """Whether it was tried and there is no model."""
        return (self.folder / _FAILED).exists()


def compare(
    config: ComparisonConfig,
    output: Path,
    *,
    resume: bool = False,
    observer: StudyObserver | None = None,
) -> Comparison:
    """Train every model on every size with every seed, measure speed and conservation, write the report.

    Subsets are nested: the frames of one size are among those of the next.  One frame in ten is used for
    validation.  All input is checked before the first training.  With ``resume``, finished trainings are
    kept and failed ones are tried again.

    Args:
        config: Which models to compare on which data.
        output: Folder for ``config.yaml``, ``metrics.json``, ``report.html``, data and trainings.
        resume: Go on with the comparison in ``output``, if there is one.
        observer: Receives progress events.

    Raises:
        GnnpotError: Bad data, models, sizes, output folder or device, or no training succeeded.
    """
    observer = observer or StudyObserver()
    return run_study(ModelComparison(config, observer), output, resume=resume, observer=observer)


class ModelComparison:
    """The steps of a comparison of models.

    Args:
        config: Which models to compare on which data.
        observer: Receives progress events.
    """

    noun = "comparison"

    def __init__(self, config: ComparisonConfig, observer: StudyObserver) -> None:
        self.config = config
        self.observer = observer

    def inputs(self) -> dict[str, str]:
        """No models."""
        return {}

    def prepare(self, output: Path) -> list[ComparisonPlan]:
        """Write the data, and list all trainings; those that have begun are as they began."""
        config = self.config
        choose_device(config.device)
        self.pool = pool = read_pool(config.data, config.test, config.keys)
        chosen = candidates(config.models)
        check_parts(pool, config.sizes, config.seeds)
        plans = planned(config, {one.name: run_template(one, config, pool) for one in chosen}, output)
        for plan in plans:
            if not plan.has_failed:
                plan.run.check_same(folder_of(plan.folder))
        write_data(pool, config, output / "data")
        for warning in pool.warnings:
            self.observer.note(f"warning: {warning}")
        return plans

    def train(self, plan: ComparisonPlan) -> None:
        """Train one model; a failure is recorded and does not stop the others."""
        if plan.has_failed:
            shutil.rmtree(plan.folder)
        try:
            train(plan.run, plan.folder, resume=True, observer=StepsOnly(self.observer))
        except (DataError, TrainingError) as error:
            write_text(plan.folder / _FAILED, f"{error}\n")
            self.observer.note(f"{plan} failed: {error}")

    def collect(self, plans: Sequence[ComparisonPlan]) -> Comparison:
        """Gather all results, and run dynamics with the first seed of each model's largest size."""
        return collect(self.config, self.pool, plans, self.observer)

    def write_report(self, path: Path, found: Comparison) -> None:
        """Write the page."""
        write_comparison(path, found)


def planned(
    config: ComparisonConfig, templates: Mapping[str, RunConfig], output: Path
) -> list[ComparisonPlan]:
    """List all trainings, smallest size first, so that all models can be compared early."""
    plans = []
    for size in config.sizes:
        for seed in range(config.seeds):
            files = output / "data" / f"seed-{seed}"
            changes = {
                "train": (str(files / f"{size}-train.traj"),),
                "validation": (str(files / f"{size}-validation.traj"),),
                "test": (str(output / "data" / "test.traj"),),
                "seed": seed,
            }
            for model, template in templates.items():
                folder = output / "trainings" / f"{model}-{size}-{seed}"
                plans.append(ComparisonPlan(model, size, seed, folder, template.model_copy(update=changes)))
    return plans


def run_template(candidate: Candidate, config: ComparisonConfig, pool: StructurePool) -> RunConfig:
    """Training configuration of a candidate, with the common budget and the labels of the data.

    Raises:
        ConfigError: Its loss needs labels that are not.
    """
    given = candidate.template
    chosen = given.training.select_by
    training = given.training.model_copy(
        update={
            "select_by": chosen
            if chosen in pool.labels or given.training.selects_by_properties
            else "weighted",
            "loss": fitting_loss(given.training.loss, pool.labels, candidate.name),
            "max_time": config.time,
            "max_epochs": config.max_epochs,
            "device": config.device,
        }
    )
    return given.model_copy(update={"training": training, "keys": type(given.keys)()})


def write_data(pool: StructurePool, config: ComparisonConfig, folder: Path) -> None:
    """Write the test set and all subsets; isolated atoms are added to each training file.

    Raises:
        DataError: The folder holds other data.
        OutputError: The folder cannot be written to.
    """
    write_frames(pool.test, folder / "test.traj")
    for seed in range(config.seeds):
        order = nested_order(pool.frames, seed)
        for size in config.sizes:
            training, validation = ([pool.frames[i] for i in part] for part in parts(order, size))
            files = folder / f"seed-{seed}"
            write_frames([*training, *pool.isolated], files / f"{size}-train.traj")
            write_frames(validation, files / f"{size}-validation.traj")


def collect(
    config: ComparisonConfig,
    pool: StructurePool,
    plans: Sequence[ComparisonPlan],
    observer: StudyObserver,
) -> Comparison:
    """Gather all results, and run dynamics with the first seed of each model's largest size."""
    trials = [_trial(plan, config.properties) for plan in plans]
    if all(trial.failure for trial in trials):
        raise TrainingError(trials[0].failure)
    largest: dict[str, ComparisonPlan] = {}
    for plan in plans:
        if plan.size == config.sizes[-1] and not plan.has_failed:
            largest.setdefault(plan.model, plan)
    start, measurements = starting_structure(pool.test), []
    for number, plan in enumerate(largest.values(), start=1):
        observer.begin(f"dynamics of {plan.model}", number, len(largest))
        measurements.append(_measurement(plan, start, config, _elements(pool)))
    return Comparison(
        title=f"Which model for {', '.join(path.name for path in data_paths(config.data))}?",
        trials=trials,
        measurements=measurements,
        facts=_facts(config, pool, start),
        warnings=[*pool.warnings, *warnings_of(trials, measurements)],
    )


def warnings_of(trials: Sequence[Trial], measurements: Sequence[Measurement]) -> list[str]:
    """Warnings: trainings that failed, and errors that are limited by the time budget."""
    failed = [
        f"{trial.model} on {trial.size} frames, seed {trial.seed}: {trial.failure}"
        for trial in trials
        if trial.failure
    ]
    if failed:
        failed.append(f"{len(failed)} of {len(trials)} trainings failed; errors are means over the others")
    unjudged = [
        f"{trial.model} on {trial.size} frames, seed {trial.seed}: properties could not all be computed"
        for trial in trials
        if not trial.failure and trial.errors.get(PROPERTIES, {}) is None
    ]
    flown = [f"dynamics of {one.model}: {one.failure}" for one in measurements if one.failure]
    short = sorted(
        {(trial.size, trial.model) for trial in trials if not trial.failure and trial.epochs < _FEW_EPOCHS}
    )
    if not short:
        return [*failed, *unjudged, *flown]
    named = ", ".join(f"{model} on {size} frames" for size, model in short)
    told = f"fewer than {_FEW_EPOCHS} epochs fitted into the time: {named}; more would lower these errors"
    return [*failed, *unjudged, *flown, told]


def _trial(plan: ComparisonPlan, targets: TargetsConfig | None) -> Trial:
    if plan.has_failed:
        failure = (plan.folder / _FAILED).read_text().strip()
        return Trial(plan.model, plan.size, plan.seed, errors={}, failure=failure)
    metrics = json.loads((plan.folder / "metrics.json").read_text())["splits"]["test"]
    history = _history(plan.folder)
    return Trial(
        plan.model,
        plan.size,
        plan.seed,
        errors={
            **{name: metrics[name] for name in ERROR_UNITS},
            **({} if targets is None else {PROPERTIES: _deviation(plan.folder, targets)}),
        },
        seconds=history[-1]["seconds"],
        epochs=int(history[-1]["epoch"]),
        history=kept_so_far(history, plan.run.training.score),
    )


def _deviation(folder: Path, targets: TargetsConfig) -> dict[str, float] | None:
    """How far the properties of the model in ``folder`` are from their values, computed once."""
    path = folder / _DEVIATION
    if not path.exists():
        found = judged(GNNPotCalculator(folder / MODEL_FILE, default_dtype="float64"), targets)
        known = {"deviation": found.deviation} if math.isfinite(found.deviation) else {}
        told = {**known, "parts": dict(found.parts), "failures": dict(found.failures)}
        write_text(path, json.dumps(told, indent=1) + "\n")
    percent = json.loads(path.read_text()).get("deviation")
    return None if percent is None else {"mae": percent, "rmse": percent}


def _history(folder: Path) -> list[dict[str, float]]:
    """One row for each epoch of a finished training, or the best one alone if no checkpoint is left."""
    path = folder / CHECKPOINT
    if not path.exists():
        return [read_header(folder / MODEL_FILE).provenance["metrics"]]
    return torch.load(path, weights_only=True, map_location="cpu")["gnnpot"]["history"]


def kept_so_far(
    history: Sequence[dict[str, float]], score: Callable[[dict[str, float]], tuple[float, float]]
) -> list[Point]:
    """Validation errors at each new minimum of ``score``, and once more at the end."""
    points: list[Point] = []
    least = (math.inf, math.inf)
    for row in history:
        if score(row) < least:
            least = score(row)
            names = ("validation_energy_rmse", "validation_forces_rmse")
            points.append(Point(row["seconds"], *(row.get(name, math.nan) for name in names)))
    if points:
        points.append(points[-1]._replace(seconds=history[-1]["seconds"]))
    return points


def _measurement(
    plan: ComparisonPlan, start: StartingStructure, config: ComparisonConfig, elements: Sequence[str]
) -> Measurement:
    path = plan.folder / MODEL_FILE
    model = load_potential(path).model
    found = measured(path, start, config=config, elements=elements)
    return Measurement(plan.model, model.config.kind, model.num_parameters, model.cutoff, **found._asdict())


def _elements(pool: StructurePool) -> list[str]:
    return sorted({symbol for atoms in (*pool.frames, *pool.test) for symbol in atoms.symbols})


def _facts(config: ComparisonConfig, pool: StructurePool, start: StartingStructure) -> dict[str, str]:
    held_out = config.test if isinstance(config.test, tuple) else ("held out of the data",)
    return {
        "data": f"{', '.join(config.data)}: {len(pool.frames)} different frames to take parts of",
        "test": f"{', '.join(held_out)}: {len(pool.test)} frames",
        "elements": ", ".join(_elements(pool)),
        "trained on": ", ".join(pool.labels),
        "parts": f"{', '.join(map(str, config.sizes))} frames, each part in the next; one frame of ten picks "
        "the model",
        "seeds": str(config.seeds),
        "time": f"{config.time.total_seconds() / 60:g} min each, at most {config.max_epochs} epochs",
        "dynamics": f"{start}, {config.steps} steps of {start.timestep:g} fs from {config.temperature:g} K",
        "device": f"{choose_device(config.device)}, threads: {torch.get_num_threads()}",
        "gnnpot": __version__,
    }
