"""NequIP."""

from __future__ import annotations

import nequip
import torch
from nequip.data import AtomicDataDict, compute_neighborlist_, from_ase
from nequip.data.transforms import ChemicalSpeciesToAtomTypeMapper, NeighborListTransform
from nequip.integrations.ase import NequIPCalculator
from nequip.model import NequIPGNNModel
from nequip.utils.global_state import set_global_state
from torch import Tensor, nn

from adapters.base import CUTOFF, Adapter, Predicted

NEIGHBORS = 28.0  # by which sums are normalized; makes no difference to the time


class NequIP(Adapter):
    """Features up to l = 2 without odd parity, 32 channels, 3 layers, not compiled."""

    def build(self) -> nn.Module:
        """The model."""
        threads = torch.get_num_threads()
        set_global_state()
        torch.set_num_threads(threads)
        self.mapper = ChemicalSpeciesToAtomTypeMapper(self.elements)
        return NequIPGNNModel(
            seed=0, model_dtype="float32", compile_mode="eager", r_max=CUTOFF, type_names=self.elements,
            num_layers=3, l_max=2, parity=False, num_features=32, avg_num_neighbors=NEIGHBORS,
            radial_mlp_depth=2, radial_mlp_width=64, per_type_energy_scales=1.0, per_type_energy_shifts=0.0,
        )  # fmt: skip

    def collate(self) -> None:
        """Graphs and their batch."""
        graphs = [self.mapper(compute_neighborlist_(from_ase(atoms), CUTOFF)) for atoms in self.frames]
        self.graph = AtomicDataDict.batched_from_list(graphs)

    def predict(self) -> Predicted:
        """Energy, forces and stress."""
        found: dict[str, Tensor] = self.model({**self.graph, "pos": self.graph["pos"].clone()})
        return Predicted(found["total_energy"], found["forces"], found["stress"] if self.periodic else None)

    def make_calculator(self) -> NequIPCalculator:
        """That of the library; it has no skin."""
        return NequIPCalculator(
            self.model, "cpu", transforms=[self.mapper, NeighborListTransform(r_max=CUTOFF)]
        )

    def version(self) -> str:
        """Version of NequIP."""
        return f"nequip {nequip.__version__}"
