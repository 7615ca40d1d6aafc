"""gnnpot itself."""

from __future__ import annotations

import math
from importlib.metadata import version
from typing import Any

import torch
from ase.calculators.singlepoint import SinglePointCalculator
from torch import nn

from adapters.base import ANI_HIDDEN, CUTOFF, DIMENET, SCHNET, Adapter, Predicted
from gnnpot import GNNPotCalculator
from gnnpot.graph.graph import AtomicGraph, collate
from gnnpot.models import MODELS, build_model
from gnnpot.potential.potential import Potential
from gnnpot.training.loss import loss_terms
from gnnpot.training.loss_config import Loss, WeightedLoss

_DIMENET_KEYS = ("channels", "interaction_channels", "output_channels")
_SCHNET = {"kind": "schnet", "cutoff": CUTOFF, "num_filters": SCHNET["channels"], **SCHNET}
STANDARD: dict[str, dict[str, Any]] = {
    "schnet": {**_SCHNET, "filters": "exact"},
    "schnet-interpolated": _SCHNET,
    **{
        name: {"kind": "dimenet++", "cutoff": CUTOFF, **dict(zip(_DIMENET_KEYS, widths, strict=True))}
        for name, widths in DIMENET.items()
    },
    "ani": {
        "kind": "ani", "hidden": ANI_HIDDEN, "activation": "celu", "zeta": 14.1, "envelope": "cosine",
        "angle_shifts": [math.pi / 8 * odd for odd in (1, 3, 5, 7)],
    },
    "nequip": {"kind": "nequip", "cutoff": CUTOFF, "channels": 32, "l_max": 2, "num_interactions": 3},
}  # fmt: skip


def architectures() -> list[str]:
    """Every registered model at its standard sizes; those without an entry at their defaults."""
    known = [name for name, sizes in STANDARD.items() if sizes["kind"] in MODELS]
    covered = {STANDARD[name]["kind"] for name in known}
    return known + [kind for kind in MODELS if kind not in covered]


def training_step(
    potential: Potential, graph: AtomicGraph, loss: Loss, optimizer: torch.optim.Optimizer
) -> float:
    """What ``gnnpot train`` does with a batch, without Lightning around it; the loss."""
    prediction = potential(graph)
    terms = loss_terms(loss, prediction, graph).values()
    total = torch.stack([term.total / term.size for term in terms]).sum()
    optimizer.zero_grad()
    total.backward(inputs=[weight for weight in potential.parameters() if weight.requires_grad])
    optimizer.step()
    return total.item()


class Own(Adapter):
    """Models of gnnpot in its potential, with its loss and its calculator."""

    def build(self) -> nn.Module:
        """A potential without repulsion, as the other libraries have none."""
        sizes = STANDARD.get(self.case.architecture, {"kind": self.case.architecture})
        config = MODELS[sizes["kind"]].Config.model_validate(sizes)
        model = build_model(config, tuple(self.elements))
        self.loss = WeightedLoss(energy=1.0, forces=1.0, stress=float(self.periodic))
        self.cutoff = model.cutoff
        self._attach_labels()
        model.prepare([AtomicGraph.from_ase(atoms, self.cutoff) for atoms in self.frames[:4]])
        return Potential(model, dict.fromkeys(self.elements, 0.0))

    def collate(self) -> None:
        """Graphs and their batch, labels among them."""
        self.graph = collate([AtomicGraph.from_ase(atoms, self.cutoff) for atoms in self.frames])

    def training_step(self) -> float:
        """The step of the library."""
        return training_step(self.model, self.graph, self.loss, self.optimizer)

    def predict(self) -> Predicted:
        """Energy, forces and stress."""
        prediction = self.model(self.graph)
        return Predicted(prediction.energy, prediction.forces, prediction.stress)

    def make_calculator(self) -> GNNPotCalculator:
        """With the skin that it has if none is asked for."""
        return GNNPotCalculator(self.model, device="cpu", keep_memory=False)  # --malloc says, for all

    def version(self) -> str:
        """Version of gnnpot."""
        return f"gnnpot {version('gnnpot')}"

    def _attach_labels(self) -> None:
        counts = [len(atoms) for atoms in self.frames]
        for place, forces in enumerate(self.labels.forces.split(counts)):
            labels = {"energy": self.labels.energy[place].item(), "forces": forces.numpy()}
            if self.labels.stress is not None:
                labels["stress"] = self.labels.stress[place].numpy()
            self.frames[place].calc = SinglePointCalculator(self.frames[place], **labels)
