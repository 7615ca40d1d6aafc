"""Structures as graphs, built once, kept on disk, read lazily."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.data import chemical_symbols
from ase.stress import full_3x3_to_voigt_6_stress
from jaxtyping import Bool, Float, Int
from torch.utils.data import Dataset

from gnnpot.data.reading import content_hash, is_isolated_atom
from gnnpot.errors import DataError
from gnnpot.graph.graph import LABELS, AtomicGraph, label_arrays
from gnnpot.graph.neighbors import neighbor_pairs

# name: (type on disk, shape of one row, what a row belongs to)
_COLUMNS: dict[str, tuple[str, tuple[int, ...], str]] = {
    "atomic_numbers": ("u1", (), "atom"),
    "positions": ("f8", (3,), "atom"),
    "forces": ("f8", (3,), "atom"),
    "pair_index": ("i4", (2,), "pair"),
    "pair_shifts": ("i2", (3,), "pair"),
    "cell": ("f8", (3, 3), "structure"),
    "pbc": ("?", (3,), "structure"),
    "energy": ("f8", (), "structure"),
    "stress": ("f8", (3, 3), "structure"),
    "weights": ("f8", (3,), "structure"),  # of energy, forces, stress
    "isolated": ("?", (), "structure"),
    "ends": ("i8", (2,), "structure"),  # atoms and pairs up to and with this structure
}
_FORMAT = 1


class GraphStore:
    """Structures with their neighbor pairs and labels in memory-mapped columns of one folder.

    Labels that a structure lacks are NaN on disk; labels that are not finite never get there.

    Args:
        folder: Folder that :meth:`build` wrote.

    Raises:
        DataError: The folder holds no whole store.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        try:
            index = json.loads((self.folder / "index.json").read_text())
        except (OSError, ValueError) as error:
            raise DataError(f"expected graphs in {folder}, got none; build them again") from error
        self.cutoff: float = index["cutoff"]
        self.origins: list[str] = index["origins"]
        self.groups: list[str] = index["groups"]
        self.hashes: list[str] = index["hashes"]
        sizes = dict(zip(("structure", "atom", "pair"), index["sizes"], strict=True))
        for name, (dtype, shape, unit) in _COLUMNS.items():
            setattr(self, name, _mapped(self.folder / f"{name}.bin", dtype, (sizes[unit], *shape)))

    atomic_numbers: Int[np.ndarray, "N"]
    positions: Float[np.ndarray, "N 3"]
    forces: Float[np.ndarray, "N 3"]
    pair_index: Int[np.ndarray, "P 2"]
    pair_shifts: Int[np.ndarray, "P 3"]
    cell: Float[np.ndarray, "S 3 3"]
    pbc: Bool[np.ndarray, "S 3"]
    energy: Float[np.ndarray, "S"]
    stress: Float[np.ndarray, "S 3 3"]
    weights: Float[np.ndarray, "S 3"]
    isolated: Bool[np.ndarray, "S"]
    ends: Int[np.ndarray, "S 2"]

    @classmethod
    def build(cls, frames: Iterable[Atoms], cutoff: float, folder: Path) -> GraphStore:
        """Write the graphs of ``frames``, one after another, and open them.

        The index is written last: a folder without it is an attempt that was cut off, and is replaced.

        Args:
            frames: Labeled structures, as :func:`gnnpot.data.reading.read_frames` yields them.
            cutoff: Longest edge (Å).
            folder: Folder to write to.

        Raises:
            DataError: A structure that cannot be a graph; the message names it.
        """
        folder = Path(folder)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        origins, groups, hashes = [], [], []
        sizes = np.zeros(2, dtype=np.int64)
        files = {name: (folder / f"{name}.bin").open("wb") for name in _COLUMNS}
        try:
            for number, atoms in enumerate(frames, start=1):
                origins.append(atoms.info.get("origin", f"structure {number}"))
                groups.append(atoms.info.get("group", ""))
                hashes.append(content_hash(atoms))
                row = _columns(atoms, cutoff, origins[-1])
                sizes += len(row["positions"]), len(row["pair_index"])
                row["ends"] = sizes
                for name, (dtype, _, _) in _COLUMNS.items():
                    files[name].write(np.ascontiguousarray(row[name], dtype=dtype).tobytes())
        finally:
            for file in files.values():
                file.close()
        index = {
            "format": _FORMAT, "cutoff": cutoff, "sizes": [len(origins), *sizes.tolist()],
            "origins": origins, "groups": groups, "hashes": hashes,
        }  # fmt: skip
        (folder / "index.json").write_text(json.dumps(index))
        return cls(folder)

    def __len__(self) -> int:
        return len(self.origins)

    def atom_range(self, row: int) -> tuple[int, int]:
        """First atom of a structure and the one after its last."""
        return self._range(row, 0)

    def pair_range(self, row: int) -> tuple[int, int]:
        """First pair of a structure and the one after its last."""
        return self._range(row, 1)

    def structure_rows(self) -> list[int]:
        """Rows of the structures to learn from: all but the isolated atoms."""
        return np.flatnonzero(~self.isolated).tolist()

    def _range(self, row: int, column: int) -> tuple[int, int]:
        return (int(self.ends[row - 1, column]) if row else 0), int(self.ends[row, column])

    def num_atoms(self) -> Int[np.ndarray, "S"]:
        """Number of atoms of each structure."""
        return np.diff(self.ends[:, 0], prepend=0)

    def forces_of(self, rows: Iterable[int]) -> Float[np.ndarray, "N 3"]:
        """Force labels of these structures one after another (eV/Å)."""
        chosen = [self.forces[slice(*self.atom_range(row))] for row in rows]
        return np.concatenate(chosen) if chosen else np.empty((0, 3))

    def composition(self, row: int) -> dict[int, int]:
        """How many atoms of each atomic number a structure has."""
        numbers, counts = np.unique(self.atomic_numbers[slice(*self.atom_range(row))], return_counts=True)
        return dict(zip(numbers.tolist(), counts.tolist(), strict=True))


class GraphDataset(Dataset[AtomicGraph]):
    """Some structures of a store as graphs.

    Args:
        store: Store that holds the structures.
        rows: Rows of the store, in this order.
        dtype: Floating-point type of the graphs.
        labels: Labels to carry; a structure that lacks one gets NaN, with weight 0.
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
            weight = 0.0 if np.isnan(values[name]).any() else store.weights[row, LABELS.index(name)]
            graph[f"{name}_weight"] = torch.tensor([weight], dtype=dtype)
        return graph

    def elements(self) -> tuple[str, ...]:
        """Chemical symbols of all atoms, by atomic number."""
        numbers = {number for row in self.rows for number in self.store.composition(row)}
        return tuple(chemical_symbols[number] for number in sorted(numbers))

    def named_hashes(self) -> list[tuple[str, str]]:
        """Origin and content hash of each structure."""
        return [(self.store.origins[row], self.store.hashes[row]) for row in self.rows]

    def label_hashes(self) -> list[str]:
        """Hash of the labels of each structure and of their weights."""
        store = self.store
        return [
            _hash(
                store.energy[row],
                store.forces[slice(*store.atom_range(row))],
                store.stress[row],
                store.weights[row],
            )
            for row in self.rows
        ]

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
            there = {name: np.array(value) for name, value in labels.items() if not np.isnan(value).any()}
            if "stress" in there:
                there["stress"] = full_3x3_to_voigt_6_stress(there["stress"])
            frame.calc = SinglePointCalculator(frame, **there)
            yield frame

    def lacking(self, label: str) -> list[str]:
        """Origins of the structures that lack a label although its weight is not zero."""
        absent = self._absent(label) & (self.store.weights[self.rows, LABELS.index(label)] > 0)
        return [self.store.origins[self.rows[place]] for place in np.flatnonzero(absent)]

    def has(self, label: str) -> bool:
        """Whether any structure has a label."""
        return not self._absent(label).all()

    def _absent(self, label: str) -> np.ndarray:
        store = self.store
        if label == "forces":
            return np.isnan(store.forces[[store.atom_range(row)[0] for row in self.rows], 0])
        return np.isnan(getattr(store, label)[self.rows]).reshape(len(self.rows), -1).any(axis=1)


def label_hash(atoms: Atoms) -> str:
    """Hash of the labels of a structure and of their weights, as :meth:`GraphDataset.label_hashes` has it."""
    return _hash(*_label_columns(atoms, label_arrays(atoms)).values())


def _hash(*columns: np.ndarray) -> str:
    state = hashlib.sha256()
    for values in columns:
        state.update(np.asarray(values, dtype="f8").tobytes())
    return state.hexdigest()[:16]


def _label_columns(atoms: Atoms, labels: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Labels and weights of a structure as rows of their columns; NaN where it has none."""
    return {
        "energy": labels.get("energy", np.array([np.nan])),
        "forces": labels.get("forces", np.full((len(atoms), 3), np.nan)),
        "stress": labels.get("stress", np.full((1, 3, 3), np.nan)),
        "weights": np.array([atoms.info.get(f"{name}_weight", 1.0) for name in LABELS]),
    }


def _columns(atoms: Atoms, cutoff: float, origin: str) -> dict[str, np.ndarray]:
    """One structure as rows of all columns but ``ends``."""
    try:
        edge_index, cell_shifts = neighbor_pairs(atoms.positions, atoms.cell.array, atoms.pbc, cutoff)
    except DataError as error:
        raise DataError(f"{origin}: {error}") from error
    labels = label_arrays(atoms)
    for name, value in labels.items():
        if not np.isfinite(value).all():
            raise DataError(f"{origin}: expected finite {name} labels, got NaN or infinity; remove the frame")
    return {
        "atomic_numbers": atoms.numbers,
        "positions": atoms.positions,
        "pair_index": edge_index[:, 0::2].T,
        "pair_shifts": cell_shifts[0::2],
        "cell": atoms.cell.array,
        "pbc": atoms.pbc,
        "isolated": np.array(is_isolated_atom(atoms)),
        **_label_columns(atoms, labels),
    }


def _mapped(path: Path, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    if 0 in shape:
        return np.empty(shape, dtype=dtype)
    return np.memmap(path, dtype=dtype, mode="r", shape=shape)
