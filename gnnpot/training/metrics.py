"""Errors of predictions, added up batch by batch."""

from __future__ import annotations

import torch
from jaxtyping import Float
from lightning.pytorch import LightningModule
from torch import Tensor

from gnnpot.graph.graph import AtomicGraph
from gnnpot.potential.potential import Prediction
from gnnpot.training.loss import energy_difference, forces_difference, stress_difference
from gnnpot.units import MPa, meV

_UNITS = {"energy": meV, "forces": meV, "stress": MPa}


class ErrorSums:
    """Sums of |error|, error² and counts for each quantity, and of the loss.

    Args:
        device: Device of the sums, so that adding to them does not synchronize.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.sums: dict[str, Float[Tensor, "3"]] = {}

    def add(self, prediction: Prediction, graph: AtomicGraph) -> None:
        """Take in the errors of a batch."""
        with torch.no_grad():
            if "energy" in graph:
                per_atom = energy_difference(prediction, graph) / graph.num_atoms
                self._add("energy", per_atom[:, None], graph.energy_weight)
            if "forces" in graph:
                weight = graph.forces_weight.index_select(0, graph.batch)
                self._add("forces", forces_difference(prediction, graph), weight)
            if "stress" in graph:
                self._add("stress", stress_difference(prediction, graph).flatten(1), graph.stress_weight)

    def add_loss(self, value: Float[Tensor, ""], count: int) -> None:
        """Take in a mean loss over ``count`` items."""
        one = torch.ones((), dtype=torch.float64, device=self.device)
        self._join("loss", torch.stack([value.detach().double() * count, 0 * one, count * one]))

    def _add(self, name: str, difference: Float[Tensor, "I C"], weight: Float[Tensor, "I"]) -> None:
        absolute = difference.double().abs()
        count = (weight > 0).sum().double() * difference.shape[1]
        self._join(name, torch.stack([absolute.sum(), absolute.square().sum(), count]))

    def _join(self, name: str, sums: Float[Tensor, "3"]) -> None:
        self.sums[name] = self.sums[name] + sums if name in self.sums else sums

    def metrics(self, module: LightningModule) -> dict[str, float]:
        """Loss, and MAE and RMSE in meV/atom, meV/Å and MPa, over all processes of a run."""
        metrics = {}
        for name, sums in self.sums.items():
            if module.trainer.world_size > 1:
                sums = module.trainer.strategy.reduce(sums.clone(), reduce_op="sum")
            total, square, count = sums.tolist()
            if count == 0:
                continue
            if name == "loss":
                metrics["loss"] = total / count
            else:
                metrics[f"{name}_mae"] = total / count / _UNITS[name]
                metrics[f"{name}_rmse"] = (square / count) ** 0.5 / _UNITS[name]
        return metrics
