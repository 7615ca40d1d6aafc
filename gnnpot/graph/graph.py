"""The one noun that flows through the library: structures with their neighbor lists."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from ase import Atoms
from ase.stress import voigt_6_to_full_3x3_stress
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch_geometric.data import Data

from gnnpot.errors import DataError
from gnnpot.graph.neighbors import neighbor_pairs

LABELS = ("energy", "forces", "stress")


class AtomicGraph(Data):
    """One structure, or a batch of them, with its neighbor list and maybe its labels.

    A single structure is a batch of one: fields of a structure keep their leading axis B = 1, so no
    function asks which of the two it was given.  Edges come in pairs: 2p and 2p+1 are each other's
    reverse.  Units: Å, eV, eV/Å, eV/Å³.

    Attributes:
        atomic_numbers: Z_i.
        positions: Cartesian coordinates r_i (Å).
        cell: Lattice vectors as rows (Å); zero rows along open directions.
        pbc: Periodic directions.
        edge_index: Source j in row 0, center i in row 1.
        cell_shifts: Integers S with r_ij = r_j + S·cell − r_i.
        batch: Structure that each atom belongs to.
        energy: Label E (eV), or absent.
        forces: Label −dE/dr_i (eV/Å), or absent.
        stress: Label (1/V) dE/dε (eV/Å³), positive under tension, or absent.
        energy_weight: Weight of the structure in the energy term of a loss; with a label only.
        forces_weight: The same for forces.
        stress_weight: The same for stress.
        frame: Row of the store that the structure came from, or absent.
        bonded_within: Cutoff (Å) from which on each atom has a coordination of at least 1, or absent.
    """

    atomic_numbers: Int[Tensor, "N"]
    positions: Float[Tensor, "N 3"]
    cell: Float[Tensor, "B 3 3"]
    pbc: Bool[Tensor, "B 3"]
    edge_index: Int[Tensor, "2 E"]
    cell_shifts: Int[Tensor, "E 3"]
    batch: Int[Tensor, "N"]

    @classmethod
    def from_ase(cls, atoms: Atoms, cutoff: float, dtype: torch.dtype | None = None) -> AtomicGraph:
        """The graph of ``atoms``, with the labels that its calculator holds.

        Args:
            atoms: Any structure: molecule, slab, crystal; cells smaller than the cutoff too.
            cutoff: Longest edge (Å).
            dtype: dtype of all floating-point fields; torch's default if not given.

        Raises:
            DataError: Positions that are not finite, or a periodic cell without a volume.
        """
        dtype = torch.get_default_dtype() if dtype is None else dtype
        edge_index, cell_shifts = neighbor_pairs(atoms.positions, atoms.cell.array, atoms.pbc, cutoff)
        graph = cls(
            atomic_numbers=torch.as_tensor(atoms.numbers, dtype=torch.int64),
            positions=torch.as_tensor(atoms.positions, dtype=dtype),
            cell=torch.as_tensor(atoms.cell.array, dtype=dtype)[None],
            pbc=torch.as_tensor(atoms.pbc)[None],
            edge_index=torch.from_numpy(edge_index),
            cell_shifts=torch.from_numpy(cell_shifts),
            batch=torch.zeros(len(atoms), dtype=torch.int64),
        )
        for name, value in label_arrays(atoms).items():
            graph[name] = torch.as_tensor(value, dtype=dtype)
            graph[f"{name}_weight"] = torch.tensor([atoms.info.get(f"{name}_weight", 1.0)], dtype=dtype)
        return graph

    @property
    def num_structures(self) -> int:
        """B, the number of structures."""
        return len(self.cell)

    @property
    def num_atoms(self) -> Int[Tensor, "B"]:
        """Number of atoms of each structure."""
        return torch.bincount(self.batch, minlength=self.num_structures)

    @property
    def periodic(self) -> Bool[Tensor, "B"]:
        """Whether the structure is periodic along all three lattice vectors, so that it has a stress."""
        return self.pbc.all(dim=1)

    @property
    def volume(self) -> Float[Tensor, "B"]:
        """Volume of the cell (Å³), positive for left-handed cells too; 1 without three periods."""
        a, b, c = self.cell.unbind(1)
        return torch.where(self.periodic, (torch.linalg.cross(a, b) * c).sum(1).abs(), 1.0)

    def __inc__(self, key: str, value: object, *args: object, **kwargs: object) -> int:
        """Offset of a field in a batch that PyG makes: atoms for edges, structures for ``batch``."""
        return {"edge_index": self.num_nodes, "batch": 1}.get(key, 0)


def label_arrays(atoms: Atoms) -> dict[str, np.ndarray]:
    """The labels that ``atoms.calc`` holds, with shapes (1,), (N, 3), (1, 3, 3).

    A stress without three periodic directions is none: there is no volume that it is of.
    """
    results = atoms.calc.results if atoms.calc is not None else {}
    labels = {}
    if "energy" in results:
        labels["energy"] = np.array([results["energy"]], dtype=float)
    if "forces" in results:
        labels["forces"] = np.array(results["forces"], dtype=float)
    if "stress" in results and atoms.pbc.all():
        stress = np.asarray(results["stress"], dtype=float)
        labels["stress"] = (voigt_6_to_full_3x3_stress(stress) if stress.shape == (6,) else stress)[None]
    return labels


def collate(graphs: Sequence[AtomicGraph]) -> AtomicGraph:
    """One batch of several graphs.

    Raises:
        DataError: Some graphs carry a label and others do not, unless the weight of those without is
            zero.
    """
    sizes = torch.tensor([len(graph.atomic_numbers) for graph in graphs])
    edges = torch.tensor([graph.edge_index.shape[1] for graph in graphs])
    offsets = torch.cumsum(sizes, 0) - sizes
    edge_index = torch.cat([graph.edge_index for graph in graphs], dim=1)
    structures = torch.tensor([graph.num_structures for graph in graphs])
    first = torch.cumsum(structures, 0) - structures
    batch = torch.cat([graph.batch for graph in graphs])
    fields = ("atomic_numbers", "positions", "cell", "pbc", "cell_shifts")
    collated = AtomicGraph(
        edge_index=edge_index + torch.repeat_interleave(offsets, edges),
        batch=batch + torch.repeat_interleave(first, sizes),
        **{name: torch.cat([graph[name] for graph in graphs]) for name in fields},
    )
    if all("frame" in graph for graph in graphs):
        collated.frame = torch.cat([graph.frame for graph in graphs])
    for name in LABELS:
        missing = sum(name not in graph for graph in graphs)
        if missing == len(graphs):
            continue
        if missing:
            raise DataError(
                f"expected {name} labels on all {len(graphs)} structures of the batch or on none, "
                f"got {missing} without; label them or give them a {name} weight of 0"
            )
        for field in (name, f"{name}_weight"):
            collated[field] = torch.cat([graph[field] for graph in graphs])
    return collated
