"""Errors of predictions, added up batch by batch."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from lightning.pytorch import LightningModule
from torch import Tensor

from gnnpot.graph.graph import AtomicGraph
from gnnpot.potential.potential import Prediction
from gnnpot.training.loss import (
    Term,
    energy_difference,
    energy_weights,
    forces_difference,
    forces_weights,
    stress_difference,
    stress_weights,
)
from gnnpot.units import MPa, meV

_UNITS = {"energy": meV, "forces": meV, "stress": MPa}


class ErrorSums:
    """Sums of |error|, error² and counts for each quantity, and of the terms of the loss.

    Args:
        device: Device of the sums, so that adding to them does not synchronize.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.sums: dict[str, Float[Tensor, "3"]] = {}
        self.terms: dict[str, Float[Tensor, "2"]] = {}

    def add(self, prediction: Prediction, graph: AtomicGraph, terms: Mapping[str, Term]) -> None:
        """Take in the errors of a batch and the terms of its loss."""
        with torch.no_grad():
            if "energy" in graph:
                per_atom = energy_difference(prediction, graph) / graph.num_atoms
                self._add("energy", per_atom, energy_weights(graph))
            if "forces" in graph:
                self._add("forces", forces_difference(prediction, graph), forces_weights(graph))
            if "stress" in graph:
                self._add("stress", stress_difference(prediction, graph), stress_weights(graph))
            for name, term in terms.items():
                sums = torch.stack([term.total.double(), term.size.double()])
                self.terms[name] = self.terms[name] + sums if name in self.terms else sums

    def _add(self, name: str, difference: Float[Tensor, "*I"], weights: Float[Tensor, "*I"]) -> None:
        absolute = difference.double().abs()
        count = (weights > 0).sum().double()
        sums = torch.stack([absolute.sum(), absolute.square().sum(), count])
        self.sums[name] = self.sums[name] + sums if name in self.sums else sums

    def metrics(self, module: LightningModule) -> dict[str, float]:
        """Loss, and MAE and RMSE in meV/atom, meV/Å and MPa, over all batches and processes of a run.

        The loss is that of all structures as one batch, however they were divided.
        """
        metrics = {"loss": 0.0}
        for sums in self.terms.values():
            term = Term(*_joined(sums, module))
            metrics["loss"] += float(term.value)
        for name, sums in self.sums.items():
            total, square, count = _joined(sums, module).tolist()
            if count > 0:
                metrics[f"{name}_mae"] = total / count / _UNITS[name]
                metrics[f"{name}_rmse"] = (square / count) ** 0.5 / _UNITS[name]
        return metrics


def _joined(sums: Float[Tensor, "K"], module: LightningModule) -> Float[Tensor, "K"]:
    """Sums over all processes of a run."""
    if module.trainer.world_size == 1:
        return sums
    return module.trainer.strategy.reduce(sums.clone(), reduce_op="sum")
