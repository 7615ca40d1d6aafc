"""DimeNet++: directional message passing on distances and angles.

Gasteiger, Giri, Margraf, Günnemann, arXiv:2011.14115 (2020); Gasteiger, Groß, Günnemann, ICLR 2020.
"""

from __future__ import annotations

import math
from typing import ClassVar, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from gnnpot.graph.geometry import Neighborhoods, pair_lengths
from gnnpot.graph.graph import AtomicGraph
from gnnpot.models.base import MODELS, AtomicEnergyModel
from gnnpot.models.config import DimeNetConfig as DimeNetConfig
from gnnpot.nn.bases import BesselBasis, SphericalBesselBasis
from gnnpot.nn.mlp import Linear
from gnnpot.ops.activations import silu
from gnnpot.ops.mlp import Layer, chain, layer_of
from gnnpot.ops.neighbor_sums import sum_edges, times_pairs
from gnnpot.ops.products import linear, products
from gnnpot.ops.triplet_sums import TripletFactors, TripletGeometry, sum_over_triplets


class Residual(nn.Module):
    """Two dense layers around which the input is carried."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = Linear(channels, channels)
        self.second = Linear(channels, channels)

    def layers(self, start: int) -> list[Layer]:
        """The layers in a chain, behind the values of number ``start``."""
        return [layer_of(self.first, start), layer_of(self.second, start + 1, skip=start)]


class EdgeEmbedding(nn.Module):
    """First features of an edge, from its two elements and its length."""

    def __init__(self, config: DimeNetConfig) -> None:
        super().__init__()
        width = config.channels
        self.element = nn.Embedding(len(config.elements), width)
        self.radial = Linear(config.num_radial, width)
        self.dense = Linear(3 * width, width)

    def forward(
        self, rows: Int[Tensor, "N"], radial: Float[Tensor, "P K"], edge_index: Int[Tensor, "2 E"]
    ) -> Float[Tensor, "E F"]:
        """Features of all directed edges: ``dense`` of center, source and length, each part by itself."""
        of_center, of_source, of_length = self.dense.weight.chunk(3, dim=1)
        source, center = rows.index_select(0, edge_index.flatten()).unflatten(0, (2, -1))
        length = linear(silu(self.radial(radial)), of_length, self.dense.bias)
        ends = F.embedding(center, F.linear(self.element.weight, of_center))
        ends = ends + F.embedding(source, F.linear(self.element.weight, of_source))
        return silu(ends.unflatten(0, (-1, 2)) + length[:, None]).flatten(0, 1)


class Interaction(nn.Module):
    """One block: each edge hears the edges that come into its source."""

    def __init__(self, config: DimeNetConfig) -> None:
        super().__init__()
        width, inner, basis = config.channels, config.interaction_channels, config.basis_channels
        self.radial = _low_rank(config.num_radial, basis, width)
        self.spherical = _low_rank(config.num_spherical * config.num_radial, basis, inner)
        self.keep = Linear(width, width)
        self.send = Linear(width, width)
        self.down = Linear(width, inner, bias=False)
        self.up = Linear(inner, width, bias=False)
        self.before_skip = nn.ModuleList(Residual(width) for _ in range(config.num_before_skip))
        self.dense = Linear(width, width)
        self.after_skip = nn.ModuleList(Residual(width) for _ in range(config.num_after_skip))

    def forward(
        self,
        x: Float[Tensor, "E F"],
        radial: Float[Tensor, "P K"],
        angular: TripletFactors,
        geometry: TripletGeometry,
    ) -> Float[Tensor, "E F"]:
        """Features of the edges after the block.

        Args:
            x: Features before it.
            radial: Radial basis.
            angular: The spherical basis after ``self.spherical``.
            geometry: Directions of the same batch.
        """
        weighted = times_pairs(chain([layer_of(self.send)], x), linear(radial, _product(self.radial)))
        sent = chain([layer_of(self.down)], weighted)
        heard = sum_over_triplets(sent, angular, geometry)
        layers = [layer_of(self.keep, source=0), layer_of(self.up, source=1, skip=2)]
        for residual in self.before_skip:
            layers += cast("Residual", residual).layers(len(layers) + 1)
        layers.append(layer_of(self.dense, source=len(layers) + 1, skip=0))
        for residual in self.after_skip:
            layers += cast("Residual", residual).layers(len(layers) + 1)
        return chain(layers, x, heard)


class Output(nn.Module):
    """Energies of the atoms from the edges into them."""

    def __init__(self, config: DimeNetConfig) -> None:
        super().__init__()
        width, out = config.channels, config.output_channels
        self.radial = Linear(config.num_radial, width, bias=False)
        self.up = Linear(width, out, bias=False)
        self.dense = nn.ModuleList(Linear(out, out) for _ in range(config.num_output_layers))
        self.energy = Linear(out, 1, bias=False)

    def forward(
        self, x: Float[Tensor, "E F"], radial: Float[Tensor, "P K"], edges: Neighborhoods
    ) -> Float[Tensor, "N"]:
        """Energy of each atom; ``radial`` is the radial basis."""
        atoms = self.up(sum_edges(x, self.radial(radial), edges))
        if self.dense:
            atoms = chain([layer_of(layer, source) for source, layer in enumerate(self.dense)], atoms)
        return self.energy(atoms).squeeze(-1)


@MODELS.register("dimenet++")
class DimeNet(AtomicEnergyModel):
    """Message passing between edges in which angles choose the weights."""

    Config = DimeNetConfig
    GROUPS: ClassVar = {"radial": "embedding", "outputs": "readout"}

    def __init__(self, config: DimeNetConfig) -> None:
        super().__init__(config)
        exponent = config.envelope_exponent
        self.radial = BesselBasis(config.num_radial, config.cutoff, exponent)
        self.spherical = SphericalBesselBasis(
            config.num_spherical, config.num_radial, cutoff=config.cutoff, exponent=exponent
        )
        self.embedding = EdgeEmbedding(config)
        self.interactions = nn.ModuleList(Interaction(config) for _ in range(config.num_blocks))
        self.outputs = nn.ModuleList(Output(config) for _ in range(config.num_blocks + 1))
        _initialize(self)

    def atomic_energies(self, graph: AtomicGraph) -> Float[Tensor, "N"]:
        """Energy of each atom in its environment."""
        lengths = pair_lengths(graph)
        radial = self.radial(lengths)
        angular = self._angular_factors(self.spherical(lengths))
        geometry = TripletGeometry.of(graph, self.config.num_spherical)
        rows = self.element_rows(graph)
        edges = geometry.edges

        x = self.embedding(rows, radial, graph.edge_index)
        first, *others = self.outputs
        energies = first(x, radial, edges)
        for interact, output, factors in zip(self.interactions, others, angular, strict=True):
            x = interact(x, radial, factors, geometry)
            energies = energies + output(x, radial, edges)
        return energies

    def _angular_factors(self, spherical: Float[Tensor, "P L K"]) -> list[TripletFactors]:
        """Factors of the triplets in all interactions."""
        norms = _legendre_norms(self.config.num_spherical, spherical)
        signs = -torch.ones_like(norms)
        signs[1::2] = 1
        by_order, flat = spherical.transpose(0, 1).contiguous(), spherical.flatten(1)
        factors = []
        for block in self.interactions:
            maps = _product(block.get_submodule("spherical"))
            maps = maps.unflatten(1, spherical.shape[1:]).permute(1, 2, 0) * norms  # L, K, C
            backward = linear(flat, (signs * maps).flatten(0, 1).mT)
            factors.append(TripletFactors(products(by_order, maps), backward))
        return factors


def _low_rank(inputs: int, rank: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(Linear(inputs, rank, bias=False), Linear(rank, outputs, bias=False))


def _product(low_rank: nn.Module) -> Float[Tensor, "F K"]:
    """The two linear maps as one."""
    narrow, wide = (_weight(layer) for layer in low_rank.children())
    return wide @ narrow


def _weight(layer: nn.Module) -> Float[Tensor, "O I"]:
    """Of a linear layer, with the update that a transfer may have put on it."""
    return cast("Tensor", layer.weight)


def _legendre_norms(num_orders: int, like: Tensor) -> Float[Tensor, "L 1 1"]:
    """Factors √((2l + 1) / 4π) that make Legendre polynomials of cos θ the harmonics Y_l0."""
    norms = [math.sqrt((2 * order + 1) / (4 * math.pi)) for order in range(num_orders)]
    return torch.tensor(norms, dtype=like.dtype, device=like.device)[:, None, None]


def _initialize(model: DimeNet) -> None:
    """Orthogonal weights of variance 2 / (fan in + fan out), zero biases, zero energies at the start."""
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.orthogonal_(module.weight)
            target = 2.0 / sum(module.weight.shape)
            with torch.no_grad():
                module.weight *= (target / module.weight.var(unbiased=False).clamp(min=1e-12)).sqrt()
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.uniform_(module.weight, -math.sqrt(3.0), math.sqrt(3.0))
    for output in model.outputs:
        nn.init.zeros_(output.get_parameter("energy.weight"))
