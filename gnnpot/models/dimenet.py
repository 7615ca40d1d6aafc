"""DimeNet++: directional message passing on distances and angles.

Gasteiger, Giri, Margraf, Günnemann, arXiv:2011.14115 (2020); Gasteiger, Groß, Günnemann, ICLR 2020.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal, cast

import torch
from jaxtyping import Float, Int
from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor, nn

from gnnpot.data.graph import AtomicGraph
from gnnpot.geometry import both_directions, pair_lengths
from gnnpot.models.base import MODELS, AtomicEnergyModel, ModelConfig
from gnnpot.nn.activations import silu
from gnnpot.nn.angular import TripletGeometry, sum_over_triplets
from gnnpot.nn.contractions import times_pairs
from gnnpot.nn.radial import BesselBasis, SphericalBesselBasis


class DimeNetConfig(ModelConfig):
    """Hyperparameters of :class:`DimeNet`.

    Args:
        channels: Width F of the edge features.
        interaction_channels: Width of the triplet product.
        basis_channels: Width between the two linear maps of a basis.
        output_channels: Width of the atomic features before the energy.
        num_blocks: Number of interaction blocks.
        num_spherical: Number L of angular orders.
        num_radial: Number K of radial functions.
        num_before_skip: Residual layers before the skip connection of a block.
        num_after_skip: Residual layers after it.
        num_output_layers: Dense layers of each output block.
        envelope_exponent: Order p of the envelope.
    """

    kind: Literal["dimenet++"] = "dimenet++"
    channels: PositiveInt = 128
    interaction_channels: PositiveInt = 64
    basis_channels: PositiveInt = 8
    output_channels: PositiveInt = 256
    num_blocks: PositiveInt = 4
    num_spherical: PositiveInt = 7
    num_radial: PositiveInt = 6
    num_before_skip: NonNegativeInt = 1
    num_after_skip: NonNegativeInt = 2
    num_output_layers: NonNegativeInt = 3
    envelope_exponent: PositiveInt = 6


class Residual(nn.Module):
    """Two dense layers around which the input is carried."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Linear(channels, channels)
        self.second = nn.Linear(channels, channels)

    def forward(self, x: Float[Tensor, "E F"]) -> Float[Tensor, "E F"]:
        """Add to ``x`` what the layers make of it."""
        return x + silu(self.second(silu(self.first(x))))


class EdgeEmbedding(nn.Module):
    """First features of an edge, from its two elements and its length."""

    def __init__(self, config: DimeNetConfig) -> None:
        super().__init__()
        width = config.channels
        self.element = nn.Embedding(len(config.elements), width)
        self.radial = nn.Linear(config.num_radial, width)
        self.dense = nn.Linear(3 * width, width)

    def forward(
        self, rows: Int[Tensor, "N"], radial: Float[Tensor, "P K"], edge_index: Int[Tensor, "2 E"]
    ) -> Float[Tensor, "E F"]:
        """Features of all directed edges."""
        x = self.element(rows)
        source, center = edge_index
        length = both_directions(silu(self.radial(radial)))
        joined = [x.index_select(0, center), x.index_select(0, source), length]
        return silu(self.dense(torch.cat(joined, dim=1)))


class Interaction(nn.Module):
    """One block: each edge hears the edges that come into its source."""

    def __init__(self, config: DimeNetConfig) -> None:
        super().__init__()
        width, inner, basis = config.channels, config.interaction_channels, config.basis_channels
        self.radial = _low_rank(config.num_radial, basis, width)
        self.spherical = _low_rank(config.num_spherical * config.num_radial, basis, inner)
        self.keep = nn.Linear(width, width)
        self.send = nn.Linear(width, width)
        self.down = nn.Linear(width, inner, bias=False)
        self.up = nn.Linear(inner, width, bias=False)
        self.before_skip = nn.Sequential(*(Residual(width) for _ in range(config.num_before_skip)))
        self.dense = nn.Linear(width, width)
        self.after_skip = nn.Sequential(*(Residual(width) for _ in range(config.num_after_skip)))

    def forward(
        self,
        x: Float[Tensor, "E F"],
        radial: Float[Tensor, "P K"],
        spherical: Float[Tensor, "P L K"],
        geometry: TripletGeometry,
    ) -> Float[Tensor, "E F"]:
        """Features of the edges after the block."""
        sent = times_pairs(silu(self.send(x)), self.radial(radial))
        sent = silu(self.down(sent))
        heard = sum_over_triplets(sent, self._angular_weights(spherical), geometry)
        updated = silu(self.keep(x)) + silu(self.up(heard))
        updated = silu(self.dense(self.before_skip(updated))) + x
        return self.after_skip(updated)

    def _angular_weights(self, spherical: Float[Tensor, "P L K"]) -> Float[Tensor, "P L C"]:
        """Both linear maps of the basis, with the sum over angular orders left open."""
        narrow, wide = (cast("Tensor", layer.weight) for layer in self.spherical)
        low_rank = narrow.unflatten(1, spherical.shape[1:])
        return torch.einsum("plk,blk->plb", spherical, low_rank) @ wide.T


class Output(nn.Module):
    """Energies of the atoms from the edges into them."""

    def __init__(self, config: DimeNetConfig) -> None:
        super().__init__()
        width, out = config.channels, config.output_channels
        self.radial = nn.Linear(config.num_radial, width, bias=False)
        self.up = nn.Linear(width, out, bias=False)
        self.dense = nn.ModuleList(nn.Linear(out, out) for _ in range(config.num_output_layers))
        self.energy = nn.Linear(out, 1, bias=False)

    def forward(
        self, x: Float[Tensor, "E F"], radial: Float[Tensor, "P K"], center: Int[Tensor, "E"], size: int
    ) -> Float[Tensor, "N"]:
        """Energy of each of the ``size`` atoms."""
        weighted = times_pairs(x, self.radial(radial))
        atoms = self.up(weighted.new_zeros(size, weighted.shape[1]).index_add(0, center, weighted))
        for layer in self.dense:
            atoms = silu(layer(atoms))
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
        spherical = self.spherical(lengths) * _legendre_norms(self.config.num_spherical, lengths)
        geometry = TripletGeometry.of(graph, self.config.num_spherical)
        rows = self.element_rows(graph)
        center, size = graph.edge_index[1], len(rows)

        x = self.embedding(rows, radial, graph.edge_index)
        energies = self.outputs[0](x, radial, center, size)
        for interact, output in zip(self.interactions, self.outputs[1:], strict=True):
            x = interact(x, radial, spherical, geometry)
            energies = energies + output(x, radial, center, size)
        return energies


def _low_rank(inputs: int, rank: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, rank, bias=False), nn.Linear(rank, outputs, bias=False))


def _legendre_norms(num_orders: int, like: Tensor) -> Float[Tensor, "L 1"]:
    """Factors √((2l + 1) / 4π) that make Legendre polynomials of cos θ the harmonics Y_l0."""
    norms = [math.sqrt((2 * order + 1) / (4 * math.pi)) for order in range(num_orders)]
    return torch.tensor(norms, dtype=like.dtype, device=like.device)[:, None]


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
