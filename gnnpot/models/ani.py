"""ANI: one dense network for each element on atomic environment vectors.

Smith, Isayev, Roitberg, Chem. Sci. 8, 3192 (2017); ANI-2x: Devereux et al., J. Chem. Theory Comput. 16, 4192
(2020).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from gnnpot.graph.graph import AtomicGraph
from gnnpot.models.axes import Axes, Blocks
from gnnpot.models.base import MODELS, AtomicEnergyModel
from gnnpot.models.config import ANIConfig as ANIConfig
from gnnpot.nn.mlp import Dense, PerElement
from gnnpot.nn.symmetry_functions import AngularFunctions, RadialFunctions


@MODELS.register("ani")
class ANI(AtomicEnergyModel):
    """Dense networks on symmetry functions of each atom's surroundings."""

    Config = ANIConfig
    FEW_PAIRS = 4096
    mean: Float[Tensor, "E X"]
    deviation: Float[Tensor, "E X"]

    def __init__(self, config: ANIConfig) -> None:
        super().__init__(config)
        self.radial = RadialFunctions(
            config.cutoff, eta=config.radial_eta, shifts=config.radial_shifts, envelope_name=config.envelope
        )
        self.angular = AngularFunctions(
            config.angular_cutoff,
            eta=config.angular_eta,
            zeta=config.zeta,
            shifts=config.angular_shifts,
            angle_shifts=config.angle_shifts,
            envelope_name=config.envelope,
        )
        count = len(config.elements)
        size = self.radial.width(count) + self.angular.width(count)
        self.register_buffer("mean", torch.zeros(count, size))
        self.register_buffer("deviation", torch.ones(count, size))
        if config.networks == "shared":
            self.embedding = nn.Embedding(count, config.embedding_channels)
            widths = (size + config.embedding_channels, *config.hidden, 1)
            self.networks = PerElement([Dense(widths, config.activation)])
        else:
            widths = (size, *config.hidden, 1)
            self.networks = PerElement([Dense(widths, config.activation) for _ in config.elements])

    def environments(self, graph: AtomicGraph) -> Float[Tensor, "N X"]:
        """Atomic environment vectors: radial functions by element, then angular ones by pair."""
        return self._environments(graph, self.element_rows(graph))

    def _environments(self, graph: AtomicGraph, rows: Int[Tensor, "N"]) -> Float[Tensor, "N X"]:
        count = len(self.config.elements)
        return torch.cat([self.radial(graph, rows, count), self.angular(graph, rows, count)], dim=1)

    def atomic_energies(self, graph: AtomicGraph) -> Float[Tensor, "N"]:
        """Energy of each atom in its environment."""
        rows = self.element_rows(graph)
        mean, deviation = self.mean.index_select(0, rows), self.deviation.index_select(0, rows)
        features = (self._environments(graph, rows) - mean) / deviation
        if self.config.networks == "shared":
            features = torch.cat([features, self.embedding(rows)], dim=1)
        return self.networks(features, rows)

    def element_axes(self) -> dict[str, Axes]:
        """One network for each element, and blocks of functions for each element and pair."""
        functions = self._blocks()
        shared = tuple(blocks._replace(shared=True) for blocks in functions)
        rows = (Blocks("element"),)
        axes: dict[str, Axes] = {"mean": {0: rows, 1: shared}, "deviation": {0: rows, 1: functions}}
        if self.config.networks == "shared":
            inputs = (*functions, Blocks("all", self.config.embedding_channels))
            return {**super().element_axes(), **axes, "networks.networks.0.0.weight": {1: inputs}}
        for name, _ in self.networks.networks[0].named_parameters():
            axes[f"networks.networks.*.{name}"] = {0: rows, 2: functions} if name == "0.weight" else {0: rows}
        return axes

    def _blocks(self) -> tuple[Blocks, Blocks]:
        """Layout of the environment vectors."""
        config = self.config
        width = len(config.angular_shifts) * len(config.angle_shifts)
        return Blocks("element", len(config.radial_shifts)), Blocks("pair", width)

    @torch.no_grad()
    def forget(self, elements: Collection[str]) -> None:
        """Move to the first biases what functions of absent elements, zero from here on, add there.

        Exact where each element has a network of its own or one element is left; a shared network takes
        the mean over the elements that are left.
        """
        kept = torch.tensor([symbol not in elements for symbol in self.config.elements])
        pairs = (kept[:, None] & kept)[tuple(torch.triu_indices(len(kept), len(kept)))]
        widths = [blocks.width for blocks in self._blocks()]
        absent = ~torch.cat([kept.repeat_interleave(widths[0]), pairs.repeat_interleave(widths[1])])
        values = -self.mean[:, absent] / self.deviation[:, absent]
        if self.config.networks == "shared":
            values = values[kept].mean(0, keepdim=True)
        for row, network in zip(values, self.networks.networks, strict=True):
            weight, bias = network.get_parameter("0.weight"), network.get_parameter("0.bias")
            bias += weight[:, : len(absent)][:, absent] @ row
        self.mean[:, absent] = 0.0

    def parameter_groups(self) -> dict[str, list[str]]:
        """Layer by layer over the networks of all elements; the embedding of a shared network first."""
        names = [name for name, _ in self.named_parameters()]
        groups = {"embedding": [name for name in names if name.startswith("embedding.")]}
        for number in range(len(self.config.hidden) + 1):
            ends = (f".{2 * number}.weight", f".{2 * number}.bias")  # activations stand between
            groups[f"layer {number + 1}"] = [name for name in names if name.endswith(ends)]
        return {group: members for group, members in groups.items() if members}

    @torch.no_grad()
    def prepare(self, graphs: Iterable[AtomicGraph]) -> None:
        """Take mean and deviation of the functions, element by element, from the training graphs.

        A function that hardly varies keeps a deviation of a hundredth of the largest, so that what is
        new to it does not blow up.
        """
        if not self.config.standardize:
            return
        count = torch.zeros(len(self.mean), 1, dtype=torch.float64)
        total = torch.zeros(self.mean.shape, dtype=torch.float64)
        square = torch.zeros(self.mean.shape, dtype=torch.float64)
        for graph in graphs:
            rows, values = self.element_rows(graph), self.environments(graph).double()
            count.index_add_(0, rows, torch.ones(len(rows), 1, dtype=torch.float64))
            total.index_add_(0, rows, values)
            square.index_add_(0, rows, values.square())
        mean = total / count.clamp(min=1)
        deviation = (square / count.clamp(min=1) - mean.square()).clamp(min=0).sqrt()
        floor = 0.01 * deviation.amax(dim=1, keepdim=True)
        self.mean.copy_(mean)
        self.deviation.copy_(torch.where(floor > 0, torch.maximum(deviation, floor), 1.0))
