"""Train a potential: the only place that builds a Lightning trainer."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from torch.utils.data import DataLoader

from gnnpot.data.dataset import GraphDataset
from gnnpot.errors import DataError, TrainingError, one_line
from gnnpot.graph.graph import AtomicGraph, collate
from gnnpot.potential.potential import Potential
from gnnpot.system.devices import choose_device
from gnnpot.system.memory import objects_settled
from gnnpot.system.processes import end_with_parent
from gnnpot.system.signals import held_signals
from gnnpot.training.batches import EpochBatches
from gnnpot.training.checkpoint import (
    CHECKPOINT,
    UNREADABLE,
    CheckpointFile,
    check_checkpoint,
    identity_of,
    no_checkpoint,
    read_checkpoint,
)
from gnnpot.training.config import SELECTIONS, TrainingConfig
from gnnpot.training.judging import add_deviation
from gnnpot.training.low_rank import merged
from gnnpot.training.module import PotentialModule
from gnnpot.training.parameter_groups import GroupRow
from gnnpot.training.warm_up import warm_up


class Observer:
    """Callback interface for training progress; the default ignores all events."""

    def note(self, text: str) -> None:
        """Receive a remark before the training starts."""

    def stage(self, text: str) -> None:
        """Receive what is being done, e.g. "compiling loops" or "epoch 3, 35 %"."""

    def groups(self, rows: Sequence[GroupRow]) -> None:
        """Receive the parameter groups before a stage of a transfer."""

    def step(self, progress: float, seconds: float) -> None:
        """Receive the spent fraction of the budget and the elapsed time after each step."""

    def epoch(self, row: dict[str, float], best: dict[str, float]) -> None:
        """Receive the history row of an epoch, and the best row so far."""

    def better(self, potential: Potential, row: dict[str, float]) -> None:
        """Receive the best potential so far, before its checkpoint is written."""


class StepsOnly(Observer):
    """Observer that forwards progress but not remarks on the data, which were shown before.

    Args:
        observer: Observer that hears of steps only.
    """

    def __init__(self, observer: Observer) -> None:
        self.observer = observer

    def step(self, progress: float, seconds: float) -> None:
        """Forward the event."""
        self.observer.step(progress, seconds)

    def epoch(self, row: dict[str, float], best: dict[str, float]) -> None:
        """Forward the event."""
        self.observer.epoch(row, best)


class RunSettings(NamedTuple):
    """Output folder, seed and observer of a run."""

    output: Path
    seed: int = 0
    observer: Observer = Observer()


def fit(
    potential: Potential,
    train: GraphDataset,
    validation: GraphDataset,
    *,
    config: TrainingConfig,
    settings: RunSettings,
) -> PotentialModule:
    """Train ``potential`` in place, going on from ``last.ckpt`` in the output folder where it is.

    A run that was killed at any moment, started again with the same arguments, ends with the same
    weights, unless the time runs out first, by which its schedule then goes: batches depend on seed and
    epoch alone, and all state is saved after each epoch.

    Args:
        potential: Potential to train; it ends with the weights of the last epoch.
        train: Labeled graphs.
        validation: Labeled graphs that pick the best model and drive plateaus.
        config: How.
        settings: Folder of the checkpoint and the TensorBoard events; seed; observer.

    Returns:
        The module, with the history of the run.

    Raises:
        DataError: A structure lacks a label that the loss needs.
        ConfigError: More epochs are trained already than ``config`` asks for.
        DeviceError: The device is not there.
        OutputError: The checkpoint in the folder belongs to another training.
        TrainingError: The loss is not finite, or the checkpoint is damaged.
    """
    check_trainable(config, train, validation)
    config = config.epochs_for(len(train))
    identity = identity_of(potential, train, validation, config=config, seed=settings.seed)
    module = PotentialModule(
        potential, loss=config.loss, config=config, name_frames=lambda graph: _names(graph, train)
    )
    module.identity = identity
    if (last := settings.output / CHECKPOINT).exists():
        check_checkpoint(last, identity, module.state_dict(), config)
    settings.observer.stage("compiling loops")
    with _quiet(), _passing_on_stops() as stops:
        trainer = _trainer(config, settings.output, [_Bookkeeping(settings.observer, last), stops])
        batches = _batches(trainer, len(train), config, settings)
        validated = EpochBatches(len(validation), config.batch_size, seed=None)
        if choose_device(config.device).type == "cpu":  # where loops are compiled
            first = (
                collate([data[place] for place in next(iter(places))])
                for data, places in ((train, batches), (validation, validated))
            )
            warm_up(potential, config.loss, *first)
        with objects_settled(), _restoring(module, last):
            trainer.fit(
                module,
                _loader(train, batches, config),
                _loader(validation, validated, config),
                ckpt_path=last if last.exists() else None,
                weights_only=True,
            )
    return module


def _batches(trainer: Trainer, size: int, config: TrainingConfig, settings: RunSettings) -> EpochBatches:
    """The training batches of this process, at the epoch that the run begins or goes on with.

    Raises:
        DataError: There are fewer structures than processes.
    """
    rank, processes = trainer.global_rank, trainer.world_size
    if size < processes:
        raise DataError(f"expected at least {processes} structures for as many processes, got {size}")
    seed, repeats = settings.seed, config.repeats
    batches = EpochBatches(
        size, config.batch_size, seed=seed, repeats=repeats, rank=rank, world_size=processes
    )
    if (last := settings.output / CHECKPOINT).exists():  # workers fetch before Lightning tells the epoch
        batches.set_epoch(len(read_checkpoint(last)["gnnpot"]["history"]))
    return batches


@contextmanager
def _restoring(module: PotentialModule, checkpoint: Path) -> Iterator[None]:
    """Tell what a checkpoint lacks in one line; what fails after the restart is raised as it is.

    Raises:
        TrainingError: The state of optimizers or loops does not fit.
    """
    is_there = checkpoint.exists()
    try:
        yield
    except UNREADABLE as error:
        if not is_there or module.has_started:
            raise
        raise no_checkpoint(checkpoint, f"{type(error).__name__}: {one_line(error)}") from error


def check_trainable(config: TrainingConfig, train: GraphDataset, validation: GraphDataset) -> None:
    """Check before training that all labels it needs are there.

    Raises:
        DataError: A label of the loss is missing, or all labels that pick the model.
    """
    for dataset in (train, validation):
        _check_labels(dataset, config)
    name = config.select_by
    if name in SELECTIONS[1:] and not validation.has(name):
        raise DataError(
            f"expected {name} labels on validation structures, as training.select_by picks the model by "
            f"{name}, got none; label some, or set training.select_by"
        )


def _check_labels(dataset: GraphDataset, config: TrainingConfig) -> None:
    """Check before training that every label with a weight is there.

    Raises:
        DataError: Naming the label and the first structures.
    """
    for label in config.loss.labels:
        lacking = dataset.lacking(label)
        if lacking:
            raise DataError(
                f"expected {label} labels, as training.loss weighs {label}, got none on {len(lacking)} of "
                f"{len(dataset)} structures, first {lacking[0]}; label them, name the key under keys, "
                f"set config_{label}_weight=0 on them or training.loss.{label}=0"
            )


class _Bookkeeping(Callback):
    """Callback that closes each epoch: history, best model, checkpoint, end of the run."""

    def __init__(self, observer: Observer, checkpoint: Path) -> None:
        self.observer = observer
        self.checkpoint = checkpoint

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, PotentialModule)
        epoch = pl_module.current_epoch + (batch_idx + 1) / trainer.num_training_batches
        if trainer.is_global_zero:
            self.observer.stage(f"epoch {int(pl_module.current_epoch) + 1}, {epoch % 1 or 1:.0%}")
            self.observer.step(pl_module.progress(epoch), pl_module.seconds)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, PotentialModule)
        module, config = pl_module, pl_module.config
        row = module.close_epoch()
        error = config.error(row)
        if not error == error:
            raise TrainingError(
                f"expected a finite validation error, got {error} after epoch {int(row['epoch'])}; "
                "lower the learning rate or clip gradients"
            )
        if config.judges_in(int(row["epoch"])):
            self.observer.stage(f"epoch {int(row['epoch'])}, computing properties")
            add_deviation(row, merged(module.chosen), config, tell=self.observer.note)
        if not module.best or config.score(row) < config.score(module.best):
            module.best = row
            if trainer.is_global_zero:
                self.observer.better(merged(module.chosen), row)
        trainer.save_checkpoint(self.checkpoint)
        if trainer.logger is not None:
            trainer.logger.log_metrics(
                {name.replace("_", "/", 1): value for name, value in row.items()}, step=int(row["epoch"])
            )
        if trainer.is_global_zero:
            self.observer.epoch(row, module.best)
        waited = row["epoch"] - module.best["epoch"]
        if config.early_stopping is not None and waited >= config.early_stopping:
            trainer.should_stop = True
        if config.stop_below is not None and row["learning_rate"] < config.stop_below and module.rates.warm:
            trainer.should_stop = True
        if config.max_time is not None and row["seconds"] >= config.max_time.total_seconds():
            trainer.should_stop = True


def _trainer(config: TrainingConfig, output: Path, callbacks: list[Callback]) -> Trainer:
    device = choose_device(config.device)
    several = config.devices * config.num_nodes > 1
    indices = [device.index] if device.index is not None and not several else config.devices
    return Trainer(
        accelerator="gpu" if device.type == "cuda" else "cpu",
        devices=indices,
        num_nodes=config.num_nodes,
        strategy="ddp" if several else "auto",
        max_epochs=config.max_epochs,
        logger=TensorBoardLogger(output, name=None, version="tensorboard"),
        callbacks=callbacks,
        plugins=[CheckpointFile()],
        use_distributed_sampler=False,
        inference_mode=False,
        num_sanity_val_steps=0,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1_000_000_000,
    )


def _follow_parent(worker: int) -> None:
    """Let a process that prepares batches end with the training."""
    end_with_parent()


def _loader(dataset: GraphDataset, batches: EpochBatches, config: TrainingConfig) -> DataLoader[AtomicGraph]:
    return DataLoader(
        dataset,
        batch_sampler=batches,
        collate_fn=collate,
        num_workers=config.num_workers,
        worker_init_fn=_follow_parent,
        persistent_workers=config.num_workers > 0,
    )


def _names(graph: AtomicGraph, dataset: GraphDataset) -> list[str]:
    return [dataset.store.origins[row] for row in graph.frame.tolist()]


@contextmanager
def _passing_on_stops() -> Iterator[Callback]:
    """Yield what ends a run between two batches after Ctrl-C or SIGTERM, as an exception.

    Lightning makes both an exit of the process, which would end a notebook.
    """
    with held_signals() as release:
        try:
            yield _StopsBetweenBatches(release)
        except SystemExit:
            release()
            raise


class _StopsBetweenBatches(Callback):
    """Lets a signal end the run when nothing is half done."""

    def __init__(self, release: Callable[[], None]) -> None:
        self.release = release

    def on_train_batch_start(self, *arguments: object) -> None:
        self.release()

    def on_validation_batch_start(self, *arguments: object) -> None:
        self.release()


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence Lightning's remarks on devices, workers and data loaders."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            yield
    finally:
        logger.setLevel(level)
