"""MACE."""

from __future__ import annotations

from importlib.metadata import version
from unittest.mock import patch

import numpy as np
import torch
from ase.data import atomic_numbers
from torch import nn

from adapters.base import CUTOFF, Adapter, Predicted

_load = torch.load
# e3nn 0.4.4, which MACE asks for, reads its tables as torch did before 2.6
with patch("torch.load", lambda *given, **named: _load(*given, **{**named, "weights_only": False})):
    from e3nn import o3
    from mace import data, modules, tools
    from mace.calculators import MACECalculator
    from mace.tools import torch_geometric


class MACE(Adapter):
    """The size that is published as small: 128 scalar channels, l up to 3, four bodies, two layers."""

    def build(self) -> nn.Module:
        """The model."""
        numbers = sorted(atomic_numbers[symbol] for symbol in self.elements)
        self.table = tools.AtomicNumberTable(numbers)
        return modules.ScaleShiftMACE(
            r_max=CUTOFF, num_bessel=8, num_polynomial_cutoff=5, max_ell=3, num_interactions=2,
            interaction_cls=modules.interaction_classes["RealAgnosticResidualInteractionBlock"],
            interaction_cls_first=modules.interaction_classes["RealAgnosticInteractionBlock"],
            num_elements=len(numbers), atomic_numbers=numbers, atomic_energies=np.zeros(len(numbers)),
            hidden_irreps=o3.Irreps("128x0e"), MLP_irreps=o3.Irreps("16x0e"), radial_MLP=[64, 64, 64],
            avg_num_neighbors=28.0, correlation=3, gate=torch.nn.functional.silu, radial_type="bessel",
            atomic_inter_scale=1.0, atomic_inter_shift=0.0,
        )  # fmt: skip

    def collate(self) -> None:
        """Graphs and their batch."""
        graphs = [
            data.AtomicData.from_config(data.config_from_atoms(atoms), z_table=self.table, cutoff=CUTOFF)
            for atoms in self.frames
        ]
        self.graph = torch_geometric.Batch.from_data_list(graphs).to_dict()

    def predict(self) -> Predicted:
        """Energy, forces and stress."""
        graph = {**self.graph, "positions": self.graph["positions"].detach().clone()}
        found = self.model(graph, training=True, compute_force=True, compute_stress=self.periodic)
        return Predicted(found["energy"], found["forces"], found["stress"])

    def make_calculator(self) -> MACECalculator:
        """That of the library."""
        return MACECalculator(models=[self.model], device="cpu", default_dtype="float32")

    def version(self) -> str:
        """Version of MACE."""
        return f"mace-torch {version('mace-torch')}"
