"""One training step, one validation, and what a run remembers."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Literal

import torch
from jaxtyping import Float
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from gnnpot.errors import TrainingError
from gnnpot.graph.graph import AtomicGraph
from gnnpot.potential.potential import Potential, Prediction
from gnnpot.training.config import TrainingConfig
from gnnpot.training.loss import Term, loss_terms
from gnnpot.training.loss_config import Loss
from gnnpot.training.metrics import ErrorSums
from gnnpot.training.optimizers import LearningRates, build_optimizers
from gnnpot.training.parameter_groups import Tuning

Stage = Literal["train", "validation"]
Tensors = tuple[Tensor, ...] | list[Tensor]


def moving_average(decay: float) -> Callable[[Tensors, Tensors, Tensor | int], None]:
    r"""Average over the steps that soon forgets its start.

    .. math:: \bar w_t = d_t \bar w_{t-1} + (1 - d_t) w_t, \quad d_t = \min(d, (1 + t) / (10 + t))

    Without the second term the weights before the first step would count for 1 / (1 - d) steps, which is
    most of a short fine-tuning.

    Args:
        decay: Decay d of the average.
    """

    def update(averages: Tensors, values: Tensors, count: Tensor | int) -> None:
        steps = float(count)
        torch._foreach_lerp_(averages, values, max(1.0 - decay, 9.0 / (10.0 + steps)))

    return update


class PotentialModule(LightningModule):
    """Fit a potential; knows the loss and the optimizers, and nothing of files or devices.

    Use it in a Trainer with ``inference_mode=False``: forces are gradients, in validation too.

    Args:
        potential: Potential whose weights are changed in place.
        loss: Loss function.
        config: Optimizers, schedule, averaging, selection.
        name_frames: Names of the structures of a batch, for messages.
    """

    def __init__(
        self,
        potential: Potential,
        *,
        loss: Loss,
        config: TrainingConfig,
        name_frames: Callable[[AtomicGraph], list[str]],
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.potential = potential
        self.loss = loss
        self.config = config
        self.name_frames = name_frames
        self.tuning = Tuning(potential.model, config)
        self.average: AveragedModel | None = None
        if config.ema_decay is not None:
            self.average = AveragedModel(potential, multi_avg_fn=moving_average(config.ema_decay))
            self.average.requires_grad_(False)
        self.history: list[dict[str, float]] = []
        self.best: dict[str, float] = {}  # row of the history whose model is kept
        self.spent = 0.0  # seconds, over all resumptions
        self.identity: dict[str, Any] = {}  # what the training is, for its checkpoint
        self.has_started = False
        self._sums: dict[Stage, ErrorSums] = {}
        self._started = time.monotonic()
        self._rates: LearningRates | None = None

    @property
    def chosen(self) -> Potential:
        """The potential that is validated and kept: the averaged one if weights are averaged."""
        chosen = self.potential if self.average is None else self.average.module
        assert isinstance(chosen, Potential)
        return chosen

    @property
    def seconds(self) -> float:
        """Time of the run, summed over resumptions (s)."""
        return self.spent + time.monotonic() - self._started

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Build the optimizers of the configuration."""
        optimizers = build_optimizers(self.config.optimizer, self.potential, self.tuning.factor)
        self._rates = LearningRates(self.config.schedule, optimizers)
        return optimizers

    @property
    def rates(self) -> LearningRates:
        """Learning rates of a started run."""
        assert self._rates is not None
        return self._rates

    def on_train_epoch_start(self) -> None:
        """Begin new sums of errors."""
        self._sums["train"] = ErrorSums(self.device)

    def on_validation_epoch_start(self) -> None:
        """Begin new sums of errors."""
        self._sums["validation"] = ErrorSums(self.device)

    def training_step(self, graph: AtomicGraph, batch_index: int) -> None:
        """Make one optimizer step."""
        epoch = self.current_epoch + batch_index / self.trainer.num_training_batches
        self.rates.before_step(epoch, self._agreed(self.progress(epoch)))
        prediction = self.potential(graph)
        terms = loss_terms(self.loss, prediction, graph)
        total = self._total(terms)
        self._check_finite(total, prediction, graph)
        self._sums["train"].add(prediction, graph, terms)
        if self.tuning.strength:
            total = total + self.tuning.penalty()

        optimizers = self._optimizers()
        for optimizer in optimizers:
            optimizer.zero_grad()
        # by these inputs alone: no time for second derivatives with respect to positions
        trainable = [parameter for parameter in self.potential.parameters() if parameter.requires_grad]
        self.manual_backward(total, inputs=trainable)
        self.tuning.hold(self.current_epoch)
        if self.config.gradient_clip is not None:
            torch.nn.utils.clip_grad_norm_(trainable, self.config.gradient_clip)
        for optimizer in optimizers:
            optimizer.step()
        if self.average is not None:
            self.average.update_parameters(self.potential)

    def validation_step(self, graph: AtomicGraph, batch_index: int) -> None:
        """Accumulate validation errors of the potential that would be kept."""
        prediction = self.chosen(graph)
        self._sums["validation"].add(prediction, graph, loss_terms(self.loss, prediction, graph))

    def progress(self, epoch: float) -> float:
        """Fraction of the budget that is spent: of epochs or of time, whichever runs out first."""
        spent = epoch / self.config.max_epochs
        if self.config.max_time is not None:
            spent = max(spent, self.seconds / self.config.max_time.total_seconds())
        return spent

    def close_epoch(self) -> dict[str, float]:
        """Write the row of this epoch and let the schedule see it; to be called once, after validation."""
        validation = self._sums["validation"].metrics(self)
        train = self._sums["train"].metrics(self)
        row = {
            "epoch": float(self.current_epoch + 1),
            **{f"train_{name}": value for name, value in train.items()},
            **{f"validation_{name}": value for name, value in validation.items()},
            "learning_rate": self.rates.groups[0]["lr"],
            "seconds": self._agreed(self.seconds),
        }
        self.history.append(row)
        self.rates.after_epoch(self.config.error(row))
        return row

    def _optimizers(self) -> list[Any]:
        optimizers = self.optimizers()
        return optimizers if isinstance(optimizers, list) else [optimizers]

    def _total(self, terms: dict[str, Term]) -> Float[Tensor, ""]:
        """Loss of the whole batch, of which this process may hold a part."""
        counts = torch.stack([term.size for term in terms.values()])
        everywhere = counts if self.trainer.world_size == 1 else self._reduced(counts)
        totals = torch.stack([term.total for term in terms.values()])
        return (totals / everywhere.clamp(min=1.0)).sum() * self.trainer.world_size  # gradients are averaged

    def _reduced(self, values: Tensor) -> Tensor:
        return self.trainer.strategy.reduce(values.clone(), reduce_op="sum")

    def _agreed(self, by_clock: float) -> float:
        """Value of the first process, since each process has its own clock."""
        if self.trainer.world_size == 1 or self.config.max_time is None:
            return by_clock
        return self.trainer.strategy.broadcast(by_clock)

    def _check_finite(self, total: Tensor, prediction: Prediction, graph: AtomicGraph) -> None:
        if torch.isfinite(total):
            return
        bad = ~torch.isfinite(prediction.energy)
        bad = bad.index_fill(0, graph.batch[~torch.isfinite(prediction.forces).all(1)].unique(), True)
        names = self.name_frames(graph)
        named = [name for name, is_bad in zip(names, bad.tolist(), strict=True) if is_bad] or names
        raise TrainingError(
            f"expected a finite loss, got {total.item()} in epoch {self.current_epoch + 1} from "
            f"{', '.join(named)}; look at these frames, lower the learning rate or clip gradients"
        )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the state of this module to the checkpoint."""
        checkpoint["gnnpot"] = {
            "history": self.history,
            "best": self.best,
            "seconds": self.seconds,
            "rates": self.rates.state_dict(),
            "identity": self.identity,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the state of this module from the checkpoint."""
        state = checkpoint["gnnpot"]
        self.history, self.best, self.spent = state["history"], state["best"], state["seconds"]
        self._resumed_rates = state["rates"]
        self.identity = state.get("identity", self.identity)

    def on_train_start(self) -> None:
        """Start the clock, and restore the learning rates of a resumed run."""
        self._started = time.monotonic()
        self.has_started = True
        if resumed := self.__dict__.pop("_resumed_rates", None):
            self.rates.load_state_dict(resumed)
