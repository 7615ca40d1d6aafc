"""SchNet: continuous-filter convolutions over interatomic distances.

Schütt et al., J. Chem. Phys. 148, 241722 (2018).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from jaxtyping import Float
from torch import Tensor, nn

from gnnpot.graph.geometry import Neighborhoods, pair_lengths
from gnnpot.graph.graph import AtomicGraph
from gnnpot.models.base import MODELS, AtomicEnergyModel
from gnnpot.models.config import SchNetConfig as SchNetConfig
from gnnpot.nn.bases import GaussianBasis
from gnnpot.nn.envelopes import envelope
from gnnpot.nn.mlp import Dense, Linear
from gnnpot.nn.splines import RadialGrid
from gnnpot.nn.weight_state import WeightState
from gnnpot.ops.neighbor_sums import convolve, times_rows
from gnnpot.ops.splines import SplineWeights, convolve_table


class ExactFilters(NamedTuple):
    """Filters evaluated for each pair."""

    basis: Float[Tensor, "P K"]
    envelope: Float[Tensor, "P"]
    edges: Neighborhoods

    def convolve(self, features: Float[Tensor, "N F"], network: FilterNetwork) -> Float[Tensor, "N F"]:
        """Sum of the neighbors' features, each times what ``network`` makes of its distance."""
        return convolve(features, times_rows(network(self.basis), self.envelope), self.edges)


class InterpolatedFilters(NamedTuple):
    """Filters evaluated on a grid of distances, with splines between."""

    basis: GaussianBasis
    grid: RadialGrid
    spline: SplineWeights  # with the envelope
    edges: Neighborhoods

    def convolve(self, features: Float[Tensor, "N F"], network: FilterNetwork) -> Float[Tensor, "N F"]:
        """Sum of the neighbors' features, each times what ``network`` makes of its distance."""
        return convolve_table(features, network.table(self.basis, self.grid), self.spline, self.edges)


class FilterNetwork(Dense):
    """Dense layers that make a filter of the values of the basis functions."""

    _kept: tuple[WeightState, WeightState, Tensor] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kept": None}

    def table(self, basis: GaussianBasis, grid: RadialGrid) -> Float[Tensor, "G F"]:
        """Its splines on a grid; made once where no weight is trained, and again after changes."""
        if any(weight.requires_grad for weight in self.parameters()):
            return self._new_table(basis, grid)
        if self._kept is None or not (self._kept[0].is_same() and self._kept[1].is_same()):
            states = WeightState(self), WeightState(basis)
            for state in states:
                state.look()
            self._kept = (*states, self._new_table(basis, grid))
        return self._kept[2]

    def _new_table(self, basis: GaussianBasis, grid: RadialGrid) -> Float[Tensor, "G F"]:
        return grid.coefficients(self(basis(grid.distances.to(basis.centers.dtype))))


class Interaction(nn.Module):
    """One residual interaction block: atom-wise, continuous-filter convolution, atom-wise twice."""

    def __init__(self, config: SchNetConfig) -> None:
        super().__init__()
        width, filters = config.channels, config.num_filters
        self.filter = FilterNetwork((config.num_basis, filters, filters), "ssp")
        self.source = Linear(width, filters, bias=False)
        self.update = Dense((filters, width, width), "ssp")

    def forward(
        self,
        x: Float[Tensor, "N F"],
        filters: ExactFilters | InterpolatedFilters,
    ) -> Float[Tensor, "N F"]:
        """Add to each atom what its neighbors say through the filter of their distance."""
        return self.update(filters.convolve(self.source(x), self.filter), x)


@MODELS.register("schnet")
class SchNet(AtomicEnergyModel):
    """Invariant message passing in which distances choose the filter."""

    Config = SchNetConfig
    FEW_PAIRS = 4096

    def __init__(self, config: SchNetConfig) -> None:
        super().__init__(config)
        width = config.channels
        self.embedding = nn.Embedding(len(config.elements), width)
        self.basis = GaussianBasis(config.num_basis, config.cutoff)
        self.grid = RadialGrid(config.num_knots, config.cutoff) if config.filters == "interpolated" else None
        self.envelope = envelope(config.envelope, config.cutoff)
        self.interactions = nn.ModuleList(Interaction(config) for _ in range(config.num_interactions))
        self.readout = Dense((width, width // 2, 1), "ssp")

    def atomic_energies(self, graph: AtomicGraph) -> Float[Tensor, "N"]:
        """Energy of each atom in its environment."""
        filters = self._filters(graph)
        x = self.embedding(self.element_rows(graph))
        for interact in self.interactions:
            x = interact(x, filters)
        return self.readout(x).squeeze(-1)

    def _filters(self, graph: AtomicGraph) -> ExactFilters | InterpolatedFilters:
        lengths, edges = pair_lengths(graph), Neighborhoods.of(graph)
        if self.grid is None:
            return ExactFilters(self.basis(lengths), self.envelope(lengths), edges)
        spline = self.grid.weights(lengths, self.envelope)
        return InterpolatedFilters(self.basis, self.grid, spline, edges)
