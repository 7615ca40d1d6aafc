"""graph-pes's SchNet."""

from __future__ import annotations

from importlib.metadata import version

import torch
from ase.calculators.calculator import Calculator
from graph_pes.atomic_graph import AtomicGraph, to_batch
from graph_pes.models import SchNet
from torch import nn

from adapters.base import CUTOFF, SCHNET, Adapter, Predicted


class GraphPES(Adapter):
    """A model of graph-pes with its own derivatives and calculator."""

    def build(self) -> nn.Module:
        """The model with the sizes of all, its energy scale fitted as its training does."""
        model = SchNet(
            cutoff=CUTOFF,
            channels=SCHNET["channels"],
            expansion_features=SCHNET["num_basis"],
            layers=SCHNET["num_interactions"],
        )
        labels = {"energy": torch.tensor(0.0)}
        graphs = [AtomicGraph.from_ase(atoms, CUTOFF) for atoms in self.frames]
        labeled = [
            graph._replace(properties={**labels, "forces": torch.zeros_like(graph.R)}) for graph in graphs
        ]
        model.pre_fit_all_components(labeled)
        return model

    def collate(self) -> None:
        """Graphs and their batch."""
        self.graph = to_batch([AtomicGraph.from_ase(atoms, CUTOFF) for atoms in self.frames])

    def predict(self) -> Predicted:
        """Energy, forces and stress."""
        wanted = ["energy", "forces", "stress"] if self.periodic else ["energy", "forces"]
        found = self.model.predict(self.graph, wanted)
        return Predicted(found["energy"], found["forces"], found.get("stress"))

    def make_calculator(self) -> Calculator:
        """With the skin that it has if none is asked for."""
        return self.model.ase_calculator()

    def version(self) -> str:
        """Version of graph-pes."""
        return f"graph-pes {version('graph-pes')}"
