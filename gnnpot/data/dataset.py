"""Structures of a store as the graphs that a potential takes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.data import chemical_symbols
from ase.stress import full_3x3_to_voigt_6_stress
from torch.utils.data import Dataset

from gnnpot.data.columns import hash_of_labels
from gnnpot.data.forces_mask import MASK
from gnnpot.data.store import GraphStore
from gnnpot.graph.graph import LABELS, AtomicGraph, collate


class GraphDataset(Dataset[AtomicGraph]):
    """Some structures of a store as graphs.

    Args:
        store: Store that holds the structures.
        rows: Rows of the store, in this order.
        dtype: Floating-point type of the graphs.
        labels: Labels to carry; a structure that lacks one gets NaN, with weight 0.  Forces that do not count
            are NaN, too.
    """

    def __init__(
        self, store: GraphStore, rows: Sequence[int], *, dtype: torch.dtype, labels: Sequence[str] = LABELS
    ) -> None:
        self.store = store
        self.rows = [int(row) for row in rows]
        self.dtype = dtype
        self.labels = tuple(labels)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[AtomicGraph]:
        return (self[place] for place in range(len(self)))

    def __getitem__(self, place: int) -> AtomicGraph:
        row, store, dtype = self.rows[place], self.store, self.dtype
        atoms, pairs = slice(*store.atom_range(row)), slice(*store.pair_range(row))
        edges = torch.as_tensor(store.pair_index[pairs].astype(np.int64)).T  # (source, center) of even edges
        shifts = torch.as_tensor(store.pair_shifts[pairs].astype(np.int64))
        graph = AtomicGraph(
            atomic_numbers=torch.as_tensor(store.atomic_numbers[atoms].astype(np.int64)),
            positions=torch.tensor(store.positions[atoms], dtype=dtype),
            cell=torch.tensor(store.cell[row][None], dtype=dtype),
            pbc=torch.tensor(store.pbc[row][None]),
            edge_index=torch.stack([edges, edges.flip(0)], dim=2).flatten(1),
            cell_shifts=torch.stack([shifts, -shifts], dim=1).flatten(0, 1),
            batch=torch.zeros(atoms.stop - atoms.start, dtype=torch.int64),
            frame=torch.tensor([row]),
        )
        values = {
            "energy": store.energy[row][None],
            "forces": store.forces[atoms],
            "stress": store.stress[row][None],
        }
        for name in self.labels:
            graph[name] = torch.tensor(values[name], dtype=torch.float64 if name == "energy" else dtype)
            weight = 0.0 if np.isnan(values[name]).all() else store.weights[row, LABELS.index(name)]
            graph[f"{name}_weight"] = torch.tensor([weight], dtype=dtype)
        return graph

    def batches(self, num_atoms: int) -> Iterator[AtomicGraph]:
        """The graphs in their order, collated up to this many atoms; a larger structure stands alone."""
        sizes, first = self.store.num_atoms()[self.rows], 0
        while first < len(self):
            count = int(np.searchsorted(np.cumsum(sizes[first : first + num_atoms]), num_atoms, side="right"))
            last = first + max(count, 1)
            yield collate([self[place] for place in range(first, last)])
            first = last

    def elements(self) -> tuple[str, ...]:
        """Chemical symbols of all atoms, by atomic number."""
        chosen = np.zeros(len(self.store), dtype=bool)
        chosen[self.rows] = True
        numbers = np.unique(self.store.atomic_numbers[np.repeat(chosen, self.store.num_atoms())])
        return tuple(chemical_symbols[number] for number in numbers)

    def named_hashes(self) -> list[tuple[str, str]]:
        """Origin and content hash of each structure."""
        return [(self.store.origins[row], self.store.hashes[row]) for row in self.rows]

    def label_hashes(self) -> list[str]:
        """Hash of the labels of each structure and of their weights."""
        return [hash_of_labels(self.store.entries(row)) for row in self.rows]

    def content_hash(self) -> str:
        """One hash of all structures, whatever their order."""
        hashes = sorted(content for _, content in self.named_hashes())
        return hashlib.sha256("".join(hashes).encode()).hexdigest()

    def first_open(self) -> str | None:
        """Origin of the first structure that has no volume although its stress weighs, or None."""
        for row in self.rows:
            if self.store.weights[row, LABELS.index("stress")] > 0 and not self.store.pbc[row].all():
                return self.store.origins[row]
        return None

    def frames(self) -> Iterator[Atoms]:
        """The structures with their labels, for what takes no graphs."""
        store = self.store
        for row in self.rows:
            atoms = slice(*store.atom_range(row))
            frame = Atoms(
                store.atomic_numbers[atoms], store.positions[atoms], cell=store.cell[row], pbc=store.pbc[row]
            )
            frame.info.update(origin=store.origins[row], group=store.groups[row])
            labels = {"energy": store.energy[row], "forces": store.forces[atoms], "stress": store.stress[row]}
            there = {name: np.array(value) for name, value in labels.items() if not np.isnan(value).all()}
            if "forces" in there and np.isnan(there["forces"]).any():
                frame.set_array(MASK, ~np.isnan(there["forces"]))
            if "stress" in there:
                there["stress"] = full_3x3_to_voigt_6_stress(there["stress"])
            frame.calc = SinglePointCalculator(frame, **there)
            yield frame

    def lacking(self, label: str) -> list[str]:
        """Origins of the structures that lack a label although its weight is not zero."""
        absent = self._absent(label) & (self.store.weights[self.rows, LABELS.index(label)] > 0)
        return [self.store.origins[self.rows[place]] for place in np.flatnonzero(absent)]

    def count_absent(self, label: str) -> int:
        """Number of structures without a label."""
        return int(self._absent(label).sum())

    def has(self, label: str) -> bool:
        """Whether any structure has a label."""
        return not self._absent(label).all()

    def _absent(self, label: str) -> np.ndarray:
        store = self.store
        if label == "forces":
            counted = ~np.isnan(store.forces).all(axis=1)
            return ~np.logical_or.reduceat(counted, store.ends[:, 0] - store.num_atoms())[self.rows]
        return np.isnan(getattr(store, label)[self.rows]).reshape(len(self.rows), -1).any(axis=1)
