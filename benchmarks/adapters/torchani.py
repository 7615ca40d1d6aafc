"""TorchANI: as its users call it, and by its entry for neighbor lists made elsewhere."""

from __future__ import annotations

import os

import numpy as np
import torch
from torch import Tensor, nn
from vesin import NeighborList

from adapters.base import ANI_HIDDEN, Adapter, Predicted

os.environ["TORCHANI_NO_WARN_EXTENSIONS"] = "1"

import torchani
from torchani.aev import ANIAngular, ANIRadial
from torchani.arch import Assembler
from torchani.neighbors import Neighbors
from torchani.nn import ANINetworks

RADIAL_CUTOFF, ANGULAR_CUTOFF = 5.1, 3.5  # Å


def ani(elements: list[str], neighborlist: str) -> nn.Module:
    """The environment vectors of ANI-2x with equal networks for all elements."""
    assembler = Assembler(elements, neighborlist=neighborlist)
    assembler.set_global_cutoff_fn("cosine")
    assembler.set_aev_computer(
        radial=ANIRadial.cover_linearly(start=0.8, cutoff=RADIAL_CUTOFF, eta=19.7, num_shifts=16),
        angular=ANIAngular.cover_linearly(
            start=0.8, cutoff=ANGULAR_CUTOFF, eta=12.5, zeta=14.1, num_shifts=8, num_sections=4
        ),
    )
    networks = {"dims": {}, "default_dims": ANI_HIDDEN, "activation": "celu", "bias": True}
    assembler.set_atomic_networks(ANINetworks, "build", networks)
    assembler.set_zeros_as_self_energies()
    return assembler.assemble()


class TorchANI(Adapter):
    """One call of the model a batch of molecules; one a structure with periodic boundaries.

    TorchANI batches molecules alone.  Its list of a periodic cell is made before the step where the task
    says so; that of molecules is made within the model and cannot be kept.
    """

    trains_stress = False

    def build(self) -> nn.Module:
        """ANI-2x; of its lists the one that chooses by size, which takes no batches, where it can be."""
        return ani(self.elements, "adaptive" if self.periodic else "all_pairs")

    def collate(self) -> None:
        """Tensors of all structures, which are of equal size, and lists of periodic ones."""
        self.numbers = torch.tensor(np.array([atoms.numbers for atoms in self.frames]))
        self.positions = torch.tensor(np.array([atoms.positions for atoms in self.frames])).float()
        self.rows = self.model.species_converter(self.numbers)
        self.lists = [self._list(place) for place in range(len(self.frames))] if self.periodic else []

    def predict(self) -> Predicted:
        """Energy and forces."""
        positions = self.positions.clone().requires_grad_(True)
        if self.periodic:
            places = range(len(self.frames))
            energy = torch.cat([self._energy(place, positions[place]) for place in places])
        else:
            energy = self.model((self.numbers, positions)).energies
        (slope,) = torch.autograd.grad(energy.sum(), positions, create_graph=True)
        return Predicted(energy, -slope, None)

    def make_calculator(self) -> torchani.ase.Calculator:
        """That of the library, stress by scaling."""
        return self.model.ase()

    def version(self) -> str:
        """Version of TorchANI."""
        return f"torchani {torchani.__version__}"

    @torch.no_grad()
    def _list(self, place: int) -> tuple[Tensor, Tensor]:
        """Pairs of a structure, and what their vectors have beyond the difference of positions."""
        one, cell = slice(place, place + 1), torch.tensor(self.frames[place].cell.array).float()
        found = self.model.neighborlist(
            RADIAL_CUTOFF, self.rows[one], self.positions[one], cell, torch.tensor([True] * 3)
        )
        first, second = self.positions[place][found.indices]
        return found.indices, found.diff_vectors - (first - second)

    def _energy(self, place: int, positions: Tensor) -> Tensor:
        pairs, shifts = self.lists[place]
        neighbors = along(positions, pairs, shifts)
        return self.model.compute_from_neighbors(
            self.rows[place : place + 1], positions[None], neighbors
        ).energies


class FlatTorchANI(TorchANI):
    """All structures of a batch as one molecule, with the half list of another program."""

    trains_stress = True

    def collate(self) -> None:
        """One half list for the whole batch."""
        sizes = [len(atoms) for atoms in self.frames]
        lists = [half_list(atoms, RADIAL_CUTOFF) for atoms in self.frames]
        starts = np.cumsum([0, *sizes[:-1]])
        pairs = [found + start for (found, _), start in zip(lists, starts, strict=True)]
        self.pairs = torch.tensor(np.concatenate(pairs, axis=1))
        self.shifts = torch.tensor(np.concatenate([shifts for _, shifts in lists])).float()
        self.batch = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
        self.positions = torch.tensor(np.concatenate([atoms.positions for atoms in self.frames])).float()
        numbers = torch.tensor(np.concatenate([atoms.numbers for atoms in self.frames]))
        self.rows = self.model.species_converter(numbers[None])
        self.volume = torch.tensor([atoms.cell.volume for atoms in self.frames]).float()

    def predict(self) -> Predicted:
        """Forces and stress from one derivative, with respect to the vectors of the pairs."""
        neighbors = along(self.positions, self.pairs, self.shifts)
        vectors = neighbors.diff_vectors.requires_grad_(True)
        neighbors = Neighbors(self.pairs, torch.linalg.vector_norm(vectors, dim=1), vectors)
        atomic = self.model.compute_from_neighbors(self.rows, self.positions[None], neighbors, atomic=True)
        energy = torch.zeros(len(self.frames)).index_add(0, self.batch, atomic.energies.reshape(-1))
        (slope,) = torch.autograd.grad(energy.sum(), vectors, create_graph=True)
        first, second = self.pairs
        forces = torch.zeros_like(self.positions).index_add(0, first, -slope).index_add(0, second, slope)
        if not self.periodic:
            return Predicted(energy, forces, None)
        outer = vectors[:, :, None] * slope[:, None, :]
        virial = torch.zeros(len(self.frames), 3, 3).index_add(0, self.batch[first], outer)
        return Predicted(energy, forces, virial / self.volume[:, None, None])


def along(positions: Tensor, pairs: Tensor, shifts: Tensor) -> Neighbors:
    """The neighbors that the model takes, from the second atom of each pair to the first."""
    first, second = positions[pairs[0]], positions[pairs[1]]
    vectors = first - second + shifts
    return Neighbors(pairs, torch.linalg.vector_norm(vectors, dim=1), vectors)


def half_list(atoms, cutoff: float) -> tuple[np.ndarray, np.ndarray]:
    """Each pair once (2, P), and the lattice vectors to add to r_0 - r_1 (P, 3), in Å."""
    periodic = bool(atoms.pbc.any())
    box = atoms.cell.array if periodic else np.eye(3)
    finder = NeighborList(cutoff=cutoff, full_list=False)
    first, second, images = finder.compute(
        points=atoms.positions, box=box, periodic=periodic, quantities="ijS"
    )
    return np.array([first, second]).astype(np.int64), -images.astype(float) @ box
