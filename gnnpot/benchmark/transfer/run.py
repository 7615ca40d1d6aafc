"""Study of data efficiency: transfer against training from scratch on subsets of growing size."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gnnpot.benchmark.study import StudyObserver, run_study
from gnnpot.benchmark.subsets import StructurePool, read_pool, write_frames
from gnnpot.benchmark.transfer.config import EfficiencyConfig
from gnnpot.benchmark.transfer.report import Efficiency, Outcome, write_efficiency
from gnnpot.data.files import data_paths
from gnnpot.data.split import SplitConfig
from gnnpot.errors import DataError
from gnnpot.potential.folder import MODEL_FILE
from gnnpot.potential.header import read_header
from gnnpot.system.files import file_hash
from gnnpot.training.config import TrainingConfig
from gnnpot.training.fit import StepsOnly
from gnnpot.training.run import train
from gnnpot.transferring.config import TransferConfig
from gnnpot.transferring.run import RESULT_FILE, transfer
from gnnpot.transferring.start import plain_run
from gnnpot.units import ERROR_UNITS
from gnnpot.version import __version__

_SIDES = ("transfer", "scratch")


class EfficiencyPlan(NamedTuple):
    """One planned training: side, size, split and learning rate."""

    side: str
    size: int
    split: int
    rate: float
    folder: Path

    def __str__(self) -> str:
        words = {"scratch": "from scratch", "transfer": "transfer"}[self.side]
        return f"{words} on {self.size} structures, split {self.split}, rate {self.rate:g}"


def study(
    config: EfficiencyConfig,
    output: Path,
    *,
    resume: bool = False,
    observer: StudyObserver | None = None,
) -> Efficiency:
    """Train from the source and from scratch on subsets of the pool, and compare on the same test set.

    Subsets of one split are nested.  With ``resume``, finished trainings are kept.

    Args:
        config: Which transfer to study, at which sizes of the training set.
        output: Folder for ``config.yaml``, ``metrics.json``, ``report.html``, data and trainings.
        resume: Go on with the study in ``output``, if there is one.
        observer: Receives progress events.

    Raises:
        GnnpotError: Bad data, source, sizes, output folder or device, or a loss that is not finite.
    """
    observer = observer or StudyObserver()
    return run_study(EfficiencyStudy(config, observer), output, resume=resume, observer=observer)


class EfficiencyStudy:
    """The steps of a study of data efficiency.

    Args:
        config: Which transfer to study, at which sizes of the training set.
        observer: Receives progress events.
    """

    noun = "study"

    def __init__(self, config: EfficiencyConfig, observer: StudyObserver) -> None:
        self.config = config
        self.observer = observer

    def inputs(self) -> dict[str, str]:
        """The hash of the potential to start from."""
        return {"source": file_hash(Path(str(self.config.transfer.source)))}

    def prepare(self, output: Path) -> list[EfficiencyPlan]:
        """Write the data, and list all trainings."""
        self.pool, self.data = pool_of(self.config), output / "data"
        write_parts(self.pool, self.config, self.data)
        return planned(self.config, output / "trainings")

    def train(self, plan: EfficiencyPlan) -> None:
        """Run one training of one side."""
        files, given, quiet = (
            self.data / f"split-{plan.split}",
            self.config.transfer,
            StepsOnly(self.observer),
        )
        changes: dict[str, Any] = {
            "train": (str(files / f"{plan.size}.traj"),),
            "validation": (str(files / "validation.traj"),),
            "test": (str(self.data / "test.traj"),),
            "keys": type(given.keys)(),
            "seed": plan.split,
        }
        training = self.config.training(_given(plan, self.config), plan.size, plan.rate)
        if plan.side == "transfer":
            run = given.model_copy(update={**changes, "training": training, "stages": ()})
            transfer(run, plan.folder, resume=True, observer=quiet)
        else:
            train(plain_run(given, training=training, **changes), plan.folder, resume=True, observer=quiet)

    def collect(self, plans: Sequence[EfficiencyPlan]) -> Efficiency:
        """Gather the results; for each side, the learning rate with the smallest validation error counts."""
        return collect(self.config, self.pool, plans)

    def write_report(self, path: Path, found: Efficiency) -> None:
        """Write the page."""
        write_efficiency(path, found)


def pool_of(config: EfficiencyConfig) -> StructurePool:
    """Read the pool of structures and the test set.

    Raises:
        DataError: The pool is smaller than the largest size plus validation.
    """
    transfer = config.transfer
    test = transfer.test or SplitConfig(frames=config.held_out)
    pool = read_pool(transfer.train, test, transfer.keys, exclude=config.exclude)
    needed = max(config.sizes) + config.validation
    if needed > len(pool.frames):
        raise DataError(
            f"expected at least {needed} structures, the largest size and {config.validation} for "
            f"validation, got {len(pool.frames)}; lower sizes or validation"
        )
    return pool


def order_of(pool: StructurePool, split: int) -> list[int]:
    """A random order: subsets are its first members, validation its last ones."""
    return np.random.default_rng(split).permutation(len(pool.frames)).tolist()


def write_parts(pool: StructurePool, config: EfficiencyConfig, folder: Path) -> None:
    """Write the test set, and for each split the validation set and all subsets with the isolated atoms.

    Raises:
        DataError: The folder holds other data.
        OutputError: The folder cannot be written to.
    """
    write_frames(pool.test, folder / "test.traj")
    for split in range(config.splits):
        order = order_of(pool, split)
        files = folder / f"split-{split}"
        chosen = [pool.frames[index] for index in order[-config.validation :]]
        write_frames(chosen, files / "validation.traj")
        for size in config.sizes:
            part = [pool.frames[index] for index in order[:size]]
            write_frames([*part, *pool.isolated], files / f"{size}.traj")


def planned(config: EfficiencyConfig, folder: Path) -> list[EfficiencyPlan]:
    """List all trainings, smallest size first."""
    rates = {"transfer": config.rates, "scratch": config.scratch_rates}
    return [
        EfficiencyPlan(side, size, split, rate, folder / f"{side}-{size}-{split}-{rate:g}")
        for size in sorted(config.sizes)
        for split in range(config.splits)
        for side in _SIDES
        for rate in rates[side]
    ]


def _given(plan: EfficiencyPlan, config: EfficiencyConfig) -> TrainingConfig:
    """Training configuration of one side as the user wrote it."""
    return config.transfer.trainings[0] if plan.side == "transfer" else config.transfer.scratch_training


def collect(config: EfficiencyConfig, pool: StructurePool, plans: Sequence[EfficiencyPlan]) -> Efficiency:
    """Gather all results; for each side the learning rate with the smallest validation error counts."""
    outcomes = []
    for size in sorted(config.sizes):
        for split in range(config.splits):
            for side in _SIDES:
                ones = [plan for plan in plans if plan[:3] == (side, size, split)]
                best = min(ones, key=lambda plan: score_of(plan, config))
                outcomes.append(Outcome(side, size, split, _mae(best.folder / "metrics.json"), best.rate))
            untuned = json.loads((_first(plans, size, split).folder / RESULT_FILE).read_text())["baseline"]
            outcomes.append(Outcome("untuned", size, split, _of_test(untuned), None))
    source = Path(str(config.transfer.source)).name
    return Efficiency(
        title=f"What {source} is worth to {', '.join(p.name for p in data_paths(config.transfer.train))}",
        outcomes=outcomes,
        facts=_facts(config, pool),
        warnings=pool.warnings,
    )


def _first(plans: Sequence[EfficiencyPlan], size: int, split: int) -> EfficiencyPlan:
    """A transfer of this part: all start alike."""
    return next(plan for plan in plans if plan[:3] == ("transfer", size, split))


def score_of(plan: EfficiencyPlan, config: EfficiencyConfig) -> tuple[float, float]:
    """Validation error, by the selection criterion of the training, of the model that was kept."""
    return _given(plan, config).score(read_header(plan.folder / MODEL_FILE).provenance["metrics"])


def _mae(path: Path) -> dict[str, float | None]:
    return _of_test(json.loads(path.read_text()))


def _of_test(metrics: dict[str, Any]) -> dict[str, float | None]:
    test = metrics["splits"]["test"]
    return {name: None if test[name] is None else test[name]["mae"] for name in ERROR_UNITS}


def _facts(config: EfficiencyConfig, pool: StructurePool) -> dict[str, str]:
    transfer: TransferConfig = config.transfer
    return {
        "source": str(transfer.source),
        "element map": ", ".join(f"{to}={origin}" for to, origin in transfer.map.items()) or "by default",
        "scales": f"lattice {transfer.lattice_scale or 1}, energy {transfer.energy_scale or 1}",
        "pool": f"{', '.join(map(str, transfer.train))}: {len(pool.frames)} structures"
        + (f" without {', '.join(config.exclude)}" if config.exclude else ""),
        "validation": f"{config.validation} structures beside the sizes",
        "test": f"{len(pool.test)} structures",
        "splits": str(config.splits),
        "each training": f"at least {config.steps:,} steps and {config.epochs} passes over its structures",
        "learning rates": f"transfer {', '.join(map(str, config.rates))}; from scratch "
        f"{', '.join(map(str, config.scratch_rates))}",
        "gnnpot": __version__,
    }
