"""Sums over neighbors of products of equivariant features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gnnpot.graph.geometry import Neighborhoods
from gnnpot.kernels.dispatch import operation, over_items, twice_differentiable


class Path(NamedTuple):
    """A product of two degrees that gives a third."""

    features: int  # first component of the features
    degree: int  # of the harmonics
    result: int  # first component of the result
    coupling: Float[Tensor, "I J K"]


class Terms(NamedTuple):
    """Terms of a product, as the compiled loops take them."""

    places: Int[Tensor, "T 5"]  # path, component of the features, harmonic, component of the result, odd
    factors: Float[Tensor, "T"]
    size: int  # components of the result

    def like(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Places, and factors in the type of these values."""
        return self.places, self.factors.to(values.dtype)


class TensorProduct:
    """A product of features with spherical harmonics, every path with a weight for each channel.

    Args:
        paths: Paths in the order of their weights.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = tuple(paths)
        places, factors = [], []
        for number, path in enumerate(self.paths):
            first, odd = path.degree**2, path.degree % 2
            for i, j, k in path.coupling.nonzero().tolist():
                places.append((number, path.features + i, first + j, path.result + k, odd))
                factors.append(path.coupling[i, j, k])
        listed, values = torch.tensor(places), torch.stack(factors)
        sizes = [
            (path.features + path.coupling.shape[0], path.result + path.coupling.shape[2])
            for path in self.paths
        ]
        num_features, size = (max(ends) for ends in zip(*sizes, strict=True))
        self.terms = Terms(listed, values, size)
        # from the result to the features, along the reversed edges
        self.adjoint = Terms(listed[:, [0, 3, 2, 1, 4]], values * (1 - 2 * listed[:, 4]), num_features)


class _Topology(NamedTuple):
    edges: Neighborhoods
    product: TensorProduct


@operation
def convolve_tensors(
    features: Float[Tensor, "N I U"],
    harmonics: Float[Tensor, "P J"],
    weights: Float[Tensor, "P W U"],
    product: TensorProduct,
    edges: Neighborhoods,
) -> Float[Tensor, "N K U"]:
    r"""What comes into each atom, :math:`y_{i,ku} = \sum_j \sum_t c_t\, x_{j,iu} Y_{ij,j} w_{ij,tu}`.

    Args:
        features: Features x of each atom, components before channels.
        harmonics: Spherical harmonics Y of the even edges, degree by degree.
        weights: Weights w of each pair, path and channel.
        product: The terms t.
        edges: Neighborhoods of the same batch.
    """
    source, center = edges.edge_index
    carried, messages = features.index_select(0, source), []
    for number, path in enumerate(product.paths):
        size, first = path.coupling.shape, path.degree**2
        even = harmonics[:, first : first + size[1]]
        both = torch.stack([even, (-1) ** path.degree * even], dim=1).flatten(0, 1)
        coupling = torch.einsum("ej,ijk->eki", both, path.coupling.to(both))
        product_of_path = coupling @ carried[:, path.features : path.features + size[0]]
        messages.append(product_of_path * weights[:, number, None].repeat_interleave(2, dim=0))
    ordered = sorted(range(len(messages)), key=lambda number: product.paths[number].result)
    whole = torch.cat([messages[number] for number in ordered], dim=1)
    return whole.new_zeros(edges.num_atoms, *whole.shape[1:]).index_add(0, center, whole)


def _sums(edges: Neighborhoods, terms: Terms, features: Tensor, harmonics: Tensor, weights: Tensor) -> Tensor:
    from gnnpot.kernels import loops

    out = features.new_empty(len(features), terms.size, features.shape[2])
    inputs = (edges.order, edges.start, edges.edge_index, *terms.like(features))
    over_items(loops.tensor_products, edges.num_atoms, *inputs, features, harmonics, weights, out)
    return out


def _values(topology: _Topology, features: Tensor, harmonics: Tensor, weights: Tensor) -> Tensor:
    return _sums(topology.edges, topology.product.terms, features, harmonics, weights)


def _of_features(topology: _Topology, gradient: Tensor, harmonics: Tensor, weights: Tensor) -> Tensor:
    return _sums(topology.edges, topology.product.adjoint, gradient, harmonics, weights)


def _of_pairs(
    topology: _Topology, gradient: Tensor, features: Tensor, harmonics: Tensor, weights: Tensor
) -> tuple[Tensor, Tensor]:
    """Gradients of the harmonics, with these weights, and of the weights, with these harmonics."""
    from gnnpot.kernels import loops

    edges, out = topology.edges, (torch.empty_like(harmonics), torch.empty_like(weights))
    inputs = (
        edges.edge_index,
        *topology.product.terms.like(gradient),
        gradient,
        features,
        harmonics,
        weights,
    )
    over_items(loops.tensor_products_pairs, edges.num_pairs, *inputs, *out)
    return out


def _first(
    topology: _Topology, gradient: Tensor, features: Tensor, harmonics: Tensor, weights: Tensor
) -> tuple[Tensor, ...]:
    of_features = _of_features(topology, gradient, harmonics, weights)
    return of_features, *_of_pairs(topology, gradient, features, harmonics, weights)


def _second(
    topology: _Topology,
    upstream: tuple[Tensor, ...],
    gradient: Tensor,
    features: Tensor,
    harmonics: Tensor,
    weights: Tensor,
) -> tuple[Tensor, ...]:
    by_features, by_harmonics, by_weights = upstream
    of_gradient = _values(topology, by_features, harmonics, weights)
    of_gradient += _values(topology, features, by_harmonics, weights)
    of_gradient += _values(topology, features, harmonics, by_weights)
    of_features = _of_features(topology, gradient, by_harmonics, weights)
    of_features += _of_features(topology, gradient, harmonics, by_weights)
    of_harmonics, of_weights = _of_pairs(topology, gradient, by_features, harmonics, weights)
    others = _of_pairs(topology, gradient, features, by_harmonics, by_weights)
    return of_gradient, of_features, of_harmonics.add_(others[0]), of_weights.add_(others[1])


_convolve = twice_differentiable(_values, _first, _second)


@convolve_tensors.compiled
def _(
    features: Tensor, harmonics: Tensor, weights: Tensor, product: TensorProduct, edges: Neighborhoods
) -> Tensor:
    return _convolve(_Topology(edges, product), features, harmonics, weights)
