"""MatGL's M3GNet."""

from __future__ import annotations

import matgl
import torch
from matgl.apps.pes import Potential
from matgl.ext.ase import Atoms2Graph, PESCalculator
from matgl.models import M3GNet
from torch import nn
from torch_geometric.data import Batch

from adapters.base import CUTOFF, Adapter, Predicted

GIGAPASCAL = 160.21766208  # in one eV/Å³


class MatGL(Adapter):
    """M3GNet at its default sizes: 64 units, 3 blocks, three bodies within 4 Å."""

    def build(self) -> nn.Module:
        """The model in its potential."""
        elements = tuple(self.elements)
        self.converter = Atoms2Graph(elements, CUTOFF)
        return Potential(
            M3GNet(element_types=elements, cutoff=CUTOFF, is_intensive=False), calc_stresses=self.periodic
        )

    def collate(self) -> None:
        """Graphs and their batch."""
        graphs, cells, _ = zip(*(self.converter.get_graph(atoms) for atoms in self.frames), strict=True)
        self.graph = Batch.from_data_list(list(graphs))
        self.cells = torch.cat([cell.reshape(1, 3, 3) for cell in cells])

    def predict(self) -> Predicted:
        """Energy, forces and stress."""
        energy, forces, stress, *_ = self.model(self.graph, self.cells, None, None)
        return Predicted(energy, forces, stress / GIGAPASCAL if self.periodic else None)

    def make_calculator(self) -> PESCalculator:
        """That of the library."""
        return PESCalculator(self.model, stress_unit="eV/A3")

    def version(self) -> str:
        """Version of MatGL."""
        return f"matgl {matgl.__version__}"
