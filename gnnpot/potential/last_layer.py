"""The uncertainty of one potential, from the features of its last hidden layer."""

from __future__ import annotations

import json
from collections.abc import Iterable
from copy import copy
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from gnnpot.errors import DataError, ModelFileError, one_line
from gnnpot.graph.geometry import Neighborhoods, pair_vectors
from gnnpot.graph.graph import AtomicGraph
from gnnpot.kernels.dispatch import differentiated_once
from gnnpot.models.base import sum_over_structures
from gnnpot.models.hidden import hidden_features, watched
from gnnpot.ops.neighbor_sums import sum_opposite
from gnnpot.potential.committee import Committee
from gnnpot.potential.potential import Potential, Prediction
from gnnpot.system.files import write_bytes

UNCERTAINTY_FILE = "uncertainty.safetensors"
SHARES = (0.6827, 0.9545)  # of a normal distribution within one and two standard deviations
_RIDGE = 1e-6  # of the mean variance of a feature
_DRAWS = 4
_MOST = 1 << 24  # numbers of which torch takes quantiles
_ROUNDING = 1e-6  # of the largest σ


class Deviations(NamedTuple):
    """How far a potential may be off, in what it says of a batch: 68 % of the errors are smaller."""

    energy: Float[Tensor, "B"]  # eV
    forces: Float[Tensor, "N 3"] | None  # eV/Å, if they were asked for
    atomic_energies: Float[Tensor, "N"]  # eV, which rank atoms


class Scale(NamedTuple):
    """From the lengths of features to intervals that hold as many held-out errors as they say.

    Attributes:
        sigma: Factor with which σ holds 68 % (eV per atom, or eV/Å).
        width: Number of σ that hold 95 %: two for normal errors, more where some are much larger than others.
    """

    sigma: float = 1.0
    width: float = 2.0


class LastLayerUncertainty(nn.Module):
    r"""Standard deviations of energies and forces as linear functions of the last hidden layer.

    With features :math:`f_i` of the atoms, :math:`\phi = \sum_i f_i / N` of a structure, and
    :math:`A = \sum_s \phi_s \phi_s^T + \lambda 1` over the training structures,

    .. math:: \sigma(E / N) = \alpha \sqrt{\phi^T A^{-1} \phi}, \qquad
        \sigma(F) = \beta \sqrt{g^T A^{-1} g}, \quad g = \partial \sum_i f_i / \partial r

    where α and β make 68 % of the errors of held-out structures lie within σ; errors are not normal, so
    that the number of σ that hold 95 % of them is kept as well.  No potential is trained again.  The second
    is the mean square over a few weights w drawn once with covariance :math:`A^{-1}`, each of which costs a
    derivative of :math:`\sum_i w^T f_i`; its relative error is :math:`1 / \sqrt{2 K}` for K of them.  It
    predicts what the potential does, and is usable in its place.

    Source: intervals by quantiles of held-out errors are those of split conformal prediction (Vovk,
    Gammerman, Shafer, Algorithmic Learning in a Random World, 2005).

    Args:
        potential: The potential.
        factor: Cholesky factor of A.
        draws: The weights, in columns.
        energy: α (eV per atom), and the number of σ for 95 %.
        forces: β (eV/Å), and the same.
    """

    factor: Float[Tensor, "F F"]
    draws: Float[Tensor, "F K"]

    def __init__(
        self, potential: Potential, factor: Tensor, draws: Tensor, energy: Scale, forces: Scale
    ) -> None:
        super().__init__()
        self.potential = potential
        self.register_buffer("factor", factor)
        self.register_buffer("draws", draws)
        self.energy, self.forces = energy, forces

    @property
    def widths(self) -> dict[str, float]:
        """Number of σ that hold 95 % of the errors, of each quantity."""
        return {"energy": self.energy.width, "forces": self.forces.width}

    @property
    def cutoff(self) -> float:
        """Longest edge that is needed (Å)."""
        return self.potential.cutoff

    @property
    def few_pairs(self) -> int:
        """Number of pairs up to which dynamics takes its time for operations."""
        return self.potential.few_pairs

    @property
    def elements(self) -> tuple[str, ...]:
        """Chemical symbols of the elements that it can predict."""
        return self.potential.elements

    @property
    def dtype(self) -> torch.dtype:
        """Floating-point type of the weights, and so of the graphs it takes."""
        return self.potential.dtype

    def forward(self, graph: AtomicGraph) -> Prediction:
        """What the potential says."""
        prediction: Prediction = self.potential(graph)
        return prediction

    def check_elements(self, numbers: Int[Tensor, "N"]) -> None:
        """Check that the potential knows the elements of these atoms.

        Raises:
            DataError: Naming the elements.
        """
        self.potential.check_elements(numbers)

    @classmethod
    def fitted(
        cls, potential: Potential, train: Iterable[AtomicGraph], held_out: Iterable[AtomicGraph]
    ) -> LastLayerUncertainty:
        """The uncertainty after a training.

        Args:
            potential: Trained.
            train: Structures that it was trained on, in batches.
            held_out: Labeled structures that it was not, for the scales.

        Raises:
            DataError: None of these has a label, or the model has no last layer of the kind.
        """
        known = torch.cat([_means(_features(potential, graph), graph) for graph in train])
        matrix = known.T @ known
        ridge = _RIDGE * matrix.diagonal().mean() + torch.finfo(matrix.dtype).tiny
        factor = torch.linalg.cholesky(matrix + ridge * torch.eye(len(matrix), dtype=matrix.dtype))
        normal = torch.randn(
            len(matrix), _DRAWS, generator=torch.Generator().manual_seed(0), dtype=matrix.dtype
        )
        draws = torch.linalg.solve_triangular(factor.T, normal, upper=True)
        plain = cls(potential, factor, draws, Scale(), Scale())
        energies, forces = list[tuple[Tensor, Tensor]](), list[tuple[Tensor, Tensor]]()
        for graph in held_out:
            prediction, deviations = potential(graph), plain.deviations(graph)
            assert deviations.forces is not None
            energies.append((prediction.energy.detach() - graph.energy, deviations.energy))
            forces.append((prediction.forces.detach().double() - graph.forces, deviations.forces))
        scales = _scale(energies), _scale(forces)
        if scales == (None, None):
            raise DataError("expected held-out structures with labels to scale by, got none; label some")
        return cls(potential, factor, draws, *(scale or Scale() for scale in scales))

    @torch.no_grad()
    def deviations(self, graph: AtomicGraph) -> Deviations:
        """How sure the potential is of a batch; that of forces costs a few derivatives.

        Args:
            graph: The batch.
        """
        features, drawn = self._derivatives(graph)
        spread = self.forces.sigma * torch.stack(drawn).double().square().mean(dim=0).sqrt()
        return self._of_energies(features, graph)._replace(forces=spread)

    @torch.no_grad()
    def prediction_with_deviations(self, graph: AtomicGraph) -> tuple[Prediction, Deviations]:
        """What the potential says of a batch, and from the same pass how sure it is of energies.

        Args:
            graph: The batch.
        """
        with watched(self.potential.model) as hidden:
            prediction = self.potential(graph)
        features = _of_network(self.potential, hidden().double(), graph)
        return prediction, self._of_energies(features, graph)

    def _of_energies(self, features: Float[Tensor, "N F"], graph: AtomicGraph) -> Deviations:
        whitened = torch.linalg.solve_triangular(self.factor.T, features, upper=True, left=False)
        return Deviations(
            energy=self.energy.sigma * torch.linalg.vector_norm(sum_over_structures(whitened, graph), dim=1),
            forces=None,
            atomic_energies=self.energy.sigma * torch.linalg.vector_norm(whitened, dim=1),
        )

    def _derivatives(self, graph: AtomicGraph) -> tuple[Float[Tensor, "N F"], list[Float[Tensor, "N 3"]]]:
        """Features, and the forces that each of the drawn weights makes of them."""
        edges = Neighborhoods.of(graph)
        with torch.enable_grad(), differentiated_once():
            vectors = pair_vectors(graph).detach().requires_grad_(True)
            located = copy(graph)
            located.pair_vectors = vectors
            located.pair_lengths = torch.linalg.vector_norm(vectors, dim=-1)
            located.neighborhoods = edges
            features = _caught(self.potential, located)
            columns = self.draws.to(features.dtype).unbind(dim=1)
            gradients = [
                torch.autograd.grad((features @ column).sum(), vectors, retain_graph=True)[0]
                for column in columns
            ]
        return features.detach().double(), [sum_opposite(gradient, edges) for gradient in gradients]

    def write(self, path: Path) -> None:
        """Write all but the potential.

        Raises:
            OutputError: The disk is full, or the folder cannot be written to.
        """
        tensors = {name: value.cpu().contiguous() for name, value in self.named_buffers(recurse=False)}
        write_bytes(path, save(tensors, metadata={"scales": json.dumps([self.energy, self.forces])}))

    @classmethod
    def read(cls, path: Path, potential: Potential) -> LastLayerUncertainty:
        """Read what :meth:`write` wrote.

        Args:
            path: The file.
            potential: That of the same training.

        Raises:
            ModelFileError: The file is not there, or not whole.
        """
        try:
            with safe_open(path, framework="pt") as file:
                scales = json.loads((file.metadata() or {})["scales"])
                factor, draws = (file.get_tensor(name).clone() for name in ("factor", "draws"))
            energy, forces = (Scale(float(sigma), float(width)) for sigma, width in scales)
            return cls(potential, factor, draws, energy, forces)
        except (OSError, SafetensorError, LookupError, TypeError, ValueError) as error:
            raise ModelFileError(
                f"expected an uncertainty beside its potential, got {path} ({one_line(error)}); train with "
                "training.uncertainty=last_layer"
            ) from error


def with_kept_uncertainty(
    path: str | Path, potential: Potential | Committee
) -> Potential | Committee | LastLayerUncertainty:
    """The potential of a training with the uncertainty that its folder keeps, if it keeps one.

    Args:
        path: Where the potential was read from.
        potential: The potential.
    """
    file = Path(path) / UNCERTAINTY_FILE
    if isinstance(potential, Committee) or not file.is_file():
        return potential
    device = next(potential.parameters()).device
    return LastLayerUncertainty.read(file, potential).to(device)


def _caught(potential: Potential, graph: AtomicGraph) -> Float[Tensor, "N F"]:
    """Features in which the energies of atoms are linear."""
    return _of_network(potential, hidden_features(potential.model, graph), graph)


def _of_network(
    potential: Potential, features: Float[Tensor, "N F"], graph: AtomicGraph
) -> Float[Tensor, "N F"]:
    part = potential.network_part(graph)
    return features if part is None else features * part[:, None]


@torch.no_grad()
def _features(potential: Potential, graph: AtomicGraph) -> Float[Tensor, "N F"]:
    return _caught(potential, graph).double()


def _means(features: Float[Tensor, "N F"], graph: AtomicGraph) -> Float[Tensor, "B F"]:
    return sum_over_structures(features, graph) / graph.num_atoms[:, None]


def _scale(pairs: list[tuple[Tensor, Tensor]]) -> Scale | None:
    """Quantiles of errors in σ; a little higher for few, so that the next error lies within as often.

    Where symmetry makes σ zero but for rounding, as in perfect crystals, an error says nothing of it.
    """
    if not pairs:
        return None
    errors, deviations = (
        torch.cat([part.reshape(-1).double() for part in parts]) for parts in zip(*pairs, strict=True)
    )
    counts = ~torch.isnan(errors) & (deviations > _ROUNDING * deviations.max())
    there = (errors / deviations)[counts].abs()[:_MOST]
    if not len(there):
        return None
    shares = (there.new_tensor(SHARES) * (len(there) + 1) / len(there)).clamp(max=1.0)
    one, two = torch.quantile(there, shares).tolist()
    return Scale(one, two / one) if one > 0 else None
