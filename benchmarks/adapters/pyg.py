"""The models of PyG: made for molecules, given here a periodic neighbor list, forces and stress."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from torch import Tensor, nn

from adapters.base import CUTOFF, DIMENET, SCHNET, Adapter, Predicted
from gnnpot.graph.geometry import edge_vectors
from gnnpot.graph.graph import AtomicGraph, collate

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import torch_geometric
    from torch_geometric.nn.models import DimeNetPlusPlus
    from torch_geometric.nn.models import SchNet as PyGSchNet


class SchNet(nn.Module):
    """PyG's SchNet on edges that are given."""

    def __init__(self) -> None:
        super().__init__()
        width = SCHNET["channels"]
        self.net = PyGSchNet(
            hidden_channels=width,
            num_filters=width,
            num_interactions=SCHNET["num_interactions"],
            num_gaussians=SCHNET["num_basis"],
            cutoff=CUTOFF,
            interaction_graph=lambda positions, batch: self.edges,
        )

    def prepare(self, graph: AtomicGraph) -> None:
        """Nothing but edges is needed."""

    def forward(self, graph: AtomicGraph, vectors: Tensor) -> Tensor:
        """Energies of the structures."""
        self.edges = (graph.edge_index, torch.linalg.vector_norm(vectors, dim=1))
        return self.net(graph.atomic_numbers, graph.positions, graph.batch)


class DimeNet(nn.Module):
    """The blocks of PyG's DimeNet++ on triplets that are given; its own code makes none for cells."""

    def __init__(self, channels: int, interaction: int, output: int) -> None:
        super().__init__()
        self.net = DimeNetPlusPlus(
            hidden_channels=channels, out_channels=1, num_blocks=4, int_emb_size=interaction,
            basis_emb_size=8, out_emb_channels=output, num_spherical=7, num_radial=6, cutoff=CUTOFF,
            output_initializer="glorot_orthogonal",
        )  # fmt: skip

    def prepare(self, graph: AtomicGraph) -> None:
        """List the triplets."""
        self.triplets = triplets(graph)

    def forward(self, graph: AtomicGraph, vectors: Tensor) -> Tensor:
        """Energies of the structures."""
        net, (edge_ji, edge_kj), (source, center) = self.net, self.triplets, graph.edge_index
        lengths = torch.linalg.vector_norm(vectors, dim=1)
        one, other = -vectors[edge_ji], -vectors[edge_kj]
        sine = torch.linalg.cross(one, other).norm(dim=1)
        radial = net.rbf(lengths)
        spherical = net.sbf(lengths, torch.atan2(sine, (one * other).sum(1)), edge_kj)
        x, size = net.emb(graph.atomic_numbers, radial, center, source), len(graph.atomic_numbers)
        energies = net.output_blocks[0](x, radial, center, num_nodes=size)
        for block, output in zip(net.interaction_blocks, net.output_blocks[1:], strict=True):
            x = block(x, radial, spherical, edge_kj, edge_ji)
            energies = energies + output(x, radial, center, num_nodes=size)
        return energies.new_zeros(graph.num_structures).index_add(0, graph.batch, energies.squeeze(1))


def triplets(graph: AtomicGraph) -> tuple[Tensor, Tensor]:
    """Edges j→i and k→j of all triplets but those that turn back to the same image of i."""
    source, center = graph.edge_index
    order = torch.argsort(center, stable=True)
    degree = torch.bincount(center, minlength=len(graph.atomic_numbers))
    start = torch.cumsum(degree, 0) - degree
    count = degree[source]
    edge_ji = torch.arange(len(source)).repeat_interleave(count)
    within = torch.arange(len(edge_ji)) - (torch.cumsum(count, 0) - count).repeat_interleave(count)
    edge_kj = order[start[source[edge_ji]] + within]
    onward = edge_kj != (edge_ji ^ 1)  # gnnpot lists each edge beside its reverse
    return edge_ji[onward], edge_kj[onward]


def predict(model: SchNet | DimeNet, graph: AtomicGraph, *, differentiable: bool) -> Predicted:
    """Forces and stress from one derivative, with respect to the vectors of the edges."""
    vectors = edge_vectors(graph).requires_grad_(True)
    energy = model(graph, vectors).reshape(-1)
    (slope,) = torch.autograd.grad(energy.sum(), vectors, create_graph=differentiable)
    source, center = graph.edge_index
    forces = torch.zeros_like(graph.positions).index_add(0, center, slope).index_add(0, source, -slope)
    outer = vectors[:, :, None] * slope[:, None, :]
    virial = torch.zeros_like(graph.cell).index_add(0, graph.batch[center], 0.5 * (outer + outer.mT))
    stress = virial / graph.volume[:, None, None] if graph.pbc.all() else None
    return Predicted(energy, forces, stress)


class PyGCalculator(Calculator):
    """What a user would write: a new list at each step, since PyG has no calculator."""

    implemented_properties = ["energy", "forces", "stress"]  # noqa: RUF012

    def __init__(self, model: SchNet | DimeNet) -> None:
        super().__init__()
        self.model = model.requires_grad_(False)

    def calculate(
        self, atoms: Atoms | None = None, properties=("energy",), system_changes=tuple(all_changes)
    ) -> None:
        """All properties at once."""
        super().calculate(atoms, properties, system_changes)
        graph = AtomicGraph.from_ase(self.atoms, CUTOFF)
        self.model.prepare(graph)
        predicted = predict(self.model, graph, differentiable=False)
        self.results = {"energy": predicted.energy.item(), "forces": np.array(predicted.forces.detach())}
        if predicted.stress is not None:
            self.results["stress"] = np.array(predicted.stress[0].detach())


class PyG(Adapter):
    """SchNet and DimeNet++ of PyG."""

    def build(self) -> nn.Module:
        """The model with the sizes of all."""
        if self.case.architecture.startswith("schnet"):
            return SchNet()
        return DimeNet(*DIMENET[self.case.architecture])

    def collate(self) -> None:
        """The neighbor list of gnnpot, and triplets."""
        self.graph = collate([AtomicGraph.from_ase(atoms, CUTOFF) for atoms in self.frames])
        self.model.prepare(self.graph)

    def predict(self) -> Predicted:
        """Energy, forces and stress."""
        return predict(self.model, self.graph, differentiable=True)

    def make_calculator(self) -> Calculator:
        """One that makes a new list at each step."""
        return PyGCalculator(self.model)

    def version(self) -> str:
        """Version of PyG."""
        return f"torch-geometric {torch_geometric.__version__}"
