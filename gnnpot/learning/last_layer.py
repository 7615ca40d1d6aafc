"""The uncertainty of one potential, from the features of its last hidden layer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gnnpot.data.dataset import GraphDataset
from gnnpot.errors import DataError
from gnnpot.evaluation.evaluation import BATCH_ATOMS
from gnnpot.graph.graph import AtomicGraph
from gnnpot.models.base import sum_over_structures
from gnnpot.models.hidden import hidden_features
from gnnpot.potential.potential import Potential

Array = np.ndarray
_RIDGE = 1e-6  # of the mean variance of a feature


@dataclass(frozen=True)
class LastLayerUncertainty:
    r"""Standard deviation of energies as linear functions of the last hidden layer.

    With features :math:`f_i` of the atoms, :math:`\phi = \sum_i f_i / N` of a structure, and
    :math:`A = \sum_s \phi_s \phi_s^T + \lambda 1` over the training structures,

    .. math:: \sigma^2(E / N) = \alpha^2\, \phi^T A^{-1} \phi

    where α makes errors of held-out structures as large as their σ.  No potential is trained again, and it
    costs one pass through the model without derivatives.

    Attributes:
        potential: The potential.
        factor: Cholesky factor of A.
        alpha: α (eV per atom).
    """

    potential: Potential
    factor: Float[Tensor, "F F"]
    alpha: float

    @classmethod
    def fitted(
        cls, potential: Potential, train: GraphDataset, held_out: GraphDataset
    ) -> LastLayerUncertainty:
        """The uncertainty after a training.

        Args:
            potential: Trained.
            train: Structures that it was trained on.
            held_out: Labeled structures that it was not, for α.

        Raises:
            DataError: None of these has an energy.
        """
        features = torch.cat([_mean_features(potential, graph) for graph in train.batches(BATCH_ATOMS)])
        matrix = features.T @ features
        ridge = _RIDGE * matrix.diagonal().mean() + torch.finfo(matrix.dtype).tiny
        factor = torch.linalg.cholesky(matrix + ridge * torch.eye(len(matrix), dtype=matrix.dtype))
        plain = cls(potential, factor, 1.0)
        ratios = [plain._squared_ratios(graph) for graph in held_out.batches(BATCH_ATOMS)]
        known = torch.cat(ratios) if ratios else torch.empty(0)
        if not len(known):
            raise DataError("expected held-out structures with energies to scale by, got none; label some")
        return cls(potential, factor, float(known.mean().sqrt()))

    @torch.no_grad()
    def energy_per_atom(self, graph: AtomicGraph) -> Float[Array, "B"]:
        """Standard deviation of the energy per atom of each structure (eV)."""
        return self._deviations(_mean_features(self.potential, graph))

    @torch.no_grad()
    def atoms(self, graph: AtomicGraph) -> Float[Array, "N"]:
        """The same for a structure of atoms that are all like this one (eV), which ranks atoms."""
        return self._deviations(_features(self.potential, graph))

    def _deviations(self, features: Float[Tensor, "S F"]) -> Float[Array, "S"]:
        solved = torch.linalg.solve_triangular(self.factor, features.T, upper=False)
        return (self.alpha * torch.linalg.vector_norm(solved, dim=0)).cpu().numpy()

    def _squared_ratios(self, graph: AtomicGraph) -> Float[Tensor, "_"]:
        """Squared errors over squared deviations of the structures that have an energy."""
        with torch.no_grad():
            errors = (self.potential(graph).energy - graph.energy) / graph.num_atoms
        deviations = torch.as_tensor(self.energy_per_atom(graph))
        return ((errors.double() / deviations) ** 2)[~torch.isnan(graph.energy)]


@torch.no_grad()
def _features(potential: Potential, graph: AtomicGraph) -> Float[Tensor, "N F"]:
    """Features in which energies of atoms are linear."""
    features = hidden_features(potential.model, graph).double()
    part = potential.network_part(graph)
    return features if part is None else features * part[:, None]


def _mean_features(potential: Potential, graph: AtomicGraph) -> Float[Tensor, "B F"]:
    return sum_over_structures(_features(potential, graph), graph) / graph.num_atoms[:, None]
