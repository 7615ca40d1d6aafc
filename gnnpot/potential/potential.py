"""Potential: from atomic energies to forces and stress; nothing else differentiates by positions."""

from __future__ import annotations

from contextlib import nullcontext
from copy import copy
from typing import NamedTuple

import torch
from ase.data import atomic_numbers as number_of
from ase.data import chemical_symbols
from jaxtyping import Float, Int
from torch import Tensor, nn

from gnnpot.errors import DataError
from gnnpot.graph.geometry import Neighborhoods, pair_vectors
from gnnpot.graph.graph import AtomicGraph
from gnnpot.kernels.dispatch import differentiated_once
from gnnpot.models.base import AtomicEnergyModel, sum_over_structures
from gnnpot.ops.neighbor_sums import sum_opposite
from gnnpot.ops.products import without_weight_gradients
from gnnpot.potential.free_atoms import bonded_part
from gnnpot.potential.header import FreeAtomEnergy
from gnnpot.potential.repulsion import ZBLRepulsion


class Prediction(NamedTuple):
    """Predictions for a batch."""

    energy: Float[Tensor, "B"]  # eV
    forces: Float[Tensor, "N 3"]  # eV/Å
    stress: Float[Tensor, "B 3 3"]  # eV/Å³, positive under tension; NaN without three periods
    atomic_energies: Float[Tensor, "N"]  # eV


class Potential(nn.Module):
    r"""A model, the energies of free atoms, and the derivatives of their sum.

    .. math:: E = \sum_i \left( E^0_{Z_i} + s\, b(n_i)\, \epsilon_i + E^{ZBL}_i \right)

    b goes from 0 to 1 as an atom gets its first neighbor (:func:`~gnnpot.potential.free_atoms.bonded_part`)
    and is 1 in any bonded structure, so that a free atom has its reference energy E⁰, whatever the network
    says.

    Args:
        model: Gives the energy ε of each atom.
        reference_energies: E⁰ of each element (eV), by chemical symbol.
        scale: s, what one unit of the model's output means (eV).
        repulsion: Short-range repulsion, or None.
        free_atoms: ``network`` leaves b out, as potentials of the first two file formats do: a free atom then
            has what the network gives an atom without neighbors beside its reference energy.

    Raises:
        DataError: The model knows an element that has no reference energy.
    """

    reference_energies: Float[Tensor, "119"]
    scale: Float[Tensor, ""]

    def __init__(
        self,
        model: AtomicEnergyModel,
        reference_energies: dict[str, float],
        *,
        scale: float = 1.0,
        repulsion: ZBLRepulsion | None = None,
        free_atoms: FreeAtomEnergy = "reference",
    ) -> None:
        super().__init__()
        missing = set(model.config.elements) - set(reference_energies)
        if missing:
            raise DataError(
                f"expected a reference energy of each element, got none of {', '.join(sorted(missing))}; "
                "give it under reference_energies"
            )
        self.model = model
        self.repulsion = repulsion
        references = torch.full((119,), torch.nan, dtype=torch.float64)
        for symbol in model.config.elements:
            references[number_of[symbol]] = reference_energies[symbol]
        self.register_buffer("reference_energies", references)
        self.register_buffer("scale", torch.tensor(scale, dtype=torch.float64))
        self.free_atoms: FreeAtomEnergy = free_atoms

    @property
    def cutoff(self) -> float:
        """Longest edge that is needed (Å)."""
        return self.model.cutoff

    @property
    def few_pairs(self) -> int:
        """Number of pairs up to which dynamics takes its time for operations, not for their size."""
        return self.model.FEW_PAIRS

    @property
    def elements(self) -> tuple[str, ...]:
        """Chemical symbols of the elements it can predict."""
        return tuple(self.model.config.elements)

    @property
    def dtype(self) -> torch.dtype:
        """Floating-point type of the model's weights, and so of the graphs it takes."""
        return next(self.model.parameters()).dtype

    def forward(self, graph: AtomicGraph) -> Prediction:
        """Predict ``graph``; the result can be differentiated again unless grad mode is off.

        Energies are summed in float64.  Forces and stress come from one derivative, with respect to the
        vectors v of the pairs: F_i = Σ dE/dv over pairs centered on i less those that i is the source
        of, and σ = Σ sym(v ⊗ dE/dv) / V.

        Raises:
            DataError: An element that the model does not know, or edges that are not those of the atoms.
            RuntimeError: Inside ``torch.inference_mode``, in which nothing has a derivative.
        """
        if torch.is_inference_mode_enabled():
            raise RuntimeError("expected derivatives for forces, got torch.inference_mode; use torch.no_grad")
        differentiable = torch.is_grad_enabled()
        derivatives = nullcontext() if differentiable else differentiated_once()
        with torch.enable_grad(), derivatives:
            vectors = pair_vectors(graph)
            if not vectors.requires_grad:  # they do where the caller differentiates by positions
                vectors = vectors.detach().requires_grad_(True)
            located = copy(graph)
            located.pair_vectors = vectors
            located.pair_lengths = torch.linalg.vector_norm(vectors, dim=-1)
            located.neighborhoods = _neighborhoods(graph, len(vectors))
            interaction = self.interaction_energies(located)
            with without_weight_gradients():
                (gradient,) = torch.autograd.grad(
                    interaction,
                    vectors,
                    torch.ones_like(interaction),
                    create_graph=differentiable,
                    materialize_grads=True,
                )
        if not differentiable:
            interaction, vectors = interaction.detach(), vectors.detach()
        atomic_energies = interaction + self.reference_energies[graph.atomic_numbers]
        return Prediction(
            energy=sum_over_structures(atomic_energies, graph),
            forces=sum_opposite(gradient, located.neighborhoods),
            stress=_stress(vectors, gradient, graph),
            atomic_energies=atomic_energies,
        )

    def interaction_energies(self, graph: AtomicGraph) -> Float[Tensor, "N"]:
        """Energy of each atom minus its reference energy (eV), in float64."""
        energies = self.model.atomic_energies(graph).double() * self.scale
        if (part := self.network_part(graph)) is not None:
            energies = energies * part
        if self.repulsion is not None:
            energies = energies + self.repulsion.atomic_energies(graph, self.cutoff).double()
        return energies

    def network_part(self, graph: AtomicGraph) -> Float[Tensor, "N"] | None:
        """What of the network's energy each atom has, or None where every atom has all of it."""
        return bonded_part(graph, self.cutoff) if self.free_atoms == "reference" else None

    def check_elements(self, numbers: Int[Tensor, "N"]) -> None:
        """Check that the potential knows the elements of these atoms.

        Raises:
            DataError: Naming the elements.
        """
        unknown = {chemical_symbols[number] for number in numbers.unique().tolist()} - set(self.elements)
        if unknown:
            raise DataError(
                f"expected atoms of {', '.join(self.elements)}, got {', '.join(sorted(unknown))}; "
                "use a potential that was trained on them"
            )


def _neighborhoods(graph: AtomicGraph, num_pairs: int) -> Neighborhoods:
    """Edges of the graph, of which as many pairs as it has vectors."""
    edges = Neighborhoods.of(graph)
    if edges.num_pairs != num_pairs:
        raise DataError(
            f"expected a vector of each of {edges.num_pairs} pairs of atoms, got {num_pairs}; "
            "give those of the even edges"
        )
    return edges


def _stress(
    vectors: Float[Tensor, "P 3"], gradient: Float[Tensor, "P 3"], graph: AtomicGraph
) -> Float[Tensor, "B 3 3"]:
    if not gradient.requires_grad and not graph.pbc.is_cuda and not graph.periodic.any():
        return torch.full_like(graph.cell, torch.nan)
    if graph.num_structures == 1:
        virial = (vectors.T @ gradient)[None]
    else:
        structure = graph.batch.index_select(0, graph.edge_index[1, 0::2])
        outer = vectors[:, :, None] * gradient[:, None, :]
        virial = torch.zeros_like(graph.cell).index_add(0, structure, outer)
    stress = 0.5 * (virial + virial.mT) / graph.volume[:, None, None]
    return torch.where(graph.periodic[:, None, None], stress, torch.nan)
