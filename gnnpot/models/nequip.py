"""NequIP: message passing with features that rotate with the structure.

Batzner et al., Nat. Commun. 13, 2453 (2022).  Couplings, gates and linear maps of representations are
those of e3nn (Geiger and Smidt, arXiv:2207.09453), which is imported where a model is built.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from gnnpot.graph.geometry import Neighborhoods, pair_lengths, pair_vectors
from gnnpot.graph.graph import AtomicGraph
from gnnpot.models.axes import Axes, Blocks
from gnnpot.models.base import MODELS, AtomicEnergyModel
from gnnpot.models.config import NequIPConfig as NequIPConfig
from gnnpot.nn.activations import SiLU
from gnnpot.nn.bases import BesselBasis
from gnnpot.nn.mlp import Dense
from gnnpot.ops.harmonics import solid_harmonics
from gnnpot.ops.products import linear
from gnnpot.ops.tensor_products import Path, TensorProduct, convolve_tensors

if TYPE_CHECKING:
    from e3nn.o3 import Irreps


class Surroundings(NamedTuple):
    """What all interactions need to know of the neighbors of the atoms of a batch."""

    harmonics: Float[Tensor, "P M"]  # of the even edges
    basis: Float[Tensor, "P K"]
    edges: Neighborhoods
    num_neighbors: Float[Tensor, ""]


class RadialLayer(nn.Module):
    """A dense layer without bias whose weights are of order one.

    Args:
        inputs: Width of its input.
        outputs: Width of its output.
        gain: Factor of the output.
    """

    def __init__(self, inputs: int, outputs: int, gain: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(inputs, outputs))
        self.factor = gain / math.sqrt(inputs)

    def forward(self, x: Float[Tensor, "P I"]) -> Float[Tensor, "P O"]:
        """Of each pair."""
        return linear(x, (self.factor * self.weight).mT)


def radial_network(widths: Sequence[int]) -> nn.Sequential:
    """Dense layers of these widths with SiLU between, which the next scales to keep the second moment."""
    from e3nn.math import normalize2mom

    gain = normalize2mom(F.silu).cst
    layers: dict[str, nn.Module] = {}
    for number, (inputs, outputs) in enumerate(pairwise(widths)):
        if number:
            layers[f"activation{number}"] = SiLU()
        layers[f"layer{number}"] = RadialLayer(inputs, outputs, gain if number else 1.0)
    return nn.Sequential(OrderedDict(layers))


class Convolution(nn.Module):
    r"""Sum over neighbors of their features times spherical harmonics.

    .. math:: y_i = \frac{1}{\sqrt{\bar n}} \sum_j \left( W x_j \right) \otimes_{w(r_{ij})} Y(\hat r_{ij})

    Each path (l of x, l of Y, l of the product) of the tensor product and each channel has a weight of its
    own, which a dense network without biases takes from the Bessel functions: it vanishes with them at the
    cutoff.

    Args:
        inputs: Representation of x.
        outputs: Representation of y.
        config: Sizes.
    """

    def __init__(self, inputs: Irreps, outputs: Irreps, config: NequIPConfig) -> None:
        from e3nn.o3 import Irreps, Linear

        super().__init__()
        harmonics = Irreps.spherical_harmonics(config.l_max)
        self.products, paths = _paths(inputs, harmonics, outputs)
        self.inputs, self.product = inputs, TensorProduct(paths)
        self.source = Linear(inputs, inputs)
        self.radial = radial_network((config.num_basis, *config.radial_hidden, len(paths) * config.channels))
        self.update = Linear(self.products.simplify(), outputs)

    def forward(self, x: Float[Tensor, "N X"], surroundings: Surroundings) -> Float[Tensor, "N Y"]:
        """What each atom hears."""
        harmonics, basis, edges, num_neighbors = surroundings
        weights = self.radial(basis).unflatten(1, (len(self.product.paths), -1))
        features = _channels_last(self.source(x), self.inputs)
        gathered = convolve_tensors(features, harmonics, weights, self.product, edges)
        return self.update(_channels_first(gathered, self.products) / num_neighbors.sqrt())


class Interaction(nn.Module):
    """One block: convolution, self-connection by element, gate.

    Args:
        inputs: Representation of the features before the block.
        outputs: Representation of those after it.
        config: Sizes.
    """

    def __init__(self, inputs: Irreps, outputs: Irreps, config: NequIPConfig) -> None:
        from e3nn.o3 import FullyConnectedTensorProduct

        super().__init__()
        count = len(config.elements)
        with _building():
            self.gate = _gate(outputs)
            self.convolution = Convolution(inputs, self.gate.irreps_in, config)
            self.self_connection = FullyConnectedTensorProduct(
                inputs, f"{count}x0e", self.gate.irreps_in, in2_var=[1 / count]
            )
        self._constants = {name: buffer.clone() for name, buffer in self.named_buffers()}
        self.register_state_dict_post_hook(_leave_constants_out)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_pre_hook(_put_constants_in)  # type: ignore[no-untyped-call]
        self.to(torch.get_default_dtype())

    def forward(
        self, x: Float[Tensor, "N X"], elements: Float[Tensor, "N Z"], surroundings: Surroundings
    ) -> Float[Tensor, "N Y"]:
        """Features of the atoms after the block."""
        return self.gate(self.convolution(x, surroundings) + self.self_connection(x, elements))

    def _apply(self, fn: Any, recurse: bool = True) -> Interaction:
        """Move or convert the block; its constants are rounded from their exact values, once."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for name, buffer in self.named_buffers():
            buffer.copy_(self._constants[name])
        return self


@MODELS.register("nequip")
class NequIP(AtomicEnergyModel):
    """Message passing of tensors, equivariant under rotation and inversion."""

    Config = NequIPConfig
    GROUPS: ClassVar = {"basis": "embedding"}
    num_neighbors: Float[Tensor, ""]

    def __init__(self, config: NequIPConfig) -> None:
        from e3nn.o3 import Irreps

        super().__init__(config)
        scalars = Irreps(f"{config.channels}x0e")
        tensors = Irreps([(config.channels, kind) for _, kind in Irreps.spherical_harmonics(config.l_max)])
        features = [scalars, *[tensors] * (config.num_interactions - 1), scalars]
        self.embedding = nn.Embedding(len(config.elements), config.channels)
        self.basis = BesselBasis(config.num_basis, config.cutoff, config.envelope_exponent)
        self.interactions = nn.ModuleList(
            Interaction(inputs, outputs, config)
            for inputs, outputs in zip(features[:-1], features[1:], strict=True)
        )
        self.readout = Dense((config.channels, (config.channels + 1) // 2, 1), "silu")
        self.register_buffer("num_neighbors", torch.tensor(config.num_neighbors or 1.0))

    def atomic_energies(self, graph: AtomicGraph) -> Float[Tensor, "N"]:
        """Energy of each atom in its environment."""
        rows = self.element_rows(graph)
        x = self.embedding(rows)
        elements = F.one_hot(rows, len(self.config.elements)).to(x.dtype)
        surroundings = Surroundings(
            pair_harmonics(graph, self.config.l_max),
            self.basis(pair_lengths(graph)),
            Neighborhoods.of(graph),
            self.num_neighbors,
        )
        for interact in self.interactions:
            x = interact(x, elements, surroundings)
        return self.readout(x).squeeze(-1)

    def element_axes(self) -> dict[str, Axes]:
        """Rows of the embedding, and in self-connections the weights of each element."""
        axes = super().element_axes()
        for number, interact in enumerate(self.interactions):
            paths: Any = interact.get_submodule("self_connection").instructions
            shapes = [path.path_shape for path in paths]
            blocks = tuple(Blocks("element", width, outer) for outer, _, width in shapes)
            axes[f"interactions.{number}.self_connection.weight"] = {0: blocks}
        return axes

    @torch.no_grad()
    def prepare(self, graphs: Iterable[AtomicGraph]) -> None:
        """Take the mean number of neighbors from the training graphs, unless the configuration gives it."""
        if self.config.num_neighbors is not None:
            return
        num_edges, num_atoms = 0, 0
        for graph in graphs:
            num_edges += graph.edge_index.shape[1]
            num_atoms += len(graph.atomic_numbers)
        self.num_neighbors.fill_(num_edges / num_atoms if num_edges else 1.0)


def pair_harmonics(graph: AtomicGraph, l_max: int) -> Float[Tensor, "P M"]:
    """Spherical harmonics of the directions of the even edges, in the order and normalization of e3nn.

    Their polar axis is y, and the squares of each degree sum to 2l + 1.
    """
    directions = pair_vectors(graph) / pair_lengths(graph)[:, None]
    cyclic = torch.stack([directions[:, 2], directions[:, 0], directions[:, 1]], dim=1)
    norms = [math.sqrt(2 * degree + 1) for degree in range(l_max + 1) for _ in range(2 * degree + 1)]
    return solid_harmonics(cyclic, l_max + 1) * torch.tensor(norms, dtype=cyclic.dtype, device=cyclic.device)


def _channels_last(x: Float[Tensor, "N X"], kinds: Irreps) -> Float[Tensor, "N I U"]:
    """Features in e3nn's order with their components before their channels."""
    parts = x.split([kind.dim for kind in kinds], dim=1)
    return torch.cat(
        [part.unflatten(1, (kind.mul, -1)).mT for part, kind in zip(parts, kinds, strict=True)], dim=1
    )


def _channels_first(x: Float[Tensor, "N K U"], kinds: Irreps) -> Float[Tensor, "N Y"]:
    """Features in e3nn's order."""
    parts = x.split([kind.ir.dim for kind in kinds], dim=1)
    return torch.cat([part.mT.flatten(1) for part in parts], dim=1)


def _paths(inputs: Irreps, harmonics: Irreps, outputs: Irreps) -> tuple[Irreps, list[Path]]:
    """All products of inputs and harmonics of a kind that the outputs have."""
    from e3nn.o3 import Irreps, wigner_3j

    paths = [
        (first, second, kind)
        for first, (_, irrep) in enumerate(inputs)
        for second, (_, harmonic) in enumerate(harmonics)
        for kind in irrep * harmonic
        if kind in outputs
    ]
    products = Irreps([(inputs[first].mul, kind) for first, _, kind in paths]).sort()
    begins = _begins(inputs), _begins(products.irreps)
    return products.irreps, [
        Path(
            begins[0][first],
            harmonics[second].ir.l,
            begins[1][place],
            math.sqrt(kind.dim) * wigner_3j(inputs[first].ir.l, harmonics[second].ir.l, kind.l),
        )
        for (first, second, kind), place in zip(paths, products.p, strict=True)
    ]


def _begins(kinds: Irreps) -> list[int]:
    """First component of each kind."""
    sizes = [kind.ir.dim for kind in kinds]
    return [sum(sizes[:number]) for number in range(len(sizes))]


def _gate(outputs: Irreps) -> nn.Module:
    """Nonlinearity onto ``outputs``: SiLU of the scalars, and a scalar factor for each other tensor."""
    from e3nn.nn import Gate
    from e3nn.o3 import Irreps

    scalars = Irreps([part for part in outputs if part.ir.l == 0])
    tensors = Irreps([part for part in outputs if part.ir.l > 0])
    gates = Irreps([(tensors.num_irreps, "0e")] if tensors else [])
    return Gate(scalars, [F.silu] * len(scalars), gates, [F.silu] * len(gates), tensors)


@contextmanager
def _building() -> Iterator[None]:
    """Let e3nn build modules with constants in float64, and without TorchScript, which torch retires."""
    import e3nn

    settings, dtype = e3nn.get_optimization_defaults(), torch.get_default_dtype()
    e3nn.set_optimization_defaults(jit_script_fx=False)
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(dtype)
        e3nn.set_optimization_defaults(**settings)


def _leave_constants_out(
    module: Interaction, state: dict[str, Any], prefix: str, metadata: dict[str, Any]
) -> None:
    """Keep what e3nn derives from the sizes, under names of its own choice, out of a state."""
    for name in module._constants:
        del state[f"{prefix}{name}"]


def _put_constants_in(module: Interaction, state: dict[str, Any], prefix: str, *others: object) -> None:
    """Complete a state by the constants of the block, in the type of its weights."""
    weight = state.get(f"{prefix}self_connection.weight", module.self_connection.weight)
    state.update({f"{prefix}{name}": value.to(weight) for name, value in module._constants.items()})
